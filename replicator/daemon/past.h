/* past — what a primary must remember across its own crash: whose token its held output hangs on.
 * One small file, replaced whole and flushed; gone after a clean end. */
#ifndef REPLICATOR_PAST_H
#define REPLICATOR_PAST_H

#include "base/err.h"
#include "replicator/proto/primary.h"

/* *ret gets lineage 0 when there is no file. -EPROTO when it is not one of ours. */
MUST_CHECK int past_load(const char *path, struct primary_past *ret, struct err *e);
MUST_CHECK int past_store(const char *path, const struct primary_past *past, struct err *e);
void past_forget(const char *path);

#endif
