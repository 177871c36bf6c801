/* xen_way — see xen_way.h. */
#include "checkpoint/xen_way.h"

struct xen_way xen_way_begin(const struct xen_look *first, uint64_t now_ns, uint64_t suspend_ns)
{
    return (struct xen_way){
        .began_ns = now_ns,
        .had_ns = first->cpu_ns,
        .worth_ns = suspend_ns < XEN_WAY_MAX_NS ? suspend_ns : XEN_WAY_MAX_NS,
    };
}

/* Others may have the processor all the time: after twice the worth it is enough as well. */
uint64_t xen_way_wait_ns(const struct xen_way *w, const struct xen_look *now, uint64_t now_ns)
{
    uint64_t gone_ns = now_ns - w->began_ns, ran_ns = now->cpu_ns - w->had_ns, step_ns;

    if (now->life != GUEST_RUNS || now->is_running || now->is_paused || ran_ns >= w->worth_ns ||
        gone_ns >= 2 * w->worth_ns)
        return 0;
    if (gone_ns < XEN_WAY_FIRST_NS)
        return XEN_WAY_FIRST_NS;
    if (now->is_blocked)
        return 0;
    step_ns = (w->worth_ns - ran_ns) / 4;
    return step_ns > XEN_WAY_STEP_NS ? step_ns : XEN_WAY_STEP_NS;
}
