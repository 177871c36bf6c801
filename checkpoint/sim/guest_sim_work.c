/* guest_sim_work — see guest_sim_work.h. A workload is a row: how it picks, how it writes. */
#include "checkpoint/sim/guest_sim_work.h"

#include <string.h>

#include "base/clock.h"
#include "base/rng.h"

#define CONTENT_BYTES  ((SIM_PAGE_WORDS - SIM_PAGE_CONTENT) * 8u)
#define HEADER_BYTES   (SIM_PAGE_CONTENT * 8u)
#define IDLE_PERIOD_NS (100 * NS_PER_MS)
#define HOT_SHARE      16u     /* the hot set is a sixteenth of the pages … */
#define HOT_PER_TEN    8u      /* … and takes eight steps in ten */
#define SCATTER        UINT64_C(7919) /* prime: neighbours in rank are not neighbours in memory */

static uint64_t below(uint64_t mixed, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)mixed * bound) >> 64);
}

static uint64_t pick_in_turn(uint64_t key, uint64_t step, uint64_t pages)
{
    (void)key;
    return step % pages;
}

static uint64_t pick_uniform(uint64_t key, uint64_t step, uint64_t pages)
{
    return below(rng_mix(key ^ step), pages);
}

static uint64_t pick_skewed(uint64_t key, uint64_t step, uint64_t pages)
{
    uint64_t hot = pages / HOT_SHARE + 1;
    uint64_t draw = rng_mix(key ^ step);
    uint64_t rank = draw % 10 < HOT_PER_TEN ? below(rng_mix(draw), hot) : below(rng_mix(draw), pages);

    return rank * SCATTER % pages;
}

static size_t record_bytes(const struct guest_sim_spec *spec)
{
    return spec->bytes > HEADER_BYTES ? (size_t)spec->bytes - HEADER_BYTES : 1;
}

/* Increments words in turn; the header's words count against spec->bytes. */
static void write_counter(const struct guest_sim_spec *spec, uint64_t key, struct guest_sim_edit *page)
{
    size_t words = (record_bytes(spec) + 7) / 8;

    (void)key;
    for (size_t i = 0; i < words; i++)
        guest_sim_edit_put(page, SIM_PAGE_CONTENT + i, page->words[SIM_PAGE_CONTENT + i] + 1);
}

/* Puts `value` at octet `at` of the content, cut to `bytes` octets (1 … 8) that lie in one word. */
static void put_octets(struct guest_sim_edit *page, size_t at, uint64_t value, size_t bytes)
{
    uint64_t word = page->words[SIM_PAGE_CONTENT + at / 8];

    memcpy((uint8_t *)&word + at % 8, &value, bytes);
    guest_sim_edit_put(page, SIM_PAGE_CONTENT + at / 8, word);
}

/* Fills one of the page's record slots (word aligned) with words made from the key. */
static void write_record(const struct guest_sim_spec *spec, uint64_t key, uint64_t and_mask,
                         uint64_t or_mask, struct guest_sim_edit *page)
{
    size_t bytes = record_bytes(spec);
    size_t stride = (bytes + 7) & ~(size_t)7;
    size_t at = stride * (size_t)below(rng_mix(key), CONTENT_BYTES / stride);

    for (size_t done = 0; done < bytes; done += 8) {
        uint64_t value = (rng_mix(key + done + 1) & and_mask) | or_mask;

        put_octets(page, at + done, value, bytes - done < 8 ? bytes - done : 8);
    }
}

/* Lower-case letters, as in text: half of each octet's entropy. */
static void write_letters(const struct guest_sim_spec *spec, uint64_t key, struct guest_sim_edit *page)
{
    write_record(spec, key, UINT64_C(0x0f0f0f0f0f0f0f0f), UINT64_C(0x6060606060606060), page);
}

static void write_random(const struct guest_sim_spec *spec, uint64_t key, struct guest_sim_edit *page)
{
    write_record(spec, key, UINT64_MAX, 0, page);
}

static const struct {
    uint64_t (*pick)(uint64_t key, uint64_t step, uint64_t pages);
    void (*write)(const struct guest_sim_spec *spec, uint64_t key, struct guest_sim_edit *page);
} workloads[GUEST_SIM_WORKLOAD_COUNT] = {
    [GUEST_SIM_idle] = { pick_in_turn, write_counter },
    [GUEST_SIM_counter] = { pick_in_turn, write_counter },
    [GUEST_SIM_kv] = { pick_skewed, write_letters },
    [GUEST_SIM_web] = { pick_skewed, write_letters },
    [GUEST_SIM_random] = { pick_uniform, write_random },
    [GUEST_SIM_tcp] = { pick_skewed, write_letters },
};

static uint64_t vcpu_key(const struct guest_sim_spec *spec, uint8_t vcpu)
{
    return rng_mix(spec->seed + vcpu * UINT64_C(0x9e3779b97f4a7c15));
}

uint64_t guest_sim_work_pick(const struct guest_sim_spec *spec, uint8_t vcpu, uint64_t step,
                             uint64_t pages)
{
    return workloads[spec->workload].pick(vcpu_key(spec, vcpu), step, pages);
}

void guest_sim_work_write(const struct guest_sim_spec *spec, uint8_t vcpu, uint64_t step,
                          struct guest_sim_edit *page)
{
    uint64_t key = rng_mix(~vcpu_key(spec, vcpu) ^ step);

    workloads[spec->workload].write(spec, key, page);
}

uint64_t guest_sim_work_period_ns(const struct guest_sim_spec *spec)
{
    if (spec->workload == GUEST_SIM_idle)
        return IDLE_PERIOD_NS;
    if (spec->dirty == GUEST_SIM_DIRTY_MAX)
        return 0;
    return spec->dirty == 0 ? TIME_NEVER : NS_PER_S * spec->vcpus / spec->dirty;
}
