/* xor_rle — a page in the form that Remus compressed checkpoints had (Xen 4.2 to 4.5): runs of changed
 * 32-bit words by their new values, and skips over unchanged ones.
 *
 *     0x00                  as it was (not: of zeros)
 *     0x80, 4096 octets     the whole page
 *     else markers until exactly 1024 words are covered:
 *         0x01…0x7f         that many words follow
 *         0x81…0xff         so many (less 0x80) are as they were
 *
 * 0x00 and 0x80 mean that only at the front of a page; inside it a marker without words is an error.
 * Despite the name values are new ones, not differences: applying twice is the same as once.
 * Old streams put pages behind each other without lengths, hence a reader that takes one page off. */
#ifndef REPLICATOR_COMPRESS_XOR_RLE_H
#define REPLICATOR_COMPRESS_XOR_RLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Of a page whose words all changed: 8 runs of 127, one of 8. */
#define XOR_RLE_BYTES_MAX 4105u

/* Writes the page as the old senders did: greedy, a trailing skip included; the whole page where prior
 * is NULL. Returns its length, or SIZE_MAX and nothing beyond out[0..room) when that does not fit. */
size_t xor_rle_put(const uint8_t *page, const uint8_t *prior, uint8_t *out, size_t room);

/* Takes one page off the front of `in` and applies it to the prior version in `page`. With both as they
 * were: -EAGAIN when the octets end before the page does, -EPROTO when they break a rule. */
MUST_CHECK int xor_rle_take(struct view *in, uint8_t *page);

/* The same without applying it. */
MUST_CHECK int xor_rle_skip(struct view *in);

#endif
