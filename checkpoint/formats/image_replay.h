/* image_replay — an image told again as a plain stream, to any consumer: each page once, ascending, with
 * the state as committed. Turns one checkpoint of many into a file. */
#ifndef REPLICATOR_CHECKPOINT_IMAGE_REPLAY_H
#define REPLICATOR_CHECKPOINT_IMAGE_REPLAY_H

#include "checkpoint/formats/image.h"

/* The image was made with has_pages and has_states; facts are those of its reading. */
MUST_CHECK int image_replay(struct image *i, const struct stream_facts *facts, struct consumer to,
                            struct err *e);

#endif
