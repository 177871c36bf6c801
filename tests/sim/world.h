/* world — two hosts, a network between them, an arbiter and a guest, all made from one seed.
 * Only guest, replica memory, link, netbuf, clock and arbiter are fakes (fake_*.c); protocol, engines,
 * stage, records, codecs and caches are the shipped objects. Nothing here reads a clock or a random
 * device: a seed replays to the last octet. observer.h judges, faults.h does the harm. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/rng.h"
#include "checkpoint/guest.h"
#include "checkpoint/replica.h"
#include "compress/codec.h"
#include "netbuf/netbuf.h"
#include "replicator/engine/backup_engine.h"
#include "replicator/engine/primary_engine.h"
#include "replicator/engine/wire.h"
#include "replicator/fence/fence.h"
#include "replicator/link/link.h"

enum side { PRIMARY, BACKUP, SIDES };
enum {
    MEMORY_PAGES = 48,
    FRAMES_MAX = 4096,
    SNAPSHOTS_MAX = 2048,
    CONNECTIONS_MAX = 24,
    PIPE_BYTES = 1 << 16,
    SEGMENTS_MAX = 32,
    TOKENS_MAX = 32,
    QUESTIONS_MAX = 16,
    FAULTS_MAX = 4,
    GREETING_MAX = 1400,
};

/* A guest (or a replica's memory) as the hypervisor of its host holds it: survives our daemons. */
struct machine {
    bool exists, paused, is_unsettled;
    enum guest_life life;
    uint64_t pages;
    uint64_t dirty;              /* the log that the product reads */
    uint64_t touched;            /* the world's own log, since the last snapshot */
    uint64_t unmappable;         /* pages whose content can't be had just now */
    uint64_t populated;          /* of a replica */
    uint64_t counter, next_at, paused_at;
    uint64_t hash[MEMORY_PAGES];
    uint8_t types[MEMORY_PAGES];
    uint8_t (*memory)[PAGE_BYTES];
};

struct frame {
    uint64_t value, epoch;       /* epoch: marked for release with it, 0: not yet */
    uint32_t serial;             /* first snapshot that has what made it, 0: none yet */
};

/* The buffer in the primary host's kernel. */
struct plug {
    bool holds, dropped;
    unsigned n;
    struct frame *frames;
};

/* What the guest was at a pause: taken by the world itself at the mark of an epoch. */
struct snapshot {
    uint64_t epoch, counter, unmappable;
    uint64_t hash[MEMORY_PAGES];
};

struct pipe_way {
    uint8_t *octets;
    uint64_t head, tail;         /* written, read */
    size_t capacity;
    struct {
        uint64_t end, at;        /* octets up to `end` arrive at `at` */
    } segments[SEGMENTS_MAX];
    unsigned first, n;
};

struct connection_end {
    struct link link;
    struct connection *connection;
    enum side side;
    bool is_held;                /* by an engine or the acceptor: not to be reused */
    bool is_closed;
};

struct connection {
    bool is_used, is_established, is_reset, is_stranger;
    uint64_t established_at, fin_at[SIDES], reset_at, reset_one_at[SIDES];
    struct connection_end ends[SIDES];
    struct pipe_way ways[SIDES]; /* by sender */
    size_t greeted;              /* octets that the acceptor has of its greeting */
    uint8_t greeting[GREETING_MAX];
};

/* Places that are no failpoint: any fake call, and a receive, where what comes may be old. */
enum { PLACE_ANY = -1, PLACE_RECEIVE = 1000 };

enum strike { STRIKE_NONE, STRIKE_DAEMON, STRIKE_HOST, STRIKE_FREEZE, STRIKES };

struct node {
    enum side side;
    bool is_alive, is_host_alive, is_busy, is_stopping;
    uint64_t ready_at;
    uint64_t clock_offset;
    int64_t clock_ppm;
    jmp_buf crash;
    bool in_step, is_doomed;     /* doomed: killed while it stood still in the middle of a step */
    unsigned frozen;
    enum strike strike;          /* what happens … */
    int strike_place;            /* … at this failpoint, -1: at any point … */
    bool strike_resets;          /* … and the other side's connection breaks with it */
    unsigned strike_countdown;   /* … when it is reached this often */
    uint64_t freeze_ns, restart_after_ns; /* restart 0: never */
    uint64_t restart_at;
    uint64_t strike_until;       /* an armed strike is given up then */
};

struct question {
    uint64_t lineage, reaches_at, answer_at;
    uint32_t term;
    enum side side;
    bool is_open, is_current;
    enum fence_answer answer;
};

struct config {
    struct timing timing;
    struct epoch_out_config epoch;
    size_t stage_bytes;
    uint64_t pages, latency_ns, guest_period_ns;
    size_t pipe_capacity;
    bool is_manual, fragments;
    uint32_t write_pages, frame_chance;
    uint64_t arbiter_ns;
    uint32_t arbiter_silence;    /* chance in a million that an answer is lost */
    uint32_t unmappable_chance;
    uint32_t slow_pause_chance; /* that a guest asked to pause runs on for now */
};

/* Calls that are told to fail: countdowns by name. */
#define FAKE_CALLS(X)                                                                            \
    X(guest_pause) X(guest_dirty) X(guest_copy) X(guest_state) X(guest_resume) X(netbuf_mark)    \
    X(netbuf_release) X(netbuf_open) X(remember) X(connect) X(replica_page) X(check_state)       \
    X(make_replica) X(replica_lost) X(replica_flip) X(fence_ask)
enum fake_call {
#define X(name) CALL_##name,
    FAKE_CALLS(X)
#undef X
        FAKE_CALLS_COUNT
};

struct fault {
    unsigned kind;               /* row of faults.c */
    uint64_t after_ns;           /* since the one before; the first: since after_epochs */
};

struct world {
    struct rng rng;
    uint64_t seed, now, steps;
    bool is_over, traces;
    struct config config;
    struct node nodes[SIDES];
    enum side stepping;
    struct machine machines[SIDES];
    struct plug plug;
    /* primary */
    struct primary_engine *primary;
    struct primary_status seen;  /* after its newest step */
    struct guest guest[SIDES];
    struct netbuf netbuf;
    struct fence fence[SIDES];
    struct primary_past past;
    bool gift_stays;             /* what was taken back could not be written: a successor stops it again */
    bool left_asleep;            /* by its daemon's start: its predecessor's pause goes on */
    bool is_stopped;             /* somebody ended protection by command */
    /* backup */
    struct backup_engine *backup;
    struct backup_status held;
    struct replica replica;
    bool has_replica, backup_runs, backup_was_stopped, backup_over;
    uint32_t replica_serial;     /* newest committed there, 0: none */
    unsigned replica_waits;      /* calls that say -EAGAIN before the next one is done */
    bool replica_is_slow, replica_is_lost;
    struct connection *pending[CONNECTIONS_MAX];
    unsigned n_pending;
    uint8_t old_greeting[GREETING_MAX];
    size_t old_greeting_bytes;
    /* network */
    struct connection *connections;
    uint64_t cut_until[SIDES];   /* by sender */
    uint64_t refuse_until;
    uint64_t slow_until;
    /* arbiter */
    struct {
        uint64_t lineage;
        uint32_t term;
        enum side owner;
    } tokens[TOKENS_MAX];
    unsigned n_tokens;
    struct question questions[QUESTIONS_MAX];
    uint64_t arbiter_down_until;
    /* faults */
    struct fault faults[FAULTS_MAX];
    unsigned n_faults, next_fault, after_epochs;
    uint64_t fault_at;
    unsigned fail_in[FAKE_CALLS_COUNT];
    bool fail_forever[FAKE_CALLS_COUNT];
    uint64_t heal_calls_at, operator_at;
    unsigned operator_tries, flip_tries;
    bool survivor_dies;          /* soon after it took over */
    uint64_t survivor_dies_at;
    bool has_flipped, has_spoiled;
    bool is_cut[SIDES];
    uint32_t struck[SIDES];      /* states in which faults fell, a bit each */
    /* truth */
    struct snapshot *snapshots;
    uint32_t serial;             /* of the newest snapshot */
    struct observer *observer;
};

/* Memory is made once a process and used by every run of it. */
void world_reserve(struct world *w);
/* replan: changes what the seed has planned; NULL: nothing. */
void world_build(struct world *w, uint64_t seed, void (*replan)(struct world *));
void world_run(struct world *w, uint64_t until);
void world_close(struct world *w);

/* processes.c */
void world_arm(void);
void world_run_node(struct world *w, enum side side);

/* One line of the trace. */
void trace(struct world *w, const char *format, ...) PRINTF_LIKE(2, 3);
bool coin(struct world *w, uint32_t per_million);
uint64_t pick(struct world *w, uint64_t least, uint64_t most); /* both included */

/* A place in a node's step where a strike may fall (every fake call and failpoint is one). May not
 * return: then the node is gone. */
void world_point(struct world *w, enum side side, int place);
bool world_fails(struct world *w, enum fake_call call);

void world_start_primary(struct world *w);
void world_start_backup(struct world *w);
void world_kill(struct world *w, enum side side, bool with_host);
void world_guarded(struct world *w, enum side side, void (*act)(struct world *));
uint64_t world_local(const struct node *n, uint64_t now);
uint64_t world_global(const struct node *n, uint64_t local);
const struct primary_world *world_for_primary(void);
const struct backup_world *world_for_backup(void);

/* fake_guest.c, fake_replica.c, fake_netbuf.c, fake_fence.c */
void machine_start(struct world *w, struct machine *m, uint64_t pages);
void machine_run(struct world *w, enum side side);
void machine_hash(struct machine *m);
extern const struct guest_ops fake_guest_ops;
extern const struct replica_ops fake_replica_ops;
extern const struct netbuf_ops fake_netbuf_ops;
void plug_take(struct world *w, uint64_t value);
bool plug_is_whole(const struct world *w); /* nothing of the guest's output is without a plug */
extern const struct fence_ops fake_exec_ops, fake_manual_ops;
void arbiter_run(struct world *w);
uint64_t arbiter_wake(const struct world *w);
uint64_t arbiter_answer_at(const struct world *w, enum side side);

/* fake_link.c */
struct connection *connection_make(struct world *w, bool is_stranger);
int connection_try(struct world *w, struct link **ret, struct err *e);
void connection_push(struct world *w, struct connection *c, enum side from, const void *octets,
                     size_t bytes);
uint64_t connection_wake(const struct world *w, const struct connection *c, enum side side);
struct connection *connection_by_fd(struct world *w, int fd);
void connections_reset(struct world *w, uint64_t at);
void connections_reset_one(struct world *w, enum side side);
void connections_cut(struct world *w, enum side from, uint64_t until);
void connections_healed(struct world *w, enum side from);
void connections_lose_process(struct world *w, enum side side, bool with_host);
void connections_spoil(struct world *w, enum side from);
bool connections_flip(struct world *w);

/* acceptor.c: what the accept process of a backup host does */
bool acceptor_step(struct world *w);
uint64_t acceptor_wake(const struct world *w);
void acceptor_clear(struct world *w);

/* The world is a global of its process: fakes find it by this. */
extern struct world *the_world;

#endif
