/* fence_rows — what each arbiter gives to fence.c's table; nobody else includes this.
 * Every function gets what follows the kind ("/path/to/program", "/shared/dir", ""). */
#ifndef REPLICATOR_FENCE_FENCE_ROWS_H
#define REPLICATOR_FENCE_FENCE_ROWS_H

#include "replicator/fence/fence.h"

MUST_CHECK int fence_manual_open(struct fence **ret, const char *where, uint64_t timeout_ns, struct err *e);
MUST_CHECK int fence_exec_open(struct fence **ret, const char *where, uint64_t timeout_ns, struct err *e);
MUST_CHECK int fence_file_open(struct fence **ret, const char *where, uint64_t timeout_ns, struct err *e);

/* "primary" or "backup". */
const char *fence_side_name(enum fence_side side);

/* When an answer to a question asked now is too late; TIME_NEVER stays never. */
uint64_t fence_deadline(uint64_t timeout_ns);

/* Refuses a domain name that could lead out of a folder or be taken for an option. */
MUST_CHECK int fence_question_check(const struct fence_question *q, struct err *e);

#endif
