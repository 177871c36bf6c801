/* replica_xen_host — see replica_xen_host.h. */
#include "checkpoint/replica_xen_host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xenctrl.h>

#include "base/child.h"
#include "checkpoint/xen_domain.h"

#define OVERHEAD_KB 4096u  /* of the hypervisor's own, for any domain */
#define DESTROY_MS  60000u
#define TERM_MS     5000u

static int check_bridge(const struct xen_vif *vif, struct err *e)
{
    char path[64];

    if (!vif->bridge[0])
        return 0;
    snprintf(path, sizeof(path), "/sys/class/net/%s/bridge", vif->bridge);
    if (access(path, F_OK) == 0)
        return 0;
    snprintf(path, sizeof(path), "/sys/class/net/%s", vif->bridge);
    return err_set(e, ENODEV, "this host has no bridge %s, which the domain's interface needs%s; make it "
                   "here, too", vif->bridge, access(path, F_OK) == 0 ? " (an interface of that name is "
                   "there, and is not one)" : "");
}

/* A file is served by any backend: libxl makes it a loop device where it is one of the kernel's. */
static int check_disk(const struct xen_disk *disk, struct err *e)
{
    struct stat s;

    if (stat(disk->path, &s) < 0)
        return err_set(e, errno, "disk %s of the domain: %s: %m; the same path must lead to the same, "
                       "shared storage on both hosts", disk->vdev, disk->path);
    if (S_ISBLK(s.st_mode) || S_ISREG(s.st_mode))
        return 0;
    return err_set(e, ENOTBLK, "disk %s of the domain: %s is neither a block device nor a file on this host",
                   disk->vdev, disk->path);
}

int replica_xen_check_devices(const struct xen_config *c, struct err *e)
{
    int rc;

    for (unsigned i = 0; i < c->vif_count; i++)
        if ((rc = check_bridge(&c->vifs[i], e)) < 0)
            return rc;
    for (unsigned i = 0; i < c->disk_count; i++)
        if ((rc = check_disk(&c->disks[i], e)) < 0)
            return rc;
    return 0;
}

void replica_xen_destroy(const char *xl, uint32_t domid)
{
    char number[16];
    const char *const arguments[] = { "xl", "destroy", number, NULL };
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    pid_t pid;

    snprintf(number, sizeof(number), "%" PRIu32, domid);
    if (null >= 3 && child_start(&pid, xl, arguments, null, null) == 0)
        child_end(pid, DESTROY_MS, TERM_MS);
    auto_close(&null);
}

/* One with the shell's name was never activated: nothing is lost with it, whoever left it. One without
 * a name is on its way in or out. */
static int check_uuid(const struct xen_host *h, const struct xen_shape *shape, const char *xl, struct err *e)
{
    char name[GUEST_NAME_MAX + 1] = "";
    char shell[GUEST_NAME_MAX + sizeof(REPLICA_XEN_SUFFIX)];
    struct err unused;
    uint32_t domid;

    if (!xen_domain_has_uuid(h, shape->uuid, &domid))
        return 0;
    snprintf(shell, sizeof(shell), "%s%s", shape->name, REPLICA_XEN_SUFFIX);
    if (xen_domain_name(h, domid, name, &unused) == 0 && strcmp(name, shell) != 0)
        return err_set(e, EEXIST, "domain %" PRIu32 " (%s) of this host has the UUID of %s: one host "
                       "can't be primary and backup; destroy it if it is a copy", domid, name,
                       shape->name);
    if (name[0])
        replica_xen_destroy(xl, domid);
    return err_set(e, EBUSY, "domain %" PRIu32 ", which an earlier replica of %s left, is being removed; "
                   "try again in a moment", domid, shape->name);
}

static int check_memory(const struct xen_host *h, const struct xen_config *c, struct err *e)
{
    uint64_t need_kb = c->memory_kb + OVERHEAD_KB, free_kb;
    xc_physinfo_t host = { 0 };

    if (xc_physinfo(h->xc, &host) < 0)
        return xen_host_failed(h, e, "the host's free memory can't be had");
    free_kb = (host.free_pages + host.scrub_pages) * 4;
    if (free_kb >= need_kb)
        return 0;
    return err_set(e, ENOMEM, "the replica needs %" PRIu64 " MiB, this host has %" PRIu64 " MiB free; give "
                   "its control domain less (xl mem-set 0 …, dom0_mem=) or destroy domains",
                   (need_kb + 1023) / 1024, free_kb / 1024);
}

int replica_xen_check_host(const struct xen_host *h, const struct xen_shape *shape,
                           const struct xen_config *c, const char *xl, struct err *e)
{
    uint32_t domid;
    int rc;

    if (h->major < shape->xen_major || (h->major == shape->xen_major && h->minor < shape->xen_minor))
        return err_set(e, ENOTSUP, "Xen %" PRIu32 ".%" PRIu32 " here, %" PRIu32 ".%" PRIu32 " on the primary: "
                       "a domain can't move to an older one", h->major, h->minor, shape->xen_major,
                       shape->xen_minor);
    if ((rc = check_uuid(h, shape, xl, e)) < 0)
        return rc;
    if (xen_domain_has_name(h, shape->name, &domid))
        return err_set(e, EEXIST, "domain %" PRIu32 " of this host is named %s, too: rename it (xl rename)",
                       domid, shape->name);
    return check_memory(h, c, e);
}
