/* legacy_inside — what the parts of the legacy reader share; nobody else includes it.
 * legacy_head.c: what opens a stream; legacy.c: chunks and epochs; legacy_pages.c: batches, and the
 * compressed pages of format B; legacy_tail.c: what ends an epoch; legacy_tmem.c: transcendent memory. */
#ifndef REPLICATOR_CHECKPOINT_LEGACY_INSIDE_H
#define REPLICATOR_CHECKPOINT_LEGACY_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/formats/reading.h"

#define LEGACY_PAGES_MAX 0x0fffffffu /* a saver refuses to write more */
#define LEGACY_BATCH_MAX 1024u
#define LEGACY_VCPUS_MAX 4096u
#define LEGACY_BLOB_MAX  (128u << 20) /* what a later stream can carry in one record */

/* Format B: entries and the octets that make their pages come apart, and each may run ahead. */
struct legacy_backlog {
    uint32_t *entries;
    size_t entry, entries_n, entries_room;
    uint8_t *octets;
    size_t octet, octets_n, octets_room;
};

struct legacy {
    struct reading *r;
    unsigned width;            /* of the saving toolstack's words */
    uint32_t xsave_bytes;      /* of a vcpu in the tail, head included; 0: none */
    bool has_extended;         /* 128 octets of extended context a vcpu */
    bool is_verify;            /* pages come once more, to be compared */
    bool is_last;              /* LAST_CHECKPOINT was seen, or nothing can follow */
    bool compresses_later;     /* ENABLE_COMPRESSION was seen in the first body */
    bool is_compressed;        /* this body is in format B */
    bool has_unmapped;         /* some tail had a list of them */
    uint64_t epoch;            /* 1, 2, … */
    uint32_t vcpu_id_max;
    uint64_t vcpus[LEGACY_VCPUS_MAX / 64];
    uint64_t ioreq_server_pfn, ioreq_server_pages;
    uint64_t *frames;          /* the p2m list of a PV guest */
    size_t frames_n;
    struct legacy_backlog backlog;
};

/* Refuses at the octet that comes next. */
#define legacy_refuse(l, e, ...) reading_refuse((l)->r, reading_offset((l)->r), e, __VA_ARGS__)

/* One word of the toolstack. */
MUST_CHECK int legacy_ulong(struct legacy *l, uint64_t *ret, struct err *e);
/* Word i of words that were taken. */
uint64_t legacy_word(const struct legacy *l, const uint8_t *words, size_t i);

/* What is wrong inside an epoch after the first matters only if that epoch commits: nobody would
 * have applied it before. Turns the refusal into one that is held. */
MUST_CHECK int legacy_doubt(struct legacy *l, int rc);

/* A blob of so many octets that comes now, as the record `type` or STATE_FOREIGN carries it. */
MUST_CHECK int legacy_blob(struct legacy *l, const char *name, uint32_t type, uint64_t bytes,
                           struct err *e);

/* legacy_head.c */
MUST_CHECK int legacy_head(struct legacy *l, struct err *e);
/* At the end of the stream: every frame of the p2m is an ordinary page that was sent. */
MUST_CHECK int legacy_frames_check(struct legacy *l, struct err *e);

/* legacy_pages.c */
MUST_CHECK int legacy_batch(struct legacy *l, uint32_t count, struct err *e);
MUST_CHECK int legacy_compressed(struct legacy *l, struct err *e);
MUST_CHECK int legacy_body_end(struct legacy *l, struct err *e);
void legacy_backlog_free(struct legacy_backlog *b);

/* legacy_tail.c */
MUST_CHECK int legacy_tail_pv(struct legacy *l, struct err *e);
MUST_CHECK int legacy_tail_hvm(struct legacy *l, struct err *e);

/* legacy_tmem.c */
MUST_CHECK int legacy_tmem(struct legacy *l, struct err *e);
MUST_CHECK int legacy_tmem_extra(struct legacy *l, struct err *e);

#endif
