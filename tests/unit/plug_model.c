/* plug_model — see plug_model.h. */
#include "tests/unit/plug_model.h"

#include "base/attr.h"

void plug_model_init(struct plug_model *m, uint32_t limit)
{
    m->to_release = m->last_epoch = m->current_epoch = 0;
    m->head = m->count = m->backlog = 0;
    m->passes = false;
    m->is_throttled = true;
    m->limit = limit;
}

void plug_model_buffer(struct plug_model *m)
{
    m->last_epoch = m->current_epoch; /* what it was before is forgotten */
    m->current_epoch = 0;
    if (m->passes)
        m->is_throttled = true;
    m->passes = false;
}

void plug_model_release_one(struct plug_model *m)
{
    m->to_release += m->last_epoch;
    m->last_epoch = 0;
    m->is_throttled = false;
}

void plug_model_release_indefinite(struct plug_model *m)
{
    m->passes = true;
    m->to_release = m->last_epoch = m->current_epoch = 0;
    m->is_throttled = false;
}

bool plug_model_enqueue(struct plug_model *m, uint64_t tag, uint32_t bytes)
{
    uint32_t at = (m->head + m->count) % PLUG_MODEL_FRAMES_MAX;

    if (bytes > m->limit - m->backlog)
        return false;
    must(m->count < PLUG_MODEL_FRAMES_MAX);
    if (!m->passes)
        m->current_epoch++;
    m->frames[at].tag = tag;
    m->frames[at].bytes = bytes;
    m->count++;
    m->backlog += bytes;
    return true;
}

bool plug_model_dequeue(struct plug_model *m, uint64_t *ret_tag)
{
    if (m->is_throttled)
        return false;
    if (!m->passes) {
        if (m->to_release == 0) {
            m->is_throttled = true;
            return false;
        }
        m->to_release--;
    }
    if (m->count == 0)
        return false;
    *ret_tag = m->frames[m->head].tag;
    m->backlog -= m->frames[m->head].bytes;
    m->head = (m->head + 1) % PLUG_MODEL_FRAMES_MAX;
    m->count--;
    return true;
}
