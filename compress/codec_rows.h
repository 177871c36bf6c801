/* codec_rows — the rows of the codec table, each defined in codec_NAME.c. Only codec.c includes it
 * from outside those files; everybody else asks codec_by_id(). */
#ifndef REPLICATOR_COMPRESS_CODEC_ROWS_H
#define REPLICATOR_COMPRESS_CODEC_ROWS_H

#include "compress/codec.h"

extern const struct codec codec_raw;
extern const struct codec codec_zero;
extern const struct codec codec_delta;
extern const struct codec codec_lz4;
extern const struct codec codec_xor_rle;

/* Of codec_zero.c: a page that is not zero nearly always says so in its first line. */
bool page_is_zero(const uint8_t *page);

#endif
