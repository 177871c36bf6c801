/* epoch_sums — see epoch_sums.h. */
#include "replicator/engine/epoch_sums.h"

#include <errno.h>
#include <stdlib.h>

#include "compress/codec.h"

#define AT_ONCE_MAX 1024u /* pages: some milliseconds, and as many types as a hypervisor tells at once */

int epoch_sums_open(struct epoch_sums *s, struct guest *g, uint64_t every, uint64_t pages, size_t at_once,
                    struct err *e)
{
    int rc;

    *s = (struct epoch_sums){ .guest = g, .every = every };
    s->at_once = at_once < AT_ONCE_MAX ? at_once : AT_ONCE_MAX;
    if (every == 0)
        return 0;
    if ((rc = pagesums_open(&s->sums, pages, e)) < 0)
        return rc;
    s->room = aligned_alloc(PAGE_BYTES, s->at_once * PAGE_BYTES);
    s->places = calloc(s->at_once, sizeof(*s->places));
    s->pfns = calloc(s->at_once, sizeof(*s->pfns));
    s->types = calloc(s->at_once, sizeof(*s->types));
    if (!s->room || !s->places || !s->pfns || !s->types) {
        epoch_sums_close(s);
        return err_set(e, ENOMEM, "no memory to verify with");
    }
    for (size_t i = 0; i < s->at_once; i++)
        s->places[i] = s->room + i * PAGE_BYTES;
    return 0;
}

void epoch_sums_close(struct epoch_sums *s)
{
    pagesums_close(&s->sums);
    free(s->room);
    free(s->places);
    free(s->pfns);
    free(s->types);
    *s = (struct epoch_sums){ .every = 0 };
}

bool epoch_sums_begin(struct epoch_sums *s, uint64_t epoch, uint32_t flags)
{
    s->is_on = s->every > 0 && (epoch - s->newest >= s->every || (flags & EPOCH_SWITCHOVER));
    if (!s->is_on)
        return false;
    pagesums_clear(&s->sums);
    s->newest = epoch;
    s->read_cursor = s->put_cursor = 0;
    return true;
}

void epoch_sums_drop(struct epoch_sums *s)
{
    s->is_on = false;
}

static void note(struct epoch_sums *s, uint64_t pfn, uint8_t type, const uint8_t *page)
{
    s->sums.sums[pfn] = type < PAGE_TYPE_BROKEN ? pagesums_of(page) : 0;
}

void epoch_sums_note(struct epoch_sums *s, const uint64_t *pfns, const uint8_t *types, uint8_t *const *pages,
                     size_t n)
{
    for (size_t i = 0; s->is_on && i < n; i++)
        note(s, pfns[i], types[i], pages[i]);
}

int epoch_sums_read(struct epoch_sums *s, const struct dirty *deferred, struct err *e)
{
    size_t n = 0;
    int rc;

    for (; s->read_cursor < s->sums.pages && n < s->at_once; s->read_cursor++)
        if (s->sums.sums[s->read_cursor] == 0 && !dirty_has(deferred, s->read_cursor))
            s->pfns[n++] = s->read_cursor;
    rc = n > 0 ? s->guest->ops->copy(s->guest, s->pfns, n, s->places, s->types, e) : 0;
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        note(s, s->pfns[i], s->types[i], s->places[i]);
    return s->read_cursor < s->sums.pages;
}

int epoch_sums_put(struct epoch_sums *s, struct sink *out)
{
    return s->is_on ? pagesums_put(&s->sums, s->newest, &s->put_cursor, out) : 0;
}
