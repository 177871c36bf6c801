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
    if ((rc = pagesums_open(&s->sums, pages, e)) < 0 || (rc = dirty_open(&s->anew, pages, e)) < 0 ||
        (rc = dirty_open(&s->late, pages, e)) < 0) {
        epoch_sums_close(s);
        return rc;
    }
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
    dirty_close(&s->anew);
    dirty_close(&s->late);
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
    dirty_clear(&s->anew);
    dirty_clear(&s->late);
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

/* Pages that changed after they were read, or before it but after the pause's own look at the log. */
static int leave_out_late(struct epoch_sums *s, struct dirty *carry, struct err *e)
{
    int rc = s->guest->ops->dirty(s->guest, &s->late, e);

    if (rc < 0) {
        dirty_set_all(carry); /* reading destroys the log: what it said is lost */
        return rc;
    }
    for (uint64_t pfn = 0; (pfn = dirty_next(&s->late, pfn)) < s->late.pages; pfn++)
        if (dirty_has(&s->anew, pfn))
            s->sums.sums[pfn] = 0;
    dirty_or(carry, &s->late);
    return 0;
}

int epoch_sums_read(struct epoch_sums *s, struct dirty *carry, struct err *e)
{
    size_t n = 0;
    int rc;

    for (; s->read_cursor < s->sums.pages && n < s->at_once; s->read_cursor++)
        if (s->sums.sums[s->read_cursor] == 0 && !dirty_has(carry, s->read_cursor))
            s->pfns[n++] = s->read_cursor;
    rc = n > 0 ? s->guest->ops->copy(s->guest, s->pfns, n, s->places, s->types, e) : 0;
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        note(s, s->pfns[i], s->types[i], s->places[i]);
        dirty_set(&s->anew, s->pfns[i]);
    }
    return s->read_cursor < s->sums.pages ? 1 : leave_out_late(s, carry, e);
}

int epoch_sums_put(struct epoch_sums *s, struct sink *out)
{
    return s->is_on ? pagesums_put(&s->sums, s->newest, &s->put_cursor, out) : 0;
}
