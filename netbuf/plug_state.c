/* plug_state — see plug_state.h. */
#include "netbuf/plug_state.h"

enum plug_order plug_state_at_mark(const struct plug_state *s)
{
    if (s->mode == PLUG_DROPPING || (s->mode == PLUG_HOLDING && s->is_finished))
        return PLUG_ORDER_NONE;
    return PLUG_ORDER_BUFFER;
}

enum plug_order plug_state_at_release(const struct plug_state *s, uint64_t epoch)
{
    if (s->mode != PLUG_HOLDING || !s->is_finished || epoch < s->newest)
        return PLUG_ORDER_NONE;
    return PLUG_ORDER_RELEASE_ONE;
}

/* An unsure BUFFER while passing is repeated: output must not go on leaving, and a second one loses
 * no count, because frames that passed were never counted. While holding it is taken for done: if it
 * was not, the release lets nothing out and the next BUFFER takes these frames along. */
bool plug_state_marked(struct plug_state *s, uint64_t epoch, enum plug_order order, bool is_sure)
{
    if (order == PLUG_ORDER_BUFFER && s->mode == PLUG_PASSING && !is_sure)
        return true;
    if (epoch > s->newest)
        s->newest = epoch;
    if (order == PLUG_ORDER_BUFFER) {
        s->mode = PLUG_HOLDING;
        s->is_finished = true;
    }
    return false;
}

bool plug_state_released(struct plug_state *s, enum plug_order order, bool is_sure)
{
    if (order != PLUG_ORDER_RELEASE_ONE)
        return false;
    s->is_finished = !is_sure;
    return !is_sure;
}

void plug_state_renewed(struct plug_state *s)
{
    s->is_finished = false;
}
