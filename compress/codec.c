/* codec — the table of encodings, and the choice of one for a page.
 * The choice is by size with two thumbs on the scale: a delta well below a page is taken without
 * asking lz4, which costs ten times as much; and lz4 must save an eighth, or raw is the better
 * bargain for both sides. */
#include "compress/codec.h"

#include <string.h>

#include "compress/codec_rows.h"
#include "compress/delta.h"

#define DELTA_IS_GOOD_BYTES (PAGE_BYTES / 4 * 3)
#define LZ4_PAYS_BYTES_MAX  (PAGE_BYTES / 8 * 7)

static const struct codec *const codecs[CODEC_COUNT] = {
    [CODEC_RAW] = &codec_raw,
    [CODEC_ZERO] = &codec_zero,
    [CODEC_DELTA] = &codec_delta,
    [CODEC_LZ4] = &codec_lz4,
    [CODEC_XOR_RLE] = &codec_xor_rle,
};

const struct codec *codec_by_id(uint64_t id)
{
    return id < CODEC_COUNT ? codecs[id] : NULL;
}

const struct codec *codec_by_name(const char *name)
{
    for (size_t i = 0; i < CODEC_COUNT; i++)
        if (strcmp(codecs[i]->name, name) == 0)
            return codecs[i];
    return NULL;
}

/* Puts the page into out by lz4 when that is shorter than `to_beat`; leaves out alone when not. */
static size_t lz4_if_shorter(const uint8_t *page, size_t to_beat, uint8_t *out)
{
    uint8_t attempt[LZ4_PAYS_BYTES_MAX];
    size_t room = to_beat <= sizeof(attempt) ? to_beat - 1 : sizeof(attempt);
    size_t bytes = codec_lz4.encode(page, NULL, attempt, room);

    if (bytes != CODEC_NOT_WORTH)
        memcpy(out, attempt, bytes);
    return bytes;
}

/* Reads the pages that a delta may be made of, side by side. ret[i] is job i's map, or NULL. */
static void compare_all(const struct codec_job *jobs, size_t n, struct delta_map *maps,
                        struct delta_map **ret)
{
    const uint8_t *pages[CODEC_BATCH], *priors[CODEC_BATCH];
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        ret[i] = NULL;
        if (!jobs[i].prior)
            continue;
        ret[i] = &maps[count];
        pages[count] = jobs[i].page;
        priors[count++] = jobs[i].prior;
    }
    if (count > 0)
        delta_level()->compare(maps, pages, priors, count);
}

/* By lz4, if it is allowed, worth a try after a delta of so many octets, and shorter. */
static size_t by_lz4(struct codec_choice allowed, const struct codec_job *job, size_t delta_bytes,
                     uint8_t *out)
{
    if (!allowed.lz4 || delta_bytes < DELTA_IS_GOOD_BYTES)
        return CODEC_NOT_WORTH;
    return lz4_if_shorter(job->page, delta_bytes, out);
}

/* The map of a page that is not zero to its delta, or CODEC_NOT_WORTH. */
static size_t by_delta(struct codec_choice allowed, struct codec_job *job, struct delta_map *map,
                       uint8_t *out)
{
    const struct delta_level *level = delta_level();
    struct delta_size size;
    size_t bytes;

    job->codec = &codec_delta;
    if (map->lines == 0)
        return 0;
    size = level->size(map, job->page, job->prior);
    if ((bytes = by_lz4(allowed, job, size.bytes, out)) != CODEC_NOT_WORTH) {
        job->codec = &codec_lz4;
        return bytes;
    }
    if (size.bytes != CODEC_NOT_WORTH) /* even a poor one is shorter than the page */
        level->emit(map, size, job->page, out);
    return size.bytes;
}

/* The same by another row than the delta's, or without a prior version (row NULL). */
static size_t by_row(struct codec_choice allowed, struct codec_job *job, const struct codec *row,
                     uint8_t *out)
{
    size_t bytes = CODEC_NOT_WORTH, by;

    if (row)
        bytes = row->encode(job->page, job->prior, out, PAGE_BYTES - 1);
    job->codec = row;
    if ((by = by_lz4(allowed, job, bytes, out)) == CODEC_NOT_WORTH)
        return bytes;
    job->codec = &codec_lz4;
    return by;
}

static size_t encode_one(struct codec_choice allowed, struct codec_job *job, struct delta_map *map,
                         uint8_t *out)
{
    bool is_rle = allowed.delta == CODEC_BY_XOR_RLE && job->prior;
    size_t bytes;

    job->codec = &codec_zero;
    if (map ? map->is_zero : page_is_zero(job->page))
        return 0;
    if (map)
        bytes = by_delta(allowed, job, map, out);
    else
        bytes = by_row(allowed, job, is_rle ? &codec_xor_rle : NULL, out);
    if (bytes != CODEC_NOT_WORTH)
        return bytes;
    job->codec = &codec_raw;
    if (allowed.raw_in_place)
        job->payload = job->page;
    else
        codec_raw.encode(job->page, NULL, out, PAGE_BYTES);
    return PAGE_BYTES;
}

static void keep_page(const struct codec_job *job, const struct delta_map *map)
{
    if (!job->keep)
        return;
    if (map && job->keep == job->prior)
        delta_level()->update(map, job->page, job->keep);
    else
        memcpy(job->keep, job->page, PAGE_BYTES);
}

size_t codec_encode_batch(struct codec_choice allowed, struct codec_job *jobs, size_t n, uint8_t *out)
{
    struct delta_map maps[CODEC_BATCH], *map_of[CODEC_BATCH] = { NULL };
    const uint8_t *start = out;

    must(n <= CODEC_BATCH);
    if (allowed.delta == CODEC_BY_DELTA)
        compare_all(jobs, n, maps, map_of);
    for (size_t i = 0; i < n; i++) {
        jobs[i].payload = out;
        jobs[i].bytes = encode_one(allowed, &jobs[i], map_of[i], out);
        if (jobs[i].payload == out)
            out += jobs[i].bytes;
        keep_page(&jobs[i], map_of[i]);
    }
    return (size_t)(out - start);
}

size_t codec_encode_best(struct codec_choice allowed, const uint8_t *page, const uint8_t *prior,
                         uint8_t *out, const struct codec **ret_codec)
{
    struct codec_job job = { .page = page, .prior = prior };

    allowed.raw_in_place = false;
    codec_encode_batch(allowed, &job, 1, out);
    *ret_codec = job.codec;
    return job.bytes;
}
