/* netbuf_selftest — what this machine's kernel can hold: a pair of interfaces in a network namespace of
 * its own, one frame of each kind, seen not to pass before its release and to pass after it. */
#ifndef REPLICATOR_NETBUF_SELFTEST_H
#define REPLICATOR_NETBUF_SELFTEST_H

#include <stdbool.h>

/* Prints what it found; an exit code: NOT_INSTALLED when a module is missing, PERMISSION when a
 * capability is. Nothing of it stays behind: the namespace ends with the child that made it. */
int netbuf_selftest_run(bool json);

#endif
