/* control — the unix socket through which people and scripts ask a daemon: one JSON line in, one out.
 * Never blocks: octets that a client does not take wait in a bounded buffer, and a client that lets
 * it fill is dropped. Only root and the daemon's own user are heard.
 *
 *   {"op":"status"}                     the status object
 *   {"op":"detach"} {"op":"stop"}       {"ok":true,…} once it is so
 *   {"op":"activate","fenced_by":WHO}   {"ok":true,…} once the guest runs here, or the refusal
 *   {"op":"check"}                      {"ok":true,…} when the memory of the guest that runs here is
 *                                       what its registers say (a simulated one; it pauses for it)
 *   {"op":"switchover"}                 {"ok":true,…} once the guest runs on the backup
 *   {"op":"events","epochs":BOOL}       a hello line with the status, then a line an event
 * A refusal is {"ok":false,"exit":CODE,"error":WORDS}. */
#ifndef REPLICATOR_CONTROL_H
#define REPLICATOR_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "replicator/daemon/loop.h"

#define CONTROL_LINE_MAX    4096u       /* octets of a request, newline included */
#define CONTROL_OUT_MAX     (64u << 10) /* octets that may wait for a client */
#define CONTROL_CLIENTS_MAX 16u
#define CONTROL_WHO_MAX     128u
/* How objects are written everywhere: one line, plain ASCII, numbers of a sane length. */
#define CONTROL_FORMAT      (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9))

#define CONTROL_OPS(X) X(STATUS, "status") X(DETACH, "detach") X(ACTIVATE, "activate") \
                       X(STOP, "stop") X(EVENTS, "events") X(CHECK, "check") X(SWITCHOVER, "switchover")
enum control_op {
#define X(name, word) CONTROL_##name,
    CONTROL_OPS(X)
#undef X
};

struct control_request {
    enum control_op op;
    char fenced_by[CONTROL_WHO_MAX + 1]; /* activate: who says so; empty: nobody does */
    bool epochs;                         /* events: also one object an epoch */
};

/* Reads one line without its newline. Pure; -EINVAL with words for anything that is no request. */
MUST_CHECK int control_request_parse(const char *line, size_t bytes, struct control_request *ret,
                                     struct err *e);

/* What a daemon answers with; every slot filled. */
struct control_world {
    void *context;
    json_t *(*status)(void *context); /* a new reference */
    /* detach, activate or stop: returns the answer (a new reference), or NULL when the outcome is
     * not known yet: settle() is asked again after every turn of the loop. */
    json_t *(*request)(void *context, const struct control_request *r);
    json_t *(*settle)(void *context, const struct control_request *r, uint64_t since_ns);
};

struct control;

MUST_CHECK int control_open(struct control **ret, const char *path, const struct control_world *world,
                            struct err *e);
/* Ends every client and removes the socket; what was sent before still reaches them. */
void control_close(struct control *c);

/* A turn of the loop: watch before the wait, serve after it (now_ns: base/clock). */
void control_watch(struct control *c, struct loop *l);
void control_serve(struct control *c, const struct loop *l, uint64_t now_ns);

/* The last turn, without waiting: who waits for the outcome hears of it. */
void control_settle_all(struct control *c, struct loop *l, uint64_t now_ns);

/* Whether somebody waits for an outcome: then the loop must not sleep for long. */
bool control_has_pending(const struct control *c);
/* Whether somebody follows events (is_epoch: those of epochs): then it pays to make one. */
bool control_has_followers(const struct control *c, bool is_epoch);

/* Sends an event to who follows; the reference is taken. */
void control_publish(struct control *c, json_t *event, bool is_epoch);

/* Words as JSON: error texts may be cut within a character, or quote what is none, and end before that. A
 * new reference. */
json_t *control_text(const char *from, size_t bytes);

/* {"ok":false,…} and {"ok":true,"state":state}, new references. */
json_t *control_refusal(int exit_code, const char *words);
json_t *control_done(const char *state);

#endif
