/* fence — see fence.h. Finds the arbiter by its first word, and holds what the kinds share. */
#include "replicator/fence/fence.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "replicator/fence/fence_rows.h"

static const struct {
    const char *word;
    int (*open)(struct fence **ret, const char *where, uint64_t timeout_ns, struct err *e);
} kinds[] = {
    { "exec:", fence_exec_open },
    { "file:", fence_file_open },
};

int fence_open(struct fence **ret, const char *arbiter, uint64_t timeout_ns, struct err *e)
{
    if (strcmp(arbiter, "manual") == 0)
        return fence_manual_open(ret, "", timeout_ns, e);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        size_t word = strlen(kinds[k].word);

        if (strncmp(arbiter, kinds[k].word, word) != 0)
            continue;
        if (arbiter[word] != '/')
            return err_set(e, EINVAL, "arbiter \"%.80s\": want a path that starts with /", arbiter);
        return kinds[k].open(ret, arbiter + word, timeout_ns, e);
    }
    return err_set(e, EINVAL, "arbiter \"%.80s\": want manual, exec:/path/to/program or file:/shared/dir",
                   arbiter);
}

const char *fence_side_name(enum fence_side side)
{
    return side == FENCE_PRIMARY ? "primary" : "backup";
}

uint64_t fence_deadline(uint64_t timeout_ns)
{
    uint64_t now_ns = clock_now_ns();

    return timeout_ns < TIME_NEVER - now_ns ? now_ns + timeout_ns : TIME_NEVER;
}

int fence_question_check(const struct fence_question *q, struct err *e)
{
    if (!q->domain[0] || q->domain[0] == '.' || q->domain[0] == '-' || strpbrk(q->domain, "/\n"))
        return err_set(e, EINVAL, "domain \"%s\": not a name an arbiter can be asked for", q->domain);
    return 0;
}
