/* plug_model — the plug qdisc's counters as the kernel keeps them, for tests: three numbers of frames
 * from the head of one queue (to be released, of the finished epoch, of the one being filled). It is
 * held against the real qdisc by random sequences (tests/net/test-model.py drives both). */
#ifndef REPLICATOR_TESTS_UNIT_PLUG_MODEL_H
#define REPLICATOR_TESTS_UNIT_PLUG_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define PLUG_MODEL_FRAMES_MAX 4096u

struct plug_model {
    uint32_t to_release, last_epoch, current_epoch;
    bool passes;      /* RELEASE_INDEFINITE */
    bool is_throttled;
    uint32_t limit, backlog;
    uint32_t head, count; /* of the ring below */
    struct {
        uint64_t tag;
        uint32_t bytes;
    } frames[PLUG_MODEL_FRAMES_MAX];
};

void plug_model_init(struct plug_model *m, uint32_t limit); /* as just made: holds everything */
void plug_model_buffer(struct plug_model *m);
void plug_model_release_one(struct plug_model *m);
void plug_model_release_indefinite(struct plug_model *m);

/* False: dropped, over the limit. */
bool plug_model_enqueue(struct plug_model *m, uint64_t tag, uint32_t bytes);
/* What the device would get next; false: nothing now. */
bool plug_model_dequeue(struct plug_model *m, uint64_t *ret_tag);

#endif
