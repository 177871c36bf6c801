/* image — see image.h. Blobs and parameters are two small sorted lists, copied at a commit; pages are
 * in the table that the reader keeps. */
#include "checkpoint/formats/image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compress/codec.h"

#define RUN_PAGES 64u /* read again at once when they lie side by side */

void image_open(struct image *i, struct stream_input *in, struct image_wishes wishes)
{
    *i = (struct image){ .in = in, .wishes = wishes, .spool = SPOOL_EMPTY };
}

static void set_free(struct image_set *set)
{
    free(set->states);
    free(set->params);
    *set = (struct image_set){ .states = NULL };
}

void image_close(struct image *i)
{
    set_free(&i->now);
    set_free(&i->kept);
    spool_close(&i->spool);
    sha256_close(&i->sha);
}

/* Lists have room for the next power of two: see list_grow. */
static size_t room_of(size_t n)
{
    size_t room = 1;

    while (room < n)
        room *= 2;
    return room;
}

static int set_copy(struct image_set *to, const struct image_set *from, struct err *e)
{
    struct image_set copy = *from;

    copy.states = malloc(room_of(from->states_n) * sizeof(*copy.states));
    copy.params = malloc(room_of(from->params_n) * sizeof(*copy.params));
    if (!copy.states || !copy.params) {
        set_free(&copy);
        return err_set(e, ENOMEM, "image: %m");
    }
    if (from->states_n)
        memcpy(copy.states, from->states, from->states_n * sizeof(*copy.states));
    if (from->params_n)
        memcpy(copy.params, from->params, from->params_n * sizeof(*copy.params));
    set_free(to);
    *to = copy;
    return 0;
}

/* Room for one more in a list whose room doubles: grows when n is a power of two (or 0). */
static int list_grow(void *list, size_t n, size_t each, struct err *e)
{
    void **at = list, *grown;

    if (n & (n - 1))
        return 0;
    grown = realloc(*at, (n ? 2 * n : 1) * each);
    if (!grown)
        return err_set(e, ENOMEM, "image: %m");
    *at = grown;
    return 0;
}

/* ---- pages --------------------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0;
}

static int place_content(struct image *i, const struct stream_page *page, struct page_note *note,
                         struct err *e)
{
    note->offset = page->offset;
    note->place = PAGE_IN_INPUT;
    if (page->offset != PAGE_COMPUTED && stream_input_can_reread(i->in))
        return 0;
    note->offset = 0;
    note->place = PAGE_NOWHERE;
    if (is_zero(page->content))
        return 0;
    note->place = PAGE_IN_SPOOL;
    return spool_put(&i->spool, page->content, PAGE_BYTES, &note->offset, e);
}

static int take_page(void *c, const struct stream_page *page, struct err *e)
{
    struct image *i = c;
    struct page_note note;
    int rc;

    if (!i->wishes.has_pages || !page->content || page->is_compared)
        return 0;
    note = pagetable_get(i->table, page->pfn);
    if ((rc = place_content(i, page, &note, e)) < 0)
        return rc;
    return pagetable_set(i->table, page->pfn, note, e);
}

int image_page(struct image *i, uint64_t pfn, uint8_t *to, struct err *e)
{
    struct page_note note = pagetable_get(i->table, pfn);

    if (note.place == PAGE_IN_INPUT)
        return stream_input_reread(i->in, note.offset, to, PAGE_BYTES, e);
    if (note.place == PAGE_IN_SPOOL)
        return spool_get(&i->spool, note.offset, to, PAGE_BYTES, e);
    memset(to, 0, PAGE_BYTES);
    return 0;
}

static int recall(void *c, uint64_t pfn, uint8_t *page, struct err *e)
{
    struct image *i = c;

    if (!i->wishes.has_pages)
        return err_set(e, EOPNOTSUPP, "pages are not kept");
    return image_page(i, pfn, page, e);
}

/* How many pages from pfn on lie side by side where the first one does. */
static size_t run_length(const struct image *i, uint64_t pfn, struct page_note first)
{
    size_t n = 1;

    for (; n < RUN_PAGES && pfn + n < i->pages; n++) {
        struct page_note next = pagetable_get(i->table, pfn + n);

        if (next.place != first.place ||
            (first.place != PAGE_NOWHERE && next.offset != first.offset + n * PAGE_BYTES))
            break;
    }
    return n;
}

int image_sha256(struct image *i, char ret[SHA256_HEX_BYTES], struct err *e)
{
    static const uint8_t zeros[RUN_PAGES * PAGE_BYTES];
    AUTO_FREE uint8_t *pages = malloc(sizeof(zeros));
    size_t n;

    if (!pages || sha256_begin(&i->sha) < 0)
        return err_set(e, ENOMEM, "image: %m");
    for (uint64_t pfn = 0; pfn < i->pages; pfn += n) {
        struct page_note first = pagetable_get(i->table, pfn);
        int rc = 0;

        n = run_length(i, pfn, first);
        if (first.place == PAGE_IN_INPUT)
            rc = stream_input_reread(i->in, first.offset, pages, n * PAGE_BYTES, e);
        else if (first.place == PAGE_IN_SPOOL)
            rc = spool_get(&i->spool, first.offset, pages, n * PAGE_BYTES, e);
        if (rc < 0)
            return rc;
        sha256_add(&i->sha, first.place == PAGE_NOWHERE ? zeros : pages, n * PAGE_BYTES);
    }
    sha256_hex(&i->sha, ret);
    return 0;
}

/* ---- blobs --------------------------------------------------------------------------------------- */

int image_state_compare(const struct image_state *a, const struct image_state *b)
{
    int order = strcmp(a->name, b->name);

    if (order == 0)
        order = a->emulator < b->emulator ? -1 : a->emulator > b->emulator;
    if (order == 0)
        order = a->index < b->index ? -1 : a->index > b->index;
    return order;
}

static int state_put(struct image *i, struct err *e)
{
    struct image_set *set = &i->now;
    size_t low = 0, high = set->states_n;
    int rc;

    i->is_changed = true;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = image_state_compare(&i->open, &set->states[middle]);

        if (order == 0) {
            set->states[middle] = i->open;
            return 0;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    if (set->states_n == IMAGE_STATES_MAX)
        return err_set(e, EPROTO, "more than %u blobs of state", IMAGE_STATES_MAX);
    if ((rc = list_grow(&set->states, set->states_n, sizeof(*set->states), e)) < 0)
        return rc;
    memmove(set->states + low + 1, set->states + low, (set->states_n - low) * sizeof(*set->states));
    set->states[low] = i->open;
    set->states_n++;
    return 0;
}

static int take_state(void *c, const struct stream_state *piece, struct err *e)
{
    struct image *i = c;
    uint64_t where;
    int rc;

    if (piece->at == 0) {
        i->open = (struct image_state){ .name = piece->name, .is_indexed = piece->is_indexed,
                                        .index = piece->index, .emulator = piece->emulator,
                                        .type = piece->type, .bytes = piece->total,
                                        .order = ++i->heard,
                                        .offset = i->spool.bytes };
        if (sha256_begin(&i->sha) < 0)
            return err_set(e, ENOMEM, "image: %m");
    }
    sha256_add(&i->sha, piece->octets, piece->bytes);
    if (i->wishes.has_states && (rc = spool_put(&i->spool, piece->octets, piece->bytes, &where, e)) < 0)
        return rc;
    if (piece->at + piece->bytes < piece->total)
        return 0;
    sha256_hex(&i->sha, i->open.sha256);
    return state_put(i, e);
}

int image_state_get(struct image *i, const struct image_state *s, uint64_t at, void *to, size_t n,
                    struct err *e)
{
    must(i->wishes.has_states && at <= s->bytes && n <= s->bytes - at);
    return n ? spool_get(&i->spool, s->offset + at, to, n, e) : 0;
}

const char *image_state_name(const struct image_state *s, char ret[IMAGE_STATE_NAME_MAX])
{
    if (strncmp(s->name, "EMULATOR", 8) == 0)
        snprintf(ret, IMAGE_STATE_NAME_MAX, "%s/%" PRIu32 "/%" PRIu32, s->name, s->emulator, s->index);
    else if (s->is_indexed)
        snprintf(ret, IMAGE_STATE_NAME_MAX, "%s/%" PRIu32, s->name, s->index);
    else
        snprintf(ret, IMAGE_STATE_NAME_MAX, "%s", s->name);
    return ret;
}

/* ---- parameters ---------------------------------------------------------------------------------- */

static int take_param(void *c, uint64_t index, uint64_t value, struct err *e)
{
    struct image *i = c;
    struct image_set *set = &i->now;
    size_t at = 0;
    int rc;

    i->is_changed = true;
    while (at < set->params_n && set->params[at].index < index)
        at++;
    if (at < set->params_n && set->params[at].index == index) {
        set->params[at].value = value;
        return 0;
    }
    if (set->params_n == IMAGE_PARAMS_MAX)
        return err_set(e, EPROTO, "more than %u HVM parameters", IMAGE_PARAMS_MAX);
    if ((rc = list_grow(&set->params, set->params_n, sizeof(*set->params), e)) < 0)
        return rc;
    memmove(set->params + at + 1, set->params + at, (set->params_n - at) * sizeof(*set->params));
    set->params[at] = (struct image_param){ index, value };
    set->params_n++;
    return 0;
}

/* ---- the transaction ----------------------------------------------------------------------------- */

static int take_begin(void *c, const struct stream_facts *facts, UNUSED struct err *e)
{
    ((struct image *)c)->table = facts->table;
    return 0;
}

static int take_commit(void *c, UNUSED uint64_t n, struct err *e)
{
    struct image *i = c;
    int rc = i->is_changed ? set_copy(&i->kept, &i->now, e) : 0;

    if (rc == 0)
        i->is_changed = false;
    return rc;
}

static int take_drop(void *c, struct err *e)
{
    struct image *i = c;
    struct image_set copy = { .states = NULL };
    int rc = i->is_changed ? set_copy(&copy, &i->kept, e) : 0;

    if (rc < 0 || !i->is_changed)
        return rc;
    set_free(&i->now);
    i->now = copy;
    i->is_changed = false;
    return 0;
}

static int take_end(void *c, const struct stream_facts *facts, bool is_complete, UNUSED struct err *e)
{
    struct image *i = c;

    pagetable_count(facts->table, &i->populated, &i->pages);
    if (facts->is_legacy || facts->guest == STREAM_GUEST_PV)
        i->pages = facts->pages;
    i->is_complete = is_complete;
    return 0;
}

static int take_item(UNUSED void *c, UNUSED const struct stream_item *item, UNUSED struct err *e)
{
    return 0;
}

static int take_note(UNUSED void *c, UNUSED enum stream_note note, UNUSED struct err *e)
{
    return 0;
}

struct consumer image_consumer(struct image *i)
{
    static const struct consumer_ops ops = {
        .begin = take_begin,
        .item = take_item,
        .page = take_page,
        .state = take_state,
        .param = take_param,
        .note = take_note,
        .recall = recall,
        .commit = take_commit,
        .drop = take_drop,
        .end = take_end,
    };

    return (struct consumer){ &ops, i };
}
