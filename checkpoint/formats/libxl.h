/* libxl — the numbers of the libxl migration stream, version 2, for its reader and its writer. */
#ifndef REPLICATOR_CHECKPOINT_LIBXL_H
#define REPLICATOR_CHECKPOINT_LIBXL_H

#include <stdint.h>

#define LIBXL_IDENT             UINT64_C(0x4c6962786c466d74) /* "LibxlFmt" */
#define LIBXL_VERSION           2u
#define LIBXL_HEADER_BYTES      16u
#define LIBXL_OPTION_BIG_ENDIAN 1u
#define LIBXL_OPTION_LEGACY     2u /* made by a converter */

enum libxl_record_type {
    LIBXL_END = 0,
    LIBXL_LIBXC_CONTEXT = 1,
    LIBXL_EMULATOR_XENSTORE_DATA = 2,
    LIBXL_EMULATOR_CONTEXT = 3,
    LIBXL_CHECKPOINT_END = 4,
    LIBXL_CHECKPOINT_STATE = 5,
};

/* The file header of xl: magic, then four u32. */
#define XL_MAGIC               "Xen saved domain, xl format\n \0 \r"
#define XL_MAGIC_BYTES         32u
#define XL_FIXED_BYTES         16u
#define XL_BYTE_ORDER          UINT32_C(0x01020304)
#define XL_FLAG_JSON           1u
#define XL_FLAG_LIBXL_STREAM   2u

#endif
