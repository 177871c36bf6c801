/* pages — PAGE_DATA_ENCODED: up to PAGES_CHUNK_MAX pages, each by its own codec: a
 * record type of its own with an encoding per page, as was asked for when libxc's stream was designed.
 *
 *   u32 count · u32 batch · u64 digest · u32 index octets · u32 payload octets
 *   index:    per page  varint (pfn step << 1 | typed) · [u8 type, 1…15, when typed]
 *                       · varint (payload octets << 3 | codec), octets 0 for a raw page with content,
 *                         because they are always 4096
 *   payloads: one after the other, in index order
 *
 * With PAGES_PACKED set in batch, index and payloads are one LZ4 block that is shorter than they are;
 * both counts of octets are those of the unpacked form.
 *
 * A pfn step is the distance from the previous pfn of the chunk minus 1 (first: the pfn itself), so
 * pfns ascend strictly within a chunk. Types without content (0xd–0xf) have codec raw and 0 octets.
 * The digest is XXH3-64 over the resulting pages in order (contents only, those that have content):
 * it proves that deltas met the base they were made from. Without compression the standard PAGE_DATA
 * record carries the pages instead; the reader takes both. Pure. */
#ifndef REPLICATOR_CHECKPOINT_PAGES_H
#define REPLICATOR_CHECKPOINT_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "checkpoint/record.h"
#include "compress/codec.h"
#include "compress/pagecache.h"

#define PAGES_FIXED_BYTES 24u
#define PAGES_PACKED      0x80000000u /* in batch */

/* ---- encoding ------------------------------------------------------------------------------------ */

struct pages_source {
    const uint8_t *pages;  /* n × PAGE_BYTES */
    const uint64_t *pfns;  /* ascending */
    const uint8_t *types;  /* 0…15, none PAGE_TYPE_DEFERRED */
    size_t n;              /* 1 … PAGES_CHUNK_MAX */
};

struct pages_rules {
    struct codec_choice allowed;
    uint64_t epoch;      /* that the pages are sent in */
    uint64_t committed;  /* newest epoch the backup verifiably holds: no newer version is a base */
    uint32_t batch;
    bool use_cache;      /* look up bases and remember what is sent */
};

struct pages_tally { /* added to, never reset */
    uint64_t pages, raw_bytes, wire_bytes;
    uint64_t by_codec[CODEC_COUNT];
};

void pages_tally_add(struct pages_tally *to, const struct pages_tally *what);

/* A chunk in two steps: what is to be done is found out in order, because the cache learns by it; the work
 * itself shares nothing with any other chunk's and may be any thread's. */
struct pages_plan {
    size_t n;
    struct codec_choice allowed;
    uint32_t batch;
    uint64_t pfns[PAGES_CHUNK_MAX];
    uint8_t types[PAGES_CHUNK_MAX];
    struct codec_job jobs[PAGES_CHUNK_MAX];
};

/* Plans for n pages at places[0 … n), with the cache by trade: places[i] is then another page's worth of
 * memory, the caller's to overwrite once the chunk's octets are no longer needed. */
void pages_plan(struct pages_plan *plan, uint8_t **places, const uint64_t *pfns, const uint8_t *types,
                size_t n, const struct pages_rules *rules, struct pagecache *cache);

/* Room that building n pages wants, and the octets that lead the record there. */
#define PAGES_ENTRY_MAX  (PAGES_INDEX_MAX / PAGES_CHUNK_MAX + PAGE_BYTES)
#define PAGES_ROOM_OF(n) (RECORD_HEADER_BYTES + PAGES_FIXED_BYTES + (n) * PAGES_ENTRY_MAX + 8u)
#define PAGES_ROOM       PAGES_ROOM_OF(PAGES_CHUNK_MAX)
#define PAGES_PIECES_MAX (2u * PAGES_CHUNK_MAX + 2u)

/* A record in pieces: into the room went all but the raw pages, which stay where the plan found them. */
struct pages_built {
    size_t count, bytes;
    struct view pieces[PAGES_PIECES_MAX];
    struct pages_tally tally;
};

/* Makes one PAGE_DATA_ENCODED record in room[0 … PAGES_ROOM_OF(plan->n)). With is_whole it is one piece, raw pages
 * and all, for whoever packs it. */
void pages_build(struct pages_plan *plan, bool is_whole, uint8_t *room, struct pages_built *ret);

/* The same as one standard PAGE_DATA record: no compression, no digest. */
void pages_build_plain(const struct pages_plan *plan, uint8_t *room, struct pages_built *ret);

/* Appends one PAGE_DATA_ENCODED record for the source's pages and remembers them in the cache as sent
 * by rules->epoch. -ENOBUFS when the sink has less than record_wire_bytes(PAGES_BODY_MAX). */
MUST_CHECK int pages_encode(struct sink *out, const struct pages_source *from,
                            const struct pages_rules *rules, struct pagecache *cache,
                            struct pages_tally *tally);

/* Appends one standard PAGE_DATA record (no compression, no digest); bounds as above. */
MUST_CHECK int pages_put_plain(struct sink *out, const struct pages_source *from,
                               struct pages_tally *tally);

/* ---- decoding ------------------------------------------------------------------------------------ */

struct pages_entry {
    uint64_t pfn;
    uint8_t type;
    bool has_content;
    const struct codec *codec;
    const uint8_t *payload;
    size_t bytes;
};

struct pages_reader {
    uint32_t count, batch; /* batch 0 for PAGE_DATA */
    uint64_t digest;
    bool has_digest;       /* false for PAGE_DATA */
    bool is_packed;        /* entries don't point into the record */
    /* private */
    struct view index, payloads;
    uint64_t next_pfn;
    uint64_t pages_limit;
    uint32_t left;
};

/* Opens a chunk (either record type): checks the fixed part. Every pfn must be below pages_limit. -EPROTO
 * with the rule. Entries of a packed chunk point into memory of this thread that its next pages_open()
 * writes. */
MUST_CHECK int pages_open(struct pages_reader *r, const struct record *from, uint64_t pages_limit,
                          struct err *e);

/* The same, with PAGES_BODY_MAX octets of the caller's for what is unpacked: entries point there. */
MUST_CHECK int pages_open_in(struct pages_reader *r, const struct record *from, uint64_t pages_limit,
                             uint8_t *room, struct err *e);

/* The next entry: 1; after the last one 0, then also checks that nothing is left over; -EPROTO. */
MUST_CHECK int pages_next(struct pages_reader *r, struct pages_entry *ret, struct err *e);

#endif
