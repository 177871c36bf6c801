/* unmapped — see unmapped.h. */
#include "checkpoint/formats/unmapped.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* Room for as many pages as the guest has, so that one list costs one allocation. */
static int make_room(struct unmapped *u, uint64_t pages, struct err *e)
{
    size_t words = (size_t)(pages / 64 + 1);
    uint64_t *now, *kept;

    if (words <= u->words)
        return 0;
    now = calloc(words, sizeof(*now));
    kept = calloc(words, sizeof(*kept));
    if (!now || !kept) {
        free(now);
        free(kept);
        return err_set(e, ENOMEM, "list of unmapped pages: %m");
    }
    if (u->words > 0) {
        memcpy(now, u->now, u->words * sizeof(*now));
        memcpy(kept, u->kept, u->words * sizeof(*kept));
    }
    unmapped_close(u);
    *u = (struct unmapped){ now, kept, words };
    return 0;
}

int unmapped_take(struct unmapped *u, uint64_t at, const uint8_t *octets, size_t bytes, uint64_t pages,
                  struct err *e)
{
    int rc;

    if (at == 0 && u->words > 0)
        memset(u->now, 0, u->words * sizeof(*u->now));
    if (bytes < 8)
        return 0;
    if ((rc = make_room(u, pages, e)) < 0)
        return rc;
    for (size_t i = 0; i + 8 <= bytes; i += 8) {
        uint64_t pfn = load_u64(octets + i);

        if (pfn < pages)
            u->now[pfn / 64] |= UINT64_C(1) << pfn % 64;
    }
    return 0;
}

void unmapped_commit(struct unmapped *u)
{
    if (u->words > 0)
        memcpy(u->kept, u->now, u->words * sizeof(*u->kept));
}

void unmapped_drop(struct unmapped *u)
{
    if (u->words > 0)
        memcpy(u->now, u->kept, u->words * sizeof(*u->now));
}

uint64_t unmapped_next(const struct unmapped *u, uint64_t from)
{
    for (uint64_t word = from / 64; word < u->words; word++, from = word * 64) {
        uint64_t left = u->kept[word] >> from % 64;

        if (left)
            return from + (uint64_t)__builtin_ctzll(left);
    }
    return UINT64_MAX;
}

void unmapped_close(struct unmapped *u)
{
    free(u->now);
    free(u->kept);
    *u = (struct unmapped){ NULL, NULL, 0 };
}
