/* announcing — see announcing.h. */
#include "replicator/daemon/announcing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

static int parse(const char *text, const char **ret_end_of_domain, struct announce_port *ret, struct err *e)
{
    const char *colon = strchr(text, ':');

    if (!colon || colon == text || colon - text > (ptrdiff_t)GUEST_NAME_MAX ||
        memchr(text, '=', (size_t)(colon - text)))
        return err_set(e, EINVAL, "\"%.80s\": want DOMAIN:INTERFACE=MAC or DOMAIN:INTERFACE=MAC=IP,IP…", text);
    *ret_end_of_domain = colon;
    return announce_port_parse(colon + 1, ret, e);
}

int announcing_check(const struct option_list *texts, struct err *e)
{
    struct announce_port port;
    const char *end;
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < texts->count; i++)
        rc = parse(texts->all[i], &end, &port, e);
    return rc;
}

void announcing_begin(struct announcing *a, const struct domain *d, const struct option_list *texts,
                      const char *name, uint64_t now_ns)
{
    struct announce_port ports[ANNOUNCER_PORTS_MAX];
    unsigned count = d->ops->ports(d, ports);
    const char *end;
    struct err ignored; /* they were checked */

    for (unsigned i = 0; i < texts->count && count < ANNOUNCER_PORTS_MAX; i++)
        if (parse(texts->all[i], &end, &ports[count], &ignored) == 0 &&
            strlen(name) == (size_t)(end - texts->all[i]) && strncmp(name, texts->all[i], strlen(name)) == 0)
            count++;
    a->failure = (struct err){ .code = 0 };
    announcer_start(&a->announcer, ports, count, announcer_send, now_ns);
}

uint64_t announcing_deadline(const struct announcing *a)
{
    return announcer_deadline(&a->announcer);
}

static void say(struct told *told, const char *name, const struct announcing *a, int level)
{
    char text[512];

    snprintf(text, sizeof(text), "event=announced domain=%s role=backup interfaces=%u reason=\"%s\"", name,
             a->announcer.count, a->failure.code ? a->failure.text : "");
    told_say(told, level, text);
}

void announcing_turn(struct announcing *a, struct told *told, const char *name, uint64_t now_ns)
{
    const struct err before = a->failure;
    bool is_first = a->announcer.rounds == 0;
    struct err e;
    int rc = announcer_turn(&a->announcer, now_ns, &e);

    if (rc == 0)
        return;
    a->failure = rc < 0 ? e : (struct err){ .code = 0 };
    if (rc < 0 && (before.code == 0 || strcmp(before.text, e.text) != 0))
        say(told, name, a, LOG_LEVEL_WARNING);
    else if (rc > 0 && (is_first || before.code != 0))
        say(told, name, a, LOG_LEVEL_NOTICE);
}

json_t *announcing_json(const struct announcing *a)
{
    return json_pack("{s:i, s:i, s:o}", "interfaces", (int)a->announcer.count, "rounds",
                     (int)a->announcer.rounds, "reason",
                     a->failure.code ? json_string(a->failure.text) : json_null());
}
