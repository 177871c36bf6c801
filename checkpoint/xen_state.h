/* xen_state — what a domain is besides its memory, as libxc's records: its processors' policy before
 * memory, its clock, registers and parameters after it. */
#ifndef REPLICATOR_CHECKPOINT_XEN_STATE_H
#define REPLICATOR_CHECKPOINT_XEN_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "checkpoint/xen_domain.h"
#include "checkpoint/xen_host.h"

#define XEN_SPECIAL_MAX 5u

/* Appends X86_CPUID_POLICY and X86_MSR_POLICY. */
MUST_CHECK int xen_state_policies(const struct xen_host *h, const struct xen_domain *d, struct sink *to,
                                  struct err *e);

/* Appends X86_TSC_INFO, HVM_CONTEXT and HVM_PARAMS, in this order. The domain lies still. */
MUST_CHECK int xen_state_put(const struct xen_host *h, const struct xen_domain *d, struct sink *to,
                             struct err *e);

/* The pages that this host writes without the dirty log knowing (store, console, emulator's rings). */
size_t xen_state_special_pages(const struct xen_host *h, const struct xen_domain *d,
                               uint64_t ret[XEN_SPECIAL_MAX]);

#endif
