/* xen_state — see xen_state.h. Bodies as the migration stream has them; parameters that are 0 are left
 * out, as libxc's own saver does. */
#include "checkpoint/xen_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>
#include <xenguest.h>
#include <xen/hvm/params.h>

#include "checkpoint/record.h"

static int no_room(struct err *e)
{
    return err_set(e, ENOBUFS, "a domain's state does not fit %" PRIu64 " octets", GUEST_STATE_MAX);
}

/* ---- before memory ----------------------------------------------------------------------------- */

static int put_policy(struct sink *to, const xen_cpuid_leaf_t *leaves, uint32_t leaf_count,
                      const xen_msr_entry_t *msrs, uint32_t msr_count, struct err *e)
{
    struct sink at = *to;

    if ((leaf_count > 0 && record_put(&at, RECORD_X86_CPUID_POLICY, leaves, leaf_count * sizeof(*leaves)) < 0) ||
        (msr_count > 0 && record_put(&at, RECORD_X86_MSR_POLICY, msrs, msr_count * sizeof(*msrs)) < 0))
        return no_room(e);
    *to = at;
    return 0;
}

static int get_policy(const struct xen_host *h, const struct xen_domain *d, xc_cpu_policy_t *policy,
                      struct sink *to, struct err *e)
{
    AUTO_FREE xen_cpuid_leaf_t *leaves = NULL;
    AUTO_FREE xen_msr_entry_t *msrs = NULL;
    uint32_t leaf_count = 0, msr_count = 0;

    if (xc_cpu_policy_get_size(h->xc, &leaf_count, &msr_count) < 0)
        return xen_host_failed(h, e, "the size of processor policies can't be had");
    leaves = calloc(leaf_count, sizeof(*leaves));
    msrs = calloc(msr_count, sizeof(*msrs));
    if (!policy || !leaves || !msrs)
        return err_set(e, ENOMEM, "no memory for a processor policy");
    if (xc_cpu_policy_get_domain(h->xc, d->domid, policy) < 0 ||
        xc_cpu_policy_serialise(h->xc, policy, leaves, &leaf_count, msrs, &msr_count) < 0)
        return xen_host_failed(h, e, "the processor policy of domain %" PRIu32 " can't be had", d->domid);
    return put_policy(to, leaves, leaf_count, msrs, msr_count, e);
}

int xen_state_policies(const struct xen_host *h, const struct xen_domain *d, struct sink *to, struct err *e)
{
    xc_cpu_policy_t *policy = xc_cpu_policy_init();
    int rc = get_policy(h, d, policy, to, e);

    if (policy)
        xc_cpu_policy_destroy(policy);
    return rc;
}

/* ---- after memory ------------------------------------------------------------------------------ */

static int put_clock(const struct xen_host *h, const struct xen_domain *d, struct sink *to, struct err *e)
{
    uint32_t mode, khz, incarnation;
    uint64_t elapsed_ns;
    uint8_t body[24] = { 0 };

    if (xc_domain_get_tsc_info(h->xc, d->domid, &mode, &elapsed_ns, &khz, &incarnation) < 0)
        return xen_host_failed(h, e, "the clock of domain %" PRIu32 " can't be had", d->domid);
    store_u32(body, mode);
    store_u32(body + 4, khz);
    store_u64(body + 8, elapsed_ns);
    store_u32(body + 16, incarnation);
    return record_put(to, RECORD_X86_TSC_INFO, body, sizeof(body)) < 0 ? no_room(e) : 0;
}

/* Straight into the sink: the body's place is behind the header that is written when its length is
 * known. The size is asked first, because the library copies as much as it was offered. */
static int put_context(const struct xen_host *h, const struct xen_domain *d, struct sink *to, struct err *e)
{
    int bytes = xc_domain_hvm_getcontext(h->xc, d->domid, NULL, 0);
    uint8_t *header, *unused;

    if (bytes > 0 && to->left < record_wire_bytes((size_t)bytes))
        return no_room(e);
    if (bytes > 0)
        bytes = xc_domain_hvm_getcontext(h->xc, d->domid, to->at + RECORD_HEADER_BYTES, (uint32_t)bytes);
    if (bytes <= 0)
        return xen_host_failed(h, e, "the registers of domain %" PRIu32 " can't be had", d->domid);
    must(sink_room(to, RECORD_HEADER_BYTES, &header) == 0);
    must(sink_room(to, record_padded((size_t)bytes), &unused) == 0);
    store_u32(header, RECORD_HVM_CONTEXT);
    store_u32(header + 4, (uint32_t)bytes);
    memset(header + RECORD_HEADER_BYTES + bytes, 0, record_padded((size_t)bytes) - (size_t)bytes);
    return 0;
}

static const uint32_t params[] = {
    HVM_PARAM_STORE_PFN,          HVM_PARAM_IOREQ_PFN,
    HVM_PARAM_BUFIOREQ_PFN,       HVM_PARAM_PAGING_RING_PFN,
    HVM_PARAM_MONITOR_RING_PFN,   HVM_PARAM_SHARING_RING_PFN,
    HVM_PARAM_VM86_TSS_SIZED,     HVM_PARAM_CONSOLE_PFN,
    HVM_PARAM_ACPI_IOPORTS_LOCATION, HVM_PARAM_VIRIDIAN,
    HVM_PARAM_IDENT_PT,           HVM_PARAM_VM_GENERATION_ID_ADDR,
    HVM_PARAM_IOREQ_SERVER_PFN,   HVM_PARAM_NR_IOREQ_SERVER_PAGES,
    HVM_PARAM_X87_FIP_WIDTH,      HVM_PARAM_MCA_CAP,
};

static int put_params(const struct xen_host *h, const struct xen_domain *d, struct sink *to, struct err *e)
{
    uint8_t body[8 + ARRAY_LEN(params) * 16];
    uint32_t count = 0;
    uint64_t value;

    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        if (xc_hvm_param_get(h->xc, d->domid, params[i], &value) < 0)
            return xen_host_failed(h, e, "parameter %" PRIu32 " of domain %" PRIu32 " can't be had",
                                   params[i], d->domid);
        if (value == 0)
            continue;
        store_u64(body + 8 + count * 16, params[i]);
        store_u64(body + 16 + count * 16, value);
        count++;
    }
    store_u32(body, count);
    store_u32(body + 4, 0);
    return record_put(to, RECORD_HVM_PARAMS, body, 8 + count * 16) < 0 ? no_room(e) : 0;
}

int xen_state_put(const struct xen_host *h, const struct xen_domain *d, struct sink *to, struct err *e)
{
    struct sink at = *to;
    int rc;

    if ((rc = put_clock(h, d, &at, e)) < 0 || (rc = put_context(h, d, &at, e)) < 0 ||
        (rc = put_params(h, d, &at, e)) < 0)
        return rc;
    *to = at;
    return 0;
}

size_t xen_state_special_pages(const struct xen_host *h, const struct xen_domain *d,
                               uint64_t ret[XEN_SPECIAL_MAX])
{
    static const uint32_t special[XEN_SPECIAL_MAX] = { HVM_PARAM_STORE_PFN, HVM_PARAM_CONSOLE_PFN,
                                                       HVM_PARAM_IOREQ_PFN, HVM_PARAM_BUFIOREQ_PFN,
                                                       HVM_PARAM_MONITOR_RING_PFN };
    size_t n = 0;
    uint64_t pfn;

    for (size_t i = 0; i < XEN_SPECIAL_MAX; i++)
        if (xc_hvm_param_get(h->xc, d->domid, special[i], &pfn) == 0 && pfn != 0)
            ret[n++] = pfn;
    return n;
}
