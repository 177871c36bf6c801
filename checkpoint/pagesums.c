/* pagesums — see pagesums.h. */
#include "checkpoint/pagesums.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "base/digest.h"
#include "compress/codec.h"

#define HEAD_BYTES 24u /* u64 epoch, u64 first pfn, u32 count, u32 zero; then a u64 each */

int pagesums_open(struct pagesums *s, uint64_t pages, struct err *e)
{
    void *at = mmap(NULL, pages * sizeof(*s->sums), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    *s = (struct pagesums){ .sums = NULL };
    if (at == MAP_FAILED)
        return err_set(e, ENOMEM, "no memory for digests of %" PRIu64 " pages", pages);
    *s = (struct pagesums){ .sums = at, .pages = pages };
    return 0;
}

void pagesums_close(struct pagesums *s)
{
    if (s->sums)
        munmap(s->sums, s->pages * sizeof(*s->sums));
    *s = (struct pagesums){ .sums = NULL };
}

void pagesums_clear(struct pagesums *s)
{
    if (madvise(s->sums, s->pages * sizeof(*s->sums), MADV_DONTNEED) < 0)
        memset(s->sums, 0, s->pages * sizeof(*s->sums));
}

uint64_t pagesums_of(const uint8_t *page)
{
    uint64_t sum = digest_of(page, PAGE_BYTES);

    return sum ? sum : 1;
}

uint64_t pagesums_next(const struct pagesums *s, uint64_t from)
{
    while (from < s->pages && s->sums[from] == 0)
        from++;
    return from;
}

int pagesums_put(const struct pagesums *s, uint64_t epoch, uint64_t *cursor, struct sink *out)
{
    uint64_t first = pagesums_next(s, *cursor), left = s->pages - first;
    uint32_t count = left < PAGE_SUMS_MAX ? (uint32_t)left : PAGE_SUMS_MAX;
    uint8_t *at;

    while (count > 0 && s->sums[first + count - 1] == 0)
        count--;
    if (count == 0)
        return 0;
    if (sink_room(out, record_wire_bytes(HEAD_BYTES + count * sizeof(*s->sums)), &at) < 0)
        return -ENOBUFS;
    store_u32(at, RECORD_PAGE_SUMS);
    store_u32(at + 4, HEAD_BYTES + count * (uint32_t)sizeof(*s->sums));
    at += RECORD_HEADER_BYTES;
    store_u64(at, epoch);
    store_u64(at + 8, first);
    store_u32(at + 16, count);
    store_u32(at + 20, 0);
    for (uint32_t i = 0; i < count; i++)
        store_u64(at + HEAD_BYTES + i * sizeof(*s->sums), s->sums[first + i]);
    *cursor = first + count;
    return 1;
}

int pagesums_take(struct pagesums *s, uint64_t epoch, const struct record *from, struct err *e)
{
    uint64_t first = load_u64(from->body + 8);
    uint32_t count = load_u32(from->body + 16);

    if (load_u64(from->body) != epoch)
        return err_set(e, EPROTO, "PAGE_SUMS of epoch %" PRIu64, load_u64(from->body));
    if (count == 0 || from->bytes != HEAD_BYTES + (uint64_t)count * sizeof(*s->sums) ||
        load_u32(from->body + 20) != 0)
        return err_set(e, EPROTO, "PAGE_SUMS of %" PRIu32 " octets says %" PRIu32 " pages", from->bytes, count);
    if (first >= s->pages || count > s->pages - first)
        return err_set(e, EPROTO, "PAGE_SUMS of pages %#" PRIx64 " and on: the guest has %#" PRIx64, first,
                       s->pages);
    for (uint32_t i = 0; i < count; i++)
        s->sums[first + i] = load_u64(from->body + HEAD_BYTES + i * sizeof(*s->sums));
    return 0;
}
