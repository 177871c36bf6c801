/* peers — what ours is held against: Remus' own compression as its format demands it, zstd, and LZ4
 * over whole pages is among the program's own rows. */
#ifndef REPLICATOR_TESTS_BENCH_PEERS_H
#define REPLICATOR_TESTS_BENCH_PEERS_H

#include "replicator/bench/bench_row.h"

extern const struct bench_row peer_limit, peer_reading;
extern const struct bench_row peer_legacy, peer_legacy_sharper;
extern const struct bench_row peer_zstd;

#endif
