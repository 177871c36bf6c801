/* pagebuf — see pagebuf.h. One mapping for the pages: huge pages and pre-faulting, because a fault
 * while the guest is paused would be paid for by the guest. */
#include "checkpoint/pagebuf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint8_t *map_pages(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        return NULL;
    madvise(at, bytes, MADV_HUGEPAGE);
    madvise(at, bytes, MADV_DONTDUMP); /* a guest's memory is nobody else's to read */
    memset(at, 0, bytes);
    return at;
}

int pagebuf_open(struct pagebuf *b, size_t capacity, struct err *e)
{
    *b = (struct pagebuf){ 0 };
    if (capacity == 0 || capacity > PAGEBUF_PAGES_MAX)
        return err_set(e, EINVAL, "a page buffer of %zu pages: 1 … %zu are possible", capacity,
                       (size_t)PAGEBUF_PAGES_MAX);
    b->capacity = capacity;
    b->pages = map_pages(capacity * PAGE_BYTES);
    b->slots = malloc(capacity * sizeof(*b->slots));
    b->pfns = malloc(capacity * sizeof(*b->pfns));
    b->types = malloc(capacity * sizeof(*b->types));
    if (!b->pages || !b->slots || !b->pfns || !b->types) {
        pagebuf_close(b);
        return err_set(e, ENOMEM, "no memory for a page buffer of %zu pages", capacity);
    }
    for (size_t i = 0; i < capacity; i++)
        b->slots[i] = b->pages + i * PAGE_BYTES;
    /* Not zero: a compiler may turn malloc and zeroing into calloc, which touches nothing. */
    memset(b->pfns, 0xff, capacity * sizeof(*b->pfns));
    memset(b->types, 0xff, capacity * sizeof(*b->types));
    return 0;
}

void pagebuf_close(struct pagebuf *b)
{
    if (b->pages)
        munmap(b->pages, b->capacity * PAGE_BYTES);
    free(b->slots);
    free(b->pfns);
    free(b->types);
    *b = (struct pagebuf){ 0 };
}
