/* guest_sim_words — see guest_sim_words.h. One page is open at a time: stores come in runs. */
#include "checkpoint/sim/guest_sim_words.h"

#include <string.h>

#include "base/attr.h"

static void close_page(struct guest_sim_words *w, uint64_t step)
{
    uint64_t pfn = w->open_pfn;

    if (pfn == 0)
        return;
    w->sum_delta += guest_sim_edit_end(&w->edit, step);
    __atomic_fetch_or(&w->log->words[pfn / 64], UINT64_C(1) << (pfn % 64), __ATOMIC_RELEASE);
    w->open_pfn = 0;
}

static void open_page(struct guest_sim_words *w, uint64_t pfn, uint64_t step)
{
    if (pfn == w->open_pfn)
        return;
    close_page(w, step);
    guest_sim_edit_begin(&w->edit, w->memory + pfn * PAGE_BYTES, guest_sim_page_key(w->seed, pfn));
    w->open_pfn = pfn;
}

void guest_sim_words_put(struct guest_sim_words *w, size_t i, uint64_t value, uint64_t step)
{
    must(i / GUEST_SIM_WORDS_A_PAGE < w->pages);
    if (guest_sim_words_get(w, i) == value)
        return;
    open_page(w, w->first_pfn + i / GUEST_SIM_WORDS_A_PAGE, step);
    guest_sim_edit_put(&w->edit, SIM_PAGE_CONTENT + i % GUEST_SIM_WORDS_A_PAGE, value);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

void guest_sim_words_read(const struct guest_sim_words *w, size_t at, uint8_t *to, size_t bytes)
{
    for (size_t n; bytes > 0; at += n, to += n, bytes -= n) {
        uint64_t word = guest_sim_words_get(w, at / 8);

        n = least(8 - at % 8, bytes);
        memcpy(to, (const uint8_t *)&word + at % 8, n);
    }
}

void guest_sim_words_write(struct guest_sim_words *w, size_t at, const uint8_t *from, size_t bytes,
                           uint64_t step)
{
    for (size_t n; bytes > 0; at += n, from += n, bytes -= n) {
        uint64_t word = guest_sim_words_get(w, at / 8);

        n = least(8 - at % 8, bytes);
        memcpy((uint8_t *)&word + at % 8, from, n);
        guest_sim_words_put(w, at / 8, word, step);
    }
}

uint64_t guest_sim_words_flush(struct guest_sim_words *w, uint64_t step)
{
    uint64_t delta;

    close_page(w, step);
    delta = w->sum_delta;
    w->sum_delta = 0;
    return delta;
}
