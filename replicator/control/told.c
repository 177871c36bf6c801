/* told — see told.h. */
#include "replicator/control/told.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "replicator/stats/status_json.h"

void told_object(struct told *t, json_t *event, bool is_epoch)
{
    if (t->to_stdout && !is_epoch) {
        json_dumpf(event, stdout, CONTROL_FORMAT);
        putchar('\n');
        fflush(stdout);
    }
    if (t->control)
        control_publish(t->control, event, is_epoch);
    else
        json_decref(event);
}

/* What happens to interfaces is no reason why a session went. */
static bool is_aside(const json_t *event)
{
    const char *name = json_string_value(json_object_get(event, "event"));

    return name && strcmp(name, "netbuf") == 0;
}

void told_say(struct told *t, int level, const char *text)
{
    json_t *event = status_json_event(level, text);
    const char *reason = json_string_value(json_object_get(event, "reason"));

    log_line((enum log_level)level, "%s", text);
    if (reason && *reason && !is_aside(event))
        snprintf(t->last_reason, sizeof(t->last_reason), "%s", reason);
    told_object(t, event, false);
}
