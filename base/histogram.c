/* histogram — see histogram.h. Values below 32 have a bucket each; above, the leading bit names the
 * octave and the five bits after it the bucket within. */
#include "base/histogram.h"

#define STEPS (UINT64_C(1) << HISTOGRAM_STEPS_LOG2)

static unsigned octave_of(uint64_t value)
{
    return 63u - (unsigned)__builtin_clzll(value | 1);
}

static unsigned bucket_of(uint64_t value)
{
    unsigned octave = octave_of(value);

    if (value < STEPS)
        return (unsigned)value;
    return (unsigned)(((octave - HISTOGRAM_STEPS_LOG2 + 1) << HISTOGRAM_STEPS_LOG2) +
                      ((value >> (octave - HISTOGRAM_STEPS_LOG2)) & (STEPS - 1)));
}

/* The greatest value that falls into a bucket. */
static uint64_t bucket_end(unsigned bucket)
{
    unsigned shift;

    if (bucket < STEPS)
        return bucket;
    shift = (bucket >> HISTOGRAM_STEPS_LOG2) - 1;
    return (((bucket & (STEPS - 1)) + STEPS) << shift) + ((UINT64_C(1) << shift) - 1);
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->buckets[bucket_of(value)]++;
    h->count++;
    h->sum += value;
    if (value > h->max)
        h->max = value;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
    to->count += from->count;
    to->sum += from->sum;
    if (from->max > to->max)
        to->max = from->max;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
    double share = q < 0 ? 0 : q > 1 ? 1 : q;
    double exact = share * (double)h->count;
    uint64_t wanted = (uint64_t)exact, seen = 0;

    if ((double)wanted < exact || wanted == 0)
        wanted++;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= wanted)
            return bucket_end(i) < h->max ? bucket_end(i) : h->max;
    }
    return h->max;
}
