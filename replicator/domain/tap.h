/* tap — the Ethernet end of a simulated guest's network: a TAP interface, on which what the guest sends
 * arrives as from a wire and can be redirected, held and bridged like any guest's. The guest's words
 * travel as Ethernet frames of an experimental type, to everybody. */
#ifndef REPLICATOR_TAP_H
#define REPLICATOR_TAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TAP_ETHERTYPE  0x88b5u /* IEEE 802: local experiments */
#define TAP_FRAME_MAX  (14u + 2048u)

/* Opens (and makes, if it is not there) the interface and sets it up; non-blocking. -EPERM naming the
 * capability, -EBUSY: another process has it, -ENOPROTOOPT: the kernel has no TAPs. */
MUST_CHECK int tap_open(int *ret_fd, const char *name, struct err *e);

/* Octets as a frame, and back; pure. Put: the frame's length, 0: too long. Get: where the guest's words
 * are, NULL when the frame is none for it. */
size_t tap_frame_put(uint8_t to[TAP_FRAME_MAX], const uint8_t *words, size_t bytes);
const uint8_t *tap_frame_get(const uint8_t *frame, size_t bytes, size_t *ret_bytes);

#endif
