/* sha256 — SHA-256 of octets, piece by piece (by libcrypto). For what people compare between programs;
 * digest.h is for what only we check, and is many times faster. */
#ifndef REPLICATOR_BASE_SHA256_H
#define REPLICATOR_BASE_SHA256_H

#include <stddef.h>

#include "base/attr.h"

#define SHA256_BYTES     32u
#define SHA256_HEX_BYTES 65u /* with the NUL */

struct sha256 {
    void *context; /* private; NULL: nothing begun */
};

/* -ENOMEM. Begin again forgets what was added. */
MUST_CHECK int sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *octets, size_t bytes);
/* The digest in lower-case hexadecimal; ends it: begin again for another. */
void sha256_hex(struct sha256 *s, char ret[SHA256_HEX_BYTES]);
void sha256_close(struct sha256 *s); /* twice is fine */

#endif
