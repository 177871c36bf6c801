/* failpoint — see failpoint.h. */
#include "base/failpoint.h"

#include "base/attr.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const failpoint_names[FAILPOINT_COUNT] = {
#define X(name) [FAILPOINT_##name] = #name,
    FAILPOINTS(X)
#undef X
};

const char *failpoint_name(enum failpoint f)
{
    return (unsigned)f < FAILPOINT_COUNT ? failpoint_names[f] : "?";
}

#ifdef REPLICATOR_FAILPOINTS
void (*failpoint_hook)(enum failpoint);

static enum failpoint armed_place;
static int armed_signal;
static long *armed_countdown; /* shared with forked processes: one order, one strike */

static void strike_when_reached(enum failpoint place)
{
    if (place != armed_place || __atomic_sub_fetch(armed_countdown, 1, __ATOMIC_RELAXED) != 0)
        return;
    dprintf(STDERR_FILENO, "<4>failpoint %s reached by process %d: signal %d\n",
            failpoint_name(place), (int)getpid(), armed_signal);
    kill(getpid(), armed_signal);
}

int failpoint_arm_from_environment(void)
{
    static const struct {
        const char *word;
        int signal;
    } actions[] = { { "kill", SIGKILL }, { "abort", SIGABRT }, { "stop", SIGSTOP } };
    const char *order = getenv("REPLICATOR_FAILPOINT");
    char place[32], action[16];
    long nth = 1;
    int wanted = 0, action_end = 0, end = 0;

    if (!order)
        return 0;
    if (sscanf(order, "%31[a-z_]:%15[a-z]%n:%ld%n", place, action, &action_end, &nth, &end) < 2 ||
        order[end > 0 ? end : action_end] != '\0' || nth <= 0)
        return -1;
    for (size_t a = 0; a < ARRAY_LEN(actions); a++)
        if (strcmp(action, actions[a].word) == 0)
            wanted = actions[a].signal;
    if (!armed_countdown)
        armed_countdown = mmap(NULL, sizeof(*armed_countdown), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (armed_countdown == MAP_FAILED)
        return -1;
    for (unsigned f = 0; f < FAILPOINT_COUNT; f++)
        if (strcmp(place, failpoint_names[f]) == 0 && wanted) {
            armed_place = (enum failpoint)f;
            armed_signal = wanted;
            *armed_countdown = nth;
            failpoint_hook = strike_when_reached;
            return 0;
        }
    return -1;
}
#endif
