/* guest_sim_words — some pages of a simulated guest as one array of words, for state that a device of the
 * guest keeps. Every page stays one that proves itself (guest_sim_memory.h), and is logged after what was
 * stored: a copy taken between two flushes is either whole or in the log again. */
#ifndef REPLICATOR_CHECKPOINT_GUEST_SIM_WORDS_H
#define REPLICATOR_CHECKPOINT_GUEST_SIM_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "checkpoint/dirty.h"
#include "checkpoint/sim/guest_sim_memory.h"

#define GUEST_SIM_WORDS_A_PAGE (SIM_PAGE_WORDS - SIM_PAGE_CONTENT)

struct guest_sim_words {
    uint8_t *memory;     /* the whole guest's */
    struct dirty *log;   /* the whole guest's; words are atomic */
    uint64_t seed;       /* of the guest */
    uint64_t first_pfn, pages;
    /* private */
    struct guest_sim_edit edit; /* of open_pfn */
    uint64_t open_pfn;          /* 0: none (pfn 0 is a NIC's page) */
    uint64_t sum_delta;
};

static inline uint64_t guest_sim_words_get(const struct guest_sim_words *w, size_t i)
{
    return guest_sim_page_word(w->memory + (w->first_pfn + i / GUEST_SIM_WORDS_A_PAGE) * PAGE_BYTES,
                               SIM_PAGE_CONTENT + i % GUEST_SIM_WORDS_A_PAGE);
}

/* Stores at index i, which must be below pages × GUEST_SIM_WORDS_A_PAGE, as the work of `step`. */
void guest_sim_words_put(struct guest_sim_words *w, size_t i, uint64_t value, uint64_t step);

/* Octets at octet offset `at` of the array. */
void guest_sim_words_read(const struct guest_sim_words *w, size_t at, uint8_t *to, size_t bytes);
void guest_sim_words_write(struct guest_sim_words *w, size_t at, const uint8_t *from, size_t bytes,
                           uint64_t step);

/* Seals what was stored since the last flush; returns what the memory sum grows by. */
uint64_t guest_sim_words_flush(struct guest_sim_words *w, uint64_t step);

#endif
