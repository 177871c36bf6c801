/* domain_plug — see domain_plug.h. */
#include "replicator/domain/domain_plug.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

#include "netbuf/netbuf_plug.h"

static bool is_held(const struct domain_options *o, const char *interface)
{
    for (unsigned i = 0; i < o->vif_count; i++)
        if (strcmp(o->vifs[i], interface) == 0 || fnmatch(o->vifs[i], interface, 0) == 0)
            return true;
    return false;
}

int domain_plug_open(struct domain *d, const struct domain_options *o, const char *const *own,
                     unsigned count, struct err *e)
{
    struct netbuf_plug_options plug = { .folder = o->netbuf_folder, .vifs = own, .count = count,
                                        .limit_bytes = o->plug_bytes, .takes_over = o->takes_over };
    struct guest_info about;
    int rc;

    for (unsigned i = 0; o->vif_count > 0 && i < count; i++)
        if (!is_held(o, own[i]))
            return err_set(e, EINVAL, "--vif leaves out %s, an interface of the guest: its output would not "
                           "be held; add --vif '%s'", own[i], own[i]);
    if (o->vif_count > 0) {
        plug.vifs = o->vifs;
        plug.count = o->vif_count;
    }
    d->guest->ops->info(d->guest, &about);
    plug.domain = about.name;
    memcpy(plug.uuid, about.uuid, sizeof(plug.uuid));
    rc = netbuf_plug_open(&d->netbuf, &plug, e);
    d->is_plugged = rc == 0;
    return rc;
}

int domain_plug_drop_earlier(const char *netbuf_folder, const char *name, const uint8_t uuid[16], struct err *e)
{
    struct vif_record earlier;
    int rc = vif_record_load(netbuf_folder, name, &earlier, e);

    if (rc == -ENOENT || (rc == 0 && memcmp(earlier.uuid, uuid, sizeof(earlier.uuid)) != 0))
        return 0; /* another domain's is none of ours */
    if (rc == 0 && vif_record_owner_lives(&earlier))
        return err_set(e, EBUSY, "process %ld holds output of %s on this host, and runs", (long)earlier.pid, name);
    if (rc == 0)
        rc = netbuf_plug_cleanup(netbuf_folder, &earlier, false, e);
    return rc < 0 ? err_wrap(e, "drop what is held of %s", name) : 1;
}

int domain_plug_leave(const char *netbuf_folder, const char *name, struct err *e)
{
    struct vif_record own;
    int rc = vif_record_load(netbuf_folder, name, &own, e);

    if (rc == -ENOENT || (rc == 0 && own.pid != getpid()))
        return 0;
    if (rc == 0)
        rc = netbuf_plug_cleanup(netbuf_folder, &own, false, e);
    return rc < 0 ? err_wrap(e, "give back the interfaces of %s", name) : 0;
}
