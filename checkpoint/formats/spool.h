/* spool — octets that do not fit memory, in an unlinked temporary file ($TMPDIR, else /var/tmp).
 * Nothing of it outlives the process. Made at the first put. */
#ifndef REPLICATOR_CHECKPOINT_SPOOL_H
#define REPLICATOR_CHECKPOINT_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct spool {
    int fd; /* -1: not made yet */
    uint64_t bytes;
};

#define SPOOL_EMPTY { .fd = -1 }

/* Appends; *ret is where. -ENOSPC and others of the disk. */
MUST_CHECK int spool_put(struct spool *s, const void *octets, size_t n, uint64_t *ret, struct err *e);
MUST_CHECK int spool_get(const struct spool *s, uint64_t offset, void *to, size_t n, struct err *e);
void spool_close(struct spool *s); /* twice is fine */

#endif
