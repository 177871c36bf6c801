/* replica_xen_shell — the stock `xl restore -p` behind a shell domain: fed by a pipe, watched by its
 * process descriptor, its words kept for an error's text. It reads nothing else and is never told that
 * the stream is a checkpointed one: while it has not seen the end of the stream, losing us (the end of
 * the pipe) makes it destroy the domain. When the domain is whole it ends, and leaves a process behind
 * that acts upon on_reboot= and its like, as xl create does. Never blocks. */
#ifndef REPLICATOR_CHECKPOINT_REPLICA_XEN_SHELL_H
#define REPLICATOR_CHECKPOINT_REPLICA_XEN_SHELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"

#define REPLICA_XEN_WORDS_MAX 4096u

struct replica_xen_shell {
    pid_t pid;        /* 0: none runs */
    int exit_status;  /* wait status, once it is over */
    bool is_over;
    int events;       /* epoll descriptor: readable when there is something to do */
    int process, feed;
    int words;        /* what it writes: a file in memory, which stays writable when we are gone */
    struct view octets; /* still to be fed; the caller's, until they are taken */
};

/* No xl yet: replica_xen_shell_close is right from here on. */
void replica_xen_shell_init(struct replica_xen_shell *s);

MUST_CHECK int replica_xen_shell_start(struct replica_xen_shell *s, const char *xl, struct err *e);
void replica_xen_shell_close(struct replica_xen_shell *s); /* any state, twice; lets xl tidy up alone */

/* Octets to be fed, which must stay where they are until pump says that they are taken. */
void replica_xen_shell_feed(struct replica_xen_shell *s, struct view octets);

/* Goes on with feeding. 1: xl has taken all of it; 0: not yet (see events). -ENOTRECOVERABLE with its
 * words: xl has ended, which at this point is wrong. */
MUST_CHECK int replica_xen_shell_pump(struct replica_xen_shell *s, struct err *e);

/* Instead of pump when nothing more comes: feeds the rest, and xl may end as soon as it has that. 1: it has
 * ended well; 0: not yet; -ENOTRECOVERABLE with its words: it has ended ill. */
MUST_CHECK int replica_xen_shell_finish(struct replica_xen_shell *s, struct err *e);

/* Another descriptor that makes `events` readable. */
MUST_CHECK int replica_xen_shell_watch(struct replica_xen_shell *s, int fd, struct err *e);

/* Of what xl wrote, the line that says most: its first error, else its last line. Pure. */
void replica_xen_shell_line(const char *words, char *to, size_t room);

#endif
