/* attr — the compiler attributes and the assertion every other file leans on.
 * must() stays on in release builds: a broken invariant stops the process, and a stopped process
 * releases no output (P5). It is for faults in us; a fault in a peer is data and is refused. */
#ifndef REPLICATOR_BASE_ATTR_H
#define REPLICATOR_BASE_ATTR_H

#include <stddef.h>

#define MUST_CHECK         __attribute__((warn_unused_result))
#define NONNULL            __attribute__((nonnull))
#define PRINTF_LIKE(f, a)  __attribute__((format(printf, f, a)))
#define UNUSED             __attribute__((unused))
#define NORETURN           __attribute__((noreturn))
#define ARRAY_LEN(a)       (sizeof(a) / sizeof((a)[0]))

/* Scope cleans up: the variable is freed or closed when it leaves scope; *_steal() takes it out. */
#define AUTO_FREE  __attribute__((cleanup(auto_free)))
#define AUTO_CLOSE __attribute__((cleanup(auto_close)))

void auto_free(void *pointer_to_pointer);

/* Closes it and leaves -1 behind: a second time closes nothing, least of all who has the number by then. */
void auto_close(int *fd);

/* Gives the descriptor to the caller and leaves -1 behind. */
int fd_steal(int *fd);

/* Prints the claim with its place and aborts. */
void must_failed(const char *claim, const char *file, int line) NORETURN;
#define must(claim) ((claim) ? (void)0 : must_failed(#claim, __FILE__, __LINE__))

#endif
