/* guest_sim_check — see guest_sim_check.h. The sum over the pages says whether anything is wrong; only
 * then the steps are counted out again to say where. */
#include "checkpoint/sim/guest_sim_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "checkpoint/sim/guest_sim_memory.h"
#include "checkpoint/sim/guest_sim_work.h"

static const uint8_t *page_of(const struct guest_sim_vcpu *c, uint64_t pfn)
{
    return c->memory + pfn * PAGE_BYTES;
}

/* Every page by itself; adds up what the registers have sums of. */
static int check_pages(const struct guest_sim_vcpu *c, uint64_t *ret_sum, uint64_t *ret_versions,
                       struct err *e)
{
    uint64_t sum = 0, versions = 0, share, step;

    for (uint64_t pfn = c->first_pfn; pfn < c->first_pfn + c->pages; pfn++) {
        if (!guest_sim_page_is_whole(page_of(c, pfn), guest_sim_page_key(c->spec->seed, pfn),
                                     &share))
            return err_set(e, EUCLEAN, "pfn 0x%" PRIx64 " is torn", pfn);
        step = guest_sim_page_word(page_of(c, pfn), SIM_PAGE_STEP);
        if (step > c->registers.steps)
            return err_set(e, EUCLEAN, "pfn 0x%" PRIx64 " is of step %" PRIu64 ", vCPU %u is at %"
                           PRIu64, pfn, step, c->id, c->registers.steps);
        sum += share;
        if (pfn >= c->work_pfn)
            versions += guest_sim_page_word(page_of(c, pfn), SIM_PAGE_VERSION);
    }
    *ret_sum = sum;
    *ret_versions = versions;
    return 0;
}

#define RECOUNT_STEPS_MAX (UINT64_C(1) << 28) /* some seconds; registers may say anything */

/* Names the first page of work whose version is not what the steps make it; the NIC's page when all
 * are right, because only that and the TCP endpoint's after it are left. */
static int name_culprit(const struct guest_sim_vcpu *c, struct err *e)
{
    bool countable = c->registers.steps <= RECOUNT_STEPS_MAX;
    uint64_t pages = guest_sim_vcpu_work_pages(c);
    uint64_t *wanted = countable ? calloc((size_t)pages, sizeof(*wanted)) : NULL;
    uint64_t version, pfn;

    if (!wanted)
        return err_set(e, EUCLEAN, "pages of vCPU %u are of different epochs", c->id);
    for (uint64_t step = 0; step < c->registers.steps; step++)
        wanted[guest_sim_work_pick(c->spec, c->id, step, pages)]++;
    for (uint64_t i = 0; i <= pages; i++) {
        pfn = i < pages ? c->work_pfn + i : c->first_pfn;
        version = guest_sim_page_word(page_of(c, pfn), SIM_PAGE_VERSION);
        if (i == pages || version != wanted[i]) {
            err_set(e, EUCLEAN, "pfn 0x%" PRIx64 " is of another epoch: version %" PRIu64
                    ", vCPU %u is at step %" PRIu64, pfn, version, c->id, c->registers.steps);
            break;
        }
    }
    free(wanted);
    return -EUCLEAN;
}

int guest_sim_check_vcpu(const struct guest_sim_vcpu *c, struct err *e)
{
    uint64_t sum = 0, versions = 0;
    int rc = check_pages(c, &sum, &versions, e);

    if (rc < 0)
        return rc;
    if (versions != c->registers.steps || sum != c->registers.memory_sum)
        return name_culprit(c, e);
    if (!guest_sim_nic_is_sound(&c->stream))
        return err_set(e, EUCLEAN, "pfn 0x%" PRIx64 ": the NIC's stream of vCPU %u contradicts itself",
                       c->first_pfn, c->id);
    if (c->tcp && !guest_sim_tcp_is_sound(c->tcp))
        return err_set(e, EUCLEAN, "pfn 0x%" PRIx64 ": a TCP connection contradicts itself",
                       c->first_pfn + 1);
    return 0;
}
