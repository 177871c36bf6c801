/* onward — see onward.h. */
#include "replicator/daemon/onward.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "replicator/engine/encoders.h"

#define AGAIN_NS NS_PER_S

static int protect_in_turn(const struct backup_options *options, const struct timing *timing,
                           const struct primary_adoption *guest, const struct guest_info *about, struct err *e)
{
    const struct primary_options o = {
        .spec = about->spec,
        .to = options->onward,
        .arbiter = options->arbiter,
        .run = options->run,
        .timing = *timing,
        .buffer_pages = PRIMARY_BUFFER_PAGES,
        .cache_bytes = PRIMARY_CACHE_BYTES,
        .encoders = workers_sensible(ENCODERS_SENSIBLE_MAX),
        .delta = CODEC_BY_DELTA,
        .packing = PAGES_PACK_AUTO,
    };
    int exit_code;

    return primary_daemon_adopt(&o, guest, &exit_code, e);
}

bool onward_try(struct onward *w, const struct backup_options *options, const struct timing *timing,
                const struct primary_adoption *guest, struct told *told, uint64_t now_ns)
{
    char text[sizeof(w->failure.text) + GUEST_NAME_MAX + 64];
    struct guest_info about;
    struct err e;

    if (now_ns < w->due_ns)
        return false;
    w->due_ns = now_ns + AGAIN_NS;
    guest->domain->guest->ops->info(guest->domain->guest, &about);
    if (protect_in_turn(options, timing, guest, &about, &e) == 0)
        return true;
    if (strcmp(e.text, w->failure.text) != 0) {
        snprintf(text, sizeof(text), "event=onward domain=%s role=backup reason=\"%s\"", about.name, e.text);
        told_say(told, LOG_LEVEL_WARNING, text);
    }
    w->failure = e;
    return false;
}
