/* pagecopy — see pagecopy.h. SSE2 is in every x86-64; wider vectors where cpu.h finds them. */
#include "checkpoint/pagecopy.h"

#include <stdbool.h>
#include <string.h>

#include "base/attr.h"
#include "compress/codec.h"
#include "compress/cpu.h"

#define ABREAST 4u
#define LINE    64u

void pagecopy_cached(uint8_t *const *to, const uint8_t *memory, const uint64_t *pfns, size_t n)
{
    for (size_t i = 0; i < n; i++)
        memcpy(to[i], memory + pfns[i] * PAGE_BYTES, PAGE_BYTES);
}

#ifdef __x86_64__
#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

INLINE void line_sse2(uint8_t *to, const uint8_t *from)
{
    __m128i a = _mm_load_si128((const __m128i *)(const void *)from);
    __m128i b = _mm_load_si128((const __m128i *)(const void *)(from + 16));
    __m128i c = _mm_load_si128((const __m128i *)(const void *)(from + 32));
    __m128i d = _mm_load_si128((const __m128i *)(const void *)(from + 48));

    _mm_stream_si128((__m128i *)(void *)to, a);
    _mm_stream_si128((__m128i *)(void *)(to + 16), b);
    _mm_stream_si128((__m128i *)(void *)(to + 32), c);
    _mm_stream_si128((__m128i *)(void *)(to + 48), d);
}

__attribute__((target("avx2"))) INLINE void line_avx2(uint8_t *to, const uint8_t *from)
{
    __m256i a = _mm256_load_si256((const __m256i *)(const void *)from);
    __m256i b = _mm256_load_si256((const __m256i *)(const void *)(from + 32));

    _mm256_stream_si256((__m256i *)(void *)to, a);
    _mm256_stream_si256((__m256i *)(void *)(to + 32), b);
}

__attribute__((target("avx512f"))) INLINE void line_avx512(uint8_t *to, const uint8_t *from)
{
    _mm512_stream_si512((__m512i *)(void *)to, _mm512_load_si512(from));
}

/* The same loop for each width; from[] are the pages that are copied side by side. */
#define DEFINE_GROUP(width, attribute)                                                             \
    attribute static void group_##width(uint8_t *const to[ABREAST],                                \
                                        const uint8_t *const from[ABREAST])                        \
    {                                                                                              \
        const uint8_t *a = from[0], *b = from[1], *c = from[2], *d = from[3];                      \
        uint8_t *ta = to[0], *tb = to[1], *tc = to[2], *td = to[3];                                \
                                                                                                   \
        for (size_t at = 0; at < PAGE_BYTES; at += LINE) {                                         \
            line_##width(ta + at, a + at);                                                         \
            line_##width(tb + at, b + at);                                                         \
            line_##width(tc + at, c + at);                                                         \
            line_##width(td + at, d + at);                                                         \
        }                                                                                          \
    }
DEFINE_GROUP(sse2, )
DEFINE_GROUP(avx2, __attribute__((target("avx2"))))
DEFINE_GROUP(avx512, __attribute__((target("avx512f"))))

static void (*const groups[CPU_LEVELS])(uint8_t *const to[ABREAST], const uint8_t *const from[ABREAST]) = {
    [CPU_PORTABLE] = group_sse2,
    [CPU_AVX2] = group_avx2,
    [CPU_AVX512] = group_avx512,
};

void pagecopy_stream(uint8_t *const *to, const uint8_t *memory, const uint64_t *pfns, size_t n)
{
    void (*group)(uint8_t *const[ABREAST], const uint8_t *const[ABREAST]) = groups[cpu_level()];
    size_t i = 0;

    for (; i + ABREAST <= n; i += ABREAST) {
        const uint8_t *from[ABREAST];

        for (size_t k = 0; k < ABREAST; k++)
            from[k] = memory + pfns[i + k] * PAGE_BYTES;
        group(to + i, from);
    }
    _mm_sfence(); /* such stores are ordered with nothing else */
    pagecopy_cached(to + i, memory, pfns + i, n - i);
}
#else
void pagecopy_stream(uint8_t *const *to, const uint8_t *memory, const uint64_t *pfns, size_t n)
{
    pagecopy_cached(to, memory, pfns, n);
}
#endif

void pagecopy(uint8_t *const *to, const uint8_t *memory, const uint64_t *pfns, size_t n)
{
    uintptr_t all = (uintptr_t)memory;

    for (size_t i = 0; i < n; i++)
        all |= (uintptr_t)to[i];
    if (all % LINE == 0 && n >= PAGECOPY_STREAM_PAGES)
        pagecopy_stream(to, memory, pfns, n);
    else
        pagecopy_cached(to, memory, pfns, n);
}
