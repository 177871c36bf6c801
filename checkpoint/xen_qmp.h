/* xen_qmp — a conversation with a domain's emulator: one command, one answer, events passed over.
 * Each answer is waited for, at most as long as the caller says. Strangers' text: lines have a limit. */
#ifndef REPLICATOR_CHECKPOINT_XEN_QMP_H
#define REPLICATOR_CHECKPOINT_XEN_QMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define XEN_QMP_LINE_MAX (64u << 10)

struct xen_qmp {
    int fd; /* -1: none */
    size_t bytes;
    char line[XEN_QMP_LINE_MAX];
};

/* Connects to the socket, hears the greeting and says what is needed to give commands. */
MUST_CHECK int xen_qmp_open(struct xen_qmp *q, const char *path, uint64_t timeout_ns, struct err *e);
/* The same on a connected descriptor, which it takes. */
MUST_CHECK int xen_qmp_greet(struct xen_qmp *q, int fd, uint64_t timeout_ns, struct err *e);
void xen_qmp_close(struct xen_qmp *q); /* any state, twice */

/* Gives a command, its arguments as JSON text ("{}" for none). -EREMOTEIO: it was refused, with the
 * emulator's words; -ETIMEDOUT, -EPIPE, -EPROTO: the conversation is over. */
MUST_CHECK int xen_qmp_command(struct xen_qmp *q, const char *name, const char *arguments,
                               uint64_t timeout_ns, struct err *e);

enum xen_qmp_word { XEN_QMP_GREETING, XEN_QMP_ANSWER, XEN_QMP_REFUSAL, XEN_QMP_EVENT, XEN_QMP_NOISE };

/* What a line is; a refusal's words into `ret_words`. Pure. */
enum xen_qmp_word xen_qmp_read(const char *line, size_t bytes, char *ret_words, size_t most);

#endif
