/* replica_xen_stream — the octets that a stock `xl restore` is fed for a shell domain: all that comes
 * before memory, and, when it is to run, all that comes after. The memory itself never passes through:
 * it is written straight into the domain. Pure. */
#ifndef REPLICATOR_CHECKPOINT_REPLICA_XEN_STREAM_H
#define REPLICATOR_CHECKPOINT_REPLICA_XEN_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "checkpoint/xen_shape.h"

/* What the framings add to the configuration and the preamble, and to the state. */
#define REPLICA_XEN_HEAD_EXTRA 256u
#define REPLICA_XEN_TAIL_EXTRA 64u

/* Checks the records before memory: policies and optional ones. -EPROTO. */
MUST_CHECK int replica_xen_check_preamble(struct view records, struct err *e);

/* Checks an epoch's state: X86_TSC_INFO, HVM_CONTEXT and HVM_PARAMS are there once each, HVM domains
 * have their emulator's, and nothing else is there. -EPROTO. */
MUST_CHECK int replica_xen_check_state(struct view records, enum xen_type type, struct err *e);

/* Appends xl's header with the configuration, libxl's and libxc's headers, the preamble and what ends
 * it, and one optional record of no meaning: once the reader has taken that, it has worked off all
 * before it. -ENOBUFS. */
MUST_CHECK int replica_xen_head(struct sink *to, const struct xen_shape *shape, const char *config,
                                struct view preamble, struct err *e);

/* Appends the state (checked before), libxc's END, the emulator's records and libxl's END. -ENOBUFS. */
MUST_CHECK int replica_xen_tail(struct sink *to, struct view state, struct err *e);

#endif
