/* codec_rows — the rows of the codec table, each defined in codec_NAME.c. Only codec.c includes it
 * from outside those files; everybody else asks codec_by_id(). */
#ifndef REPLICATOR_COMPRESS_CODEC_ROWS_H
#define REPLICATOR_COMPRESS_CODEC_ROWS_H

#include "compress/codec.h"

extern const struct codec codec_raw;
extern const struct codec codec_zero;
extern const struct codec codec_delta;
extern const struct codec codec_lz4;

#endif
