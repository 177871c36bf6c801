/* nic — the world's end of a simulated guest's network: one connected UDP socket, or a TAP. Sending never
 * waits; what can't be sent is lost, as on any network. */
#ifndef REPLICATOR_NIC_H
#define REPLICATOR_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "checkpoint/guest.h"

/* How the guest's frames travel: as they are, or its words packed (tap.h). */
struct nic_packing;

struct nic {
    int fd; /* -1: the guest has no network */
    bool is_tap;
    const struct nic_packing *packing;
};

/* place: "udp:HOST:PORT" (HOST may be [V6]), "tap:NAME" or "none". A HOST that is no number asks the resolver.
 * speaks_ethernet: on a TAP the guest's frames are Ethernet's already. */
MUST_CHECK int nic_open(struct nic *n, const char *place, bool speaks_ethernet, struct err *e);
void nic_close(struct nic *n); /* any state, twice */

/* The interface of a place "tap:NAME"; NULL of any other. */
const char *nic_tap_name(const char *place);

/* One frame out; shaped for a netbuf's sink. nic: a struct nic. */
void nic_send(void *nic, const uint8_t *frame, size_t bytes);

/* Gives frames that wait to the guest, a bounded number a call. */
void nic_receive(struct nic *n, struct guest *g);

#endif
