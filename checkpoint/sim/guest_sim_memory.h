/* guest_sim_memory — a simulated guest's memory: one mapping, and pages that prove themselves.
 * A written page starts with {version, step, check}; check is a sum over all other words, kept up to
 * date by each edit in proportion to what it changed. A page of zeros was never written. Torn pages
 * and pages of another epoch are found by guest_sim_check(). */
#ifndef REPLICATOR_CHECKPOINT_GUEST_SIM_MEMORY_H
#define REPLICATOR_CHECKPOINT_GUEST_SIM_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "compress/codec.h"

#define SIM_PAGE_WORDS (PAGE_BYTES / 8u)
enum { SIM_PAGE_VERSION, SIM_PAGE_STEP, SIM_PAGE_CHECK, SIM_PAGE_CONTENT };

/* Memory that costs nothing until it is touched. */
MUST_CHECK int guest_sim_memory_map(uint64_t pages, uint8_t **ret, struct err *e);
void guest_sim_memory_unmap(uint8_t *memory, uint64_t pages); /* NULL: nothing */

/* Backs `bytes` at `at` (within a mapping, page aligned) for good; -ENOMEM instead of a signal. */
MUST_CHECK int guest_sim_memory_populate(uint8_t *at, size_t bytes, struct err *e);

/* One change of one page. Begin, put any words of the content, end. */
struct guest_sim_edit {
    uint64_t *words;
    uint64_t key;        /* of this page in this guest */
    uint64_t check;
    uint64_t sum_before; /* the page's share of its vCPU's memory sum */
};

uint64_t guest_sim_page_key(uint64_t seed, uint64_t pfn);
void guest_sim_edit_begin(struct guest_sim_edit *edit, uint8_t *page, uint64_t key);
void guest_sim_edit_put(struct guest_sim_edit *edit, size_t word, uint64_t value);

/* Seals the page as the work of `step`; returns what the vCPU's memory sum grows by (modulo 2^64). */
uint64_t guest_sim_edit_end(struct guest_sim_edit *edit, uint64_t step);

/* Whether every octet of the page agrees with its check; *ret_sum is its share of the memory sum. */
bool guest_sim_page_is_whole(const uint8_t *page, uint64_t key, uint64_t *ret_sum);

static inline uint64_t guest_sim_page_word(const uint8_t *page, size_t word)
{
    return ((const uint64_t *)(const void *)page)[word];
}

#endif
