/* token_file — one token as a file in a shared folder: DOMAIN.LINEAGE.TERM, taken by link(2), which
 * makes it whole or not at all and for one taker only. */
#ifndef REPLICATOR_FENCE_TOKEN_FILE_H
#define REPLICATOR_FENCE_TOKEN_FILE_H

#include "replicator/fence/fence.h"

/* Takes the token, or reads who has it. May wait as long as the storage does. Never pending: granted
 * and denied are facts on storage; whatever else happened is no answer, with *e filled.
 * The owner is a side, not a host or process: a restarted daemon gets the token it had taken, and
 * so would a second daemon of the same side; there must be one domain, one primary, one backup. */
enum fence_answer token_file_take(const char *folder, const struct fence_question *q, struct err *e);

#endif
