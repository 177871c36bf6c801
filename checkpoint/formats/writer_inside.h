/* writer_inside — what the parts of the writer share; nobody else includes it.
 * stream_writer.c: headers, order, checkpoints; writer_pages.c: batches of pages; writer_state.c: blobs
 * and parameters. */
#ifndef REPLICATOR_CHECKPOINT_WRITER_INSIDE_H
#define REPLICATOR_CHECKPOINT_WRITER_INSIDE_H

#include "checkpoint/formats/stream_writer.h"

#define BATCH_PAGES 1024u
#define SENT_MAX    64u

/* What becomes of a blob. */
enum blob_way {
    BLOB_THROUGH, /* written as it comes */
    BLOB_LATE,    /* kept until the end of the epoch: only the last of its name is written */
    BLOB_CONFIG,  /* kept for the headers */
    BLOB_OUT,     /* left out */
};

struct stream_writer {
    struct stream_output *out;
    struct writer_wishes wishes;
    struct consumer memory;
    struct image late, config;
    struct stream_facts facts;
    bool has_headers, has_static_end, is_verify_due;
    bool is_checkpoint_due;     /* committed, but perhaps the stream ends here: see take_commit */
    uint64_t committed_at;      /* offset behind the last commit */
    uint64_t checkpoints, left_out;
    bool is_plain;              /* the only epoch of a legacy stream: no CHECKPOINT */
    enum blob_way way;          /* of the blob at hand */
    /* Extras of the epochs before: what has not changed is not written again. */
    struct image_state sent[SENT_MAX];
    size_t sent_n;
    /* a batch */
    size_t n;
    uint64_t pfns[BATCH_PAGES];
    uint8_t types[BATCH_PAGES];
    bool is_compared[BATCH_PAGES];
    uint8_t *pages;             /* wishes.pages_at_once × PAGE_BYTES */
    struct pagecache *cache;    /* bases of deltas; packed only */
    uint8_t *chunk;             /* one encoded record; packed only */
    struct image_param params[BATCH_PAGES];
    size_t params_n;
};

/* The headers, once: before the first thing that is not the configuration. */
MUST_CHECK int writer_headers(struct stream_writer *w, struct err *e);
MUST_CHECK int writer_record(struct stream_writer *w, uint32_t type, const void *body, size_t bytes,
                             struct err *e);
/* A record's header; its body and padding follow. */
MUST_CHECK int writer_record_open(struct stream_writer *w, uint32_t type, uint64_t bytes, struct err *e);
MUST_CHECK int writer_padding(struct stream_writer *w, uint64_t bytes, struct err *e);
/* STATIC_DATA_END, once, where the version has one. */
MUST_CHECK int writer_static_end(struct stream_writer *w, struct err *e);

MUST_CHECK int writer_page(struct stream_writer *w, const struct stream_page *page, struct err *e);
MUST_CHECK int writer_pages_flush(struct stream_writer *w, struct err *e);
/* The page as it was written last, for deltas; not when packed. */
MUST_CHECK int writer_recall(struct stream_writer *w, uint64_t pfn, uint8_t *page, struct err *e);

MUST_CHECK int writer_state(struct stream_writer *w, const struct stream_state *piece, struct err *e);
MUST_CHECK int writer_param(struct stream_writer *w, uint64_t index, uint64_t value, struct err *e);
MUST_CHECK int writer_params_flush(struct stream_writer *w, struct err *e);
/* What waits for the end of the epoch: libxc's and extras; then what libxl has records for. */
MUST_CHECK int writer_late_flush(struct stream_writer *w, struct err *e);
MUST_CHECK int writer_emulators_flush(struct stream_writer *w, struct err *e);
void writer_late_forget(struct stream_writer *w);
/* The configuration as an extra, where the framing has no place for it. */
MUST_CHECK int writer_config_extra(struct stream_writer *w, struct err *e);

#endif
