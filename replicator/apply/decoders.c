/* decoders — see decoders.h. */
#include "replicator/apply/decoders.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/digest.h"

#define COPY_BYTES ((size_t)RECORD_HEADER_BYTES + PAGES_BODY_MAX + 8u)
#define ROOM_BYTES ((PAGES_BODY_MAX + COPY_BYTES + 4095) & ~(size_t)4095)

/* The page that the entry leads to: in its payload, or made in the scratch page. NULL: malformed. */
static const uint8_t *content_of(struct decoders_chunk *c, size_t i)
{
    const struct pages_entry *p = &c->entries[i];

    if (p->codec->id == CODEC_RAW)
        return p->payload;
    if (p->codec->needs_prior)
        memcpy(c->scratch, c->bases[i], PAGE_BYTES);
    return p->codec->decode(p->payload, p->bytes, c->scratch) < 0 ? NULL : c->scratch;
}

static void check(struct work *w)
{
    struct decoders_chunk *c = (struct decoders_chunk *)w;
    struct digest digest;
    bool has_delta = false;

    c->rc = 0;
    digest_begin(&digest);
    for (size_t i = 0; i < c->n; i++) {
        const struct pages_entry *p = &c->entries[i];
        const uint8_t *content = content_of(c, i);

        if (!content) {
            c->rc = err_set(&c->e, EPROTO, "page %#" PRIx64 ": %s payload of %zu octets is malformed",
                            p->pfn, p->codec->name, p->bytes);
            return;
        }
        has_delta |= p->codec->needs_prior;
        digest_add(&digest, content, PAGE_BYTES);
    }
    if (digest_value(&digest) != c->digest)
        c->rc = err_set(&c->e, has_delta ? EILSEQ : EPROTO, "chunk %u: pages differ from what was sent",
                        c->number);
}

int decoders_open(struct decoders *d, unsigned threads, struct err *e)
{
    void *at;

    *d = (struct decoders){ .workers = NULL };
    if (threads > DECODERS_CHUNKS)
        return err_set(e, EINVAL, "%u decoders: up to %u are possible", threads, DECODERS_CHUNKS);
    at = mmap(NULL, DECODERS_CHUNKS * ROOM_BYTES, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    d->rooms = at == MAP_FAILED ? NULL : at;
    d->chunks = aligned_alloc(64, DECODERS_CHUNKS * sizeof(*d->chunks));
    if (!d->rooms || !d->chunks) {
        decoders_close(d);
        return err_set(e, ENOMEM, "no memory to check chunks of pages");
    }
    (void)madvise(at, DECODERS_CHUNKS * ROOM_BYTES, MADV_DONTDUMP); /* guest memory stays out of cores */
    for (unsigned i = 0; i < DECODERS_CHUNKS; i++) {
        d->chunks[i].work.run = check;
        d->chunks[i].room = d->rooms + i * ROOM_BYTES;
        d->chunks[i].copy = d->chunks[i].room + PAGES_BODY_MAX;
    }
    return workers_open(&d->workers, threads, e);
}

void decoders_close(struct decoders *d)
{
    workers_close(d->workers);
    if (d->rooms)
        munmap(d->rooms, DECODERS_CHUNKS * ROOM_BYTES);
    free(d->chunks);
    *d = (struct decoders){ .workers = NULL };
}

struct decoders_chunk *decoders_next(struct decoders *d)
{
    return d->begun - d->ended < DECODERS_CHUNKS ? &d->chunks[d->begun % DECODERS_CHUNKS] : NULL;
}

void decoders_submit(struct decoders *d)
{
    struct decoders_chunk *c = decoders_next(d);

    must(c != NULL);
    d->begun++;
    workers_submit(d->workers, &c->work);
}

struct decoders_chunk *decoders_oldest(struct decoders *d, bool wait)
{
    struct decoders_chunk *c;

    if (decoders_are_idle(d))
        return NULL;
    c = &d->chunks[d->ended % DECODERS_CHUNKS];
    if (wait)
        workers_wait(d->workers, &c->work);
    return work_is_done(&c->work) ? c : NULL;
}

void decoders_end(struct decoders *d)
{
    must(decoders_oldest(d, false) != NULL);
    d->ended++;
}
