/* write_plain_stream — writes a libxc v3 stream of a small HVM guest to stdout, made by the product's
 * own writers without compression: three epochs that end with CHECKPOINT each, then END.
 * test-verify-stream.sh shows it to a reader that is not ours. With the argument "encoded" the last
 * chunk is PAGE_DATA_ENCODED, which such a reader must refuse, not skip. */
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "checkpoint/pages.h"
#include "checkpoint/record.h"
#include "checkpoint/stream.h"

#define EPOCHS      3u
#define GUEST_PAGES 600u
#define ROOM        ((size_t)RECORD_HEADER_BYTES + PAGES_BODY_MAX + 8)

static uint8_t octets[ROOM];

static void write_out(const struct sink *filled)
{
    size_t bytes = sizeof(octets) - filled->left;

    must(fwrite(octets, 1, bytes, stdout) == bytes);
}

static void write_record(uint32_t type, const void *body, size_t bytes)
{
    struct sink out = { octets, sizeof(octets) };

    must(record_put(&out, type, body, bytes) == 0);
    write_out(&out);
}

/* One chunk of pages from `first` on; every type that a record may carry occurs. */
static void write_pages(struct rng *r, size_t first, bool encoded)
{
    static const uint8_t rare[] = { 0x1, 0x4, 0x9, 0xc, 0xd, 0xe, 0xf };
    static uint8_t pages[PAGES_CHUNK_MAX * PAGE_BYTES];
    uint64_t pfns[PAGES_CHUNK_MAX];
    uint8_t types[PAGES_CHUNK_MAX];
    struct pages_source from = { pages, pfns, types, 0 };
    struct pages_rules rules = { .epoch = 1 };
    struct pages_tally tally = { 0 };
    struct sink out = { octets, sizeof(octets) };

    for (; from.n < PAGES_CHUNK_MAX && first + from.n < GUEST_PAGES; from.n++) {
        pfns[from.n] = first + from.n;
        types[from.n] = rng_chance(r, 100000) ? rare[rng_below(r, sizeof(rare))] : PAGE_TYPE_NORMAL;
    }
    rng_fill(r, pages, from.n * PAGE_BYTES);
    if (encoded)
        must(pages_encode(&out, &from, &rules, NULL, &tally) == 0);
    else
        must(pages_put_plain(&out, &from, &tally) == 0);
    write_out(&out);
}

static void write_state(struct rng *r)
{
    uint8_t tsc[24] = { 0 }, context[1001], params[8 + 2 * 16] = { 0 };

    store_u32(tsc, 1);
    store_u32(tsc + 4, 2400000);
    write_record(RECORD_X86_TSC_INFO, tsc, sizeof(tsc));
    rng_fill(r, context, sizeof(context));
    write_record(RECORD_HVM_CONTEXT, context, sizeof(context)); /* seven octets of padding */
    store_u32(params, 2);
    store_u64(params + 8, 1); /* STORE_PFN */
    store_u64(params + 16, 0xfeffc);
    store_u64(params + 24, 17); /* CONSOLE_PFN */
    store_u64(params + 32, 0xfefff);
    write_record(RECORD_HVM_PARAMS, params, sizeof(params));
}

int main(int argc, char **argv)
{
    bool encoded = argc > 1 && strcmp(argv[1], "encoded") == 0;
    struct stream_headers headers = { STREAM_VERSION, STREAM_GUEST_HVM, 4, 17 };
    struct sink out = { octets, sizeof(octets) };
    uint8_t leaf[24] = { 0 }, msr[16] = { 0 };
    struct rng r;

    rng_seed(&r, 1);
    must(stream_headers_put(&out, &headers) == 0);
    write_out(&out);
    write_record(RECORD_X86_CPUID_POLICY, leaf, sizeof(leaf));
    write_record(RECORD_X86_MSR_POLICY, msr, sizeof(msr));
    write_record(RECORD_STATIC_DATA_END, NULL, 0);
    for (unsigned epoch = 1; epoch <= EPOCHS; epoch++) {
        for (size_t first = 0; first < GUEST_PAGES; first += PAGES_CHUNK_MAX)
            write_pages(&r, first, encoded && epoch == EPOCHS && first + PAGES_CHUNK_MAX >= GUEST_PAGES);
        write_state(&r);
        write_record(RECORD_CHECKPOINT, NULL, 0);
    }
    write_record(RECORD_END, NULL, 0);
    return fflush(stdout) == 0 ? 0 : 1;
}
