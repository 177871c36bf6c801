/* libxc_inside — what the parts of the libxc reader share; nobody else includes it.
 * libxc_reader.c: headers, framing, order and checkpoints; libxc_pages.c: records that carry pages;
 * libxc_state.c: all others. A handler is called with the record's header taken and takes at most
 * l->left octets of body by body_*(); what it leaves is skipped. */
#ifndef REPLICATOR_CHECKPOINT_LIBXC_INSIDE_H
#define REPLICATOR_CHECKPOINT_LIBXC_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/formats/reading.h"
#include "checkpoint/record.h"

#define LIBXC_PV_VCPUS_MAX 8192u

/* What decides over the order of records; goes back to the last commit when an epoch is dropped. */
struct libxc_ledger {
    bool has_static_end, has_pv_info, has_p2m, has_basic0, has_context, is_verify;
    bool has_epoch;          /* our own EPOCH_BEGIN, no EPOCH_END yet */
    unsigned guest_width;    /* of PV_INFO */
    unsigned basic_width;    /* that VCPU_BASIC records had so far */
    uint64_t end_pfn;        /* largest of P2M_FRAMES */
};

struct libxc {
    struct reading *r;
    struct libxc_ledger now, kept;
    bool is_buffered;        /* a CHECKPOINT was seen: records count only once the next one comes */
    uint32_t type, length;   /* of the record at hand */
    uint64_t left;           /* of its body */
    struct pagetable *frames; /* P2M_FRAMES: the place's offset is the frame's pfn + 1 */
    uint64_t *entries;       /* of the record at hand that have content; grows with the record */
    size_t entries_room;
    uint8_t *chunk;          /* results of one PAGE_DATA_ENCODED, made when one comes */
    struct digest epoch_digest;
    uint64_t epoch;
    uint64_t items_before;   /* the headers' place in the count of items */
    /* libxl: reads on behind CHECKPOINT until CHECKPOINT_END. NULL: nothing lies between. */
    int (*between)(struct reading *r, struct err *e);
};

int libxc_read(struct reading *r, int (*between)(struct reading *r, struct err *e), struct err *e);

/* Refuses the record at hand, at the octet that comes next. */
#define libxc_refuse(l, e, ...) reading_refuse((l)->r, reading_offset((l)->r), e, __VA_ARGS__)

/* n octets of the body; refuses when it has fewer. */
MUST_CHECK int libxc_body(struct libxc *l, size_t n, const uint8_t **ret, struct err *e);
/* Refuses octets that the text says are zero, when reading strictly. */
MUST_CHECK int libxc_reserved(struct libxc *l, const uint8_t *at, size_t n, const char *what,
                              struct err *e);

typedef int libxc_handler(struct libxc *l, struct err *e);
libxc_handler libxc_page_data, libxc_page_data_encoded;
libxc_handler libxc_pv_info, libxc_p2m_frames, libxc_vcpu, libxc_shared_info, libxc_tsc, libxc_context,
    libxc_params, libxc_policy, libxc_foreign;

/* The rules that hold for the state that the stream ends with. */
MUST_CHECK int libxc_complete(struct libxc *l, struct err *e);

#endif
