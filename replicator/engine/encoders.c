/* encoders — see encoders.h. */
#include "replicator/engine/encoders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Of all rooms, and after them of all scratch. */
static size_t rooms_bytes(const struct encoders *c)
{
    return ENCODERS_CHUNKS * c->room_bytes;
}

static void build(struct work *w)
{
    struct encoders_chunk *c = (struct encoders_chunk *)w;
    struct view *whole = &c->built.pieces[0];

    if (c->is_plain) {
        pages_build_plain(&c->plan, c->room, &c->built);
        return;
    }
    pages_build(&c->plan, c->is_packing, c->room, &c->built);
    if (!c->is_packing)
        return;
    must(c->built.count == 1);
    c->unpacked_bytes = c->built.bytes;
    c->built.bytes = whole->left = pages_pack_try(c->room, c->scratch, c->built.bytes);
    c->built.tally.wire_bytes = c->built.bytes;
}

int encoders_open(struct encoders *c, unsigned threads, size_t chunk_pages, enum pages_packing packing,
                  struct err *e)
{
    void *at;

    *c = (struct encoders){ .packer = { .packing = packing } };
    must(chunk_pages >= 1 && chunk_pages <= PAGES_CHUNK_MAX);
    if (threads > ENCODERS_CHUNKS)
        return err_set(e, EINVAL, "%u encoders: up to %u are possible", threads, ENCODERS_CHUNKS);
    c->room_bytes = (PAGES_ROOM_OF(chunk_pages) + 63) & ~(size_t)63; /* no line is two threads' */
    at = mmap(NULL, 2 * rooms_bytes(c), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    c->rooms = at == MAP_FAILED ? NULL : at;
    c->chunks = calloc(ENCODERS_CHUNKS, sizeof(*c->chunks));
    if (!c->rooms || !c->chunks) {
        encoders_close(c);
        return err_set(e, ENOMEM, "no memory for chunks of pages");
    }
    (void)madvise(at, 2 * rooms_bytes(c), MADV_DONTDUMP);
    memset(c->rooms, 0, rooms_bytes(c)); /* now, not while a guest is paused; scratch is for slow links */
    for (unsigned i = 0; i < ENCODERS_CHUNKS; i++) {
        c->chunks[i].work.run = build;
        c->chunks[i].room = c->rooms + i * c->room_bytes;
        c->chunks[i].scratch = c->chunks[i].room + rooms_bytes(c);
    }
    return workers_open(&c->workers, threads, e);
}

void encoders_close(struct encoders *c)
{
    workers_close(c->workers);
    if (c->rooms)
        munmap(c->rooms, 2 * rooms_bytes(c));
    free(c->chunks);
    *c = (struct encoders){ .workers = NULL };
}

static struct encoders_chunk *chunk(const struct encoders *c, uint64_t number)
{
    return &c->chunks[number % ENCODERS_CHUNKS];
}

void encoders_begin(struct encoders *c, uint8_t **places, const uint64_t *pfns, const uint8_t *types,
                    size_t n, const struct pages_rules *rules, struct pagecache *cache, bool is_plain,
                    bool is_link_behind)
{
    struct encoders_chunk *next = chunk(c, c->begun);

    must(encoders_have_room(c));
    /* What packing came to is learnt from a chunk exactly when its memory is needed again, so that the
     * next choice doesn't depend on how far the threads are. */
    if (next->unpacked_bytes != 0)
        pages_pack_learn(&c->packer, next->unpacked_bytes, next->built.bytes);
    next->unpacked_bytes = 0;
    next->is_plain = is_plain;
    next->is_packing = !is_plain && pages_pack_wants(&c->packer, is_link_behind);
    pages_plan(&next->plan, places, pfns, types, n, rules, cache);
    c->begun++;
    workers_submit(c->workers, &next->work);
}

const struct pages_built *encoders_ready(const struct encoders *c)
{
    const struct encoders_chunk *oldest = chunk(c, c->given);

    return encoders_are_busy(c) && work_is_done(&oldest->work) ? &oldest->built : NULL;
}

void encoders_give(struct encoders *c, uint64_t until)
{
    must(encoders_ready(c));
    chunk(c, c->given)->until = until;
    c->given++;
}

void encoders_gone(struct encoders *c, uint64_t octets)
{
    while (c->freed < c->given && chunk(c, c->freed)->until <= octets)
        c->freed++;
}

void encoders_abandon(struct encoders *c)
{
    must(c->freed == c->given); /* or a link would send what is overwritten */
    for (; c->given < c->begun; c->given++)
        workers_wait(c->workers, &chunk(c, c->given)->work);
    c->freed = c->given;
}
