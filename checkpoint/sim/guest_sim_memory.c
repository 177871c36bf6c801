/* guest_sim_memory — see guest_sim_memory.h. */
#include "checkpoint/sim/guest_sim_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "base/rng.h"

int guest_sim_memory_map(uint64_t pages, uint8_t **ret, struct err *e)
{
    size_t bytes = (size_t)pages * PAGE_BYTES;
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED)
        return err_set(e, ENOMEM, "no address space for a guest of %" PRIu64 " pages", pages);
    madvise(at, bytes, MADV_DONTDUMP);
    *ret = at;
    return 0;
}

void guest_sim_memory_unmap(uint8_t *memory, uint64_t pages)
{
    if (memory)
        munmap(memory, (size_t)pages * PAGE_BYTES);
}

int guest_sim_memory_populate(uint8_t *at, size_t bytes, struct err *e)
{
    /* Huge pages only here: where a guest touches its memory bit by bit, zeroing 2 MiB at each first
     * touch stops the vCPU for milliseconds, and a pause with it. */
    madvise(at, bytes, MADV_HUGEPAGE);
    while (madvise(at, bytes, MADV_POPULATE_WRITE) < 0) {
        if (errno == EINVAL) { /* Linux before 5.14: touch, and trust the system to have it */
            for (size_t i = 0; i < bytes; i += PAGE_BYTES)
                __atomic_fetch_or(at + i, 0, __ATOMIC_RELAXED);
            return 0;
        }
        if (errno != EINTR && errno != EAGAIN)
            return err_set(e, ENOMEM, "no memory behind %zu octets of a guest: %m", bytes);
    }
    return 0;
}

uint64_t guest_sim_page_key(uint64_t seed, uint64_t pfn)
{
    return rng_mix(seed ^ rng_mix(pfn));
}

/* Zero words weigh nothing, so that a page never written has the check of an empty sum: 0. */
static uint64_t weight(uint64_t key, size_t word, uint64_t value)
{
    return value ? rng_mix(value ^ (key + word * UINT64_C(0x9e3779b97f4a7c15))) : 0;
}

static uint64_t page_sum(uint64_t key, uint64_t version, uint64_t check)
{
    return version ? rng_mix(key ^ check) : 0;
}

void guest_sim_edit_begin(struct guest_sim_edit *edit, uint8_t *page, uint64_t key)
{
    uint64_t *words = (uint64_t *)(void *)page;

    *edit = (struct guest_sim_edit){
        .words = words,
        .key = key,
        .check = words[SIM_PAGE_CHECK],
        .sum_before = page_sum(key, words[SIM_PAGE_VERSION], words[SIM_PAGE_CHECK]),
    };
}

void guest_sim_edit_put(struct guest_sim_edit *edit, size_t word, uint64_t value)
{
    edit->check += weight(edit->key, word, value) - weight(edit->key, word, edit->words[word]);
    edit->words[word] = value;
}

uint64_t guest_sim_edit_end(struct guest_sim_edit *edit, uint64_t step)
{
    guest_sim_edit_put(edit, SIM_PAGE_VERSION, edit->words[SIM_PAGE_VERSION] + 1);
    guest_sim_edit_put(edit, SIM_PAGE_STEP, step);
    edit->words[SIM_PAGE_CHECK] = edit->check;
    return page_sum(edit->key, edit->words[SIM_PAGE_VERSION], edit->check) - edit->sum_before;
}

bool guest_sim_page_is_whole(const uint8_t *page, uint64_t key, uint64_t *ret_sum)
{
    uint64_t version = guest_sim_page_word(page, SIM_PAGE_VERSION);
    uint64_t said = guest_sim_page_word(page, SIM_PAGE_CHECK), any = 0, check = 0;

    for (size_t i = 0; i < SIM_PAGE_WORDS; i++) {
        any |= guest_sim_page_word(page, i);
        if (i != SIM_PAGE_CHECK)
            check += weight(key, i, guest_sim_page_word(page, i));
    }
    *ret_sum = page_sum(key, version, said);
    return check == said && (version != 0 || any == 0);
}
