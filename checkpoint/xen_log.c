/* xen_log — see xen_log.h. */
#include "checkpoint/xen_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <xenctrl.h>

#include "base/failpoint.h"
#include "compress/codec.h"

/* ---- the mark ---------------------------------------------------------------------------------- */

static void mark_path(const struct xen_domain *d, char to[80])
{
    char uuid[XEN_UUID_TEXT];

    xen_uuid_format(d->uuid, uuid);
    snprintf(to, 80, "/tool/replicator/%s/dirty-log", uuid);
}

bool xen_log_was_left(const struct xen_host *h, const struct xen_domain *d)
{
    char path[80], *mark;

    mark_path(d, path);
    mark = xen_store_read(h, path);
    free(mark);
    return mark != NULL;
}

void xen_log_end_left(const struct xen_host *h, const struct xen_domain *d)
{
    char path[80];

    (void)xc_shadow_control(h->xc, d->domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0);
    mark_path(d, path);
    *strrchr(path, '/') = '\0';
    xen_store_remove(h, path);
}

bool xen_log_is_foreign(const struct xen_host *h, const struct xen_domain *d)
{
    if (xen_log_was_left(h, d))
        return false;
    if (xc_shadow_control(h->xc, d->domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0) < 0)
        return errno == EINVAL;
    (void)xc_shadow_control(h->xc, d->domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0);
    return false;
}

/* A name in the abstract socket namespace: taken by one, free again when that one ends. */
int xen_log_claim(const struct xen_domain *d, int *ret_fd, struct err *e)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char uuid[XEN_UUID_TEXT];
    int n;

    xen_uuid_format(d->uuid, uuid);
    n = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "replicator-xen-%s", uuid);
    if (fd < 0)
        return err_set(e, errno, "domain %" PRIu32 " can't be claimed: %m", d->domid);
    if (bind(fd, (const struct sockaddr *)&name,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) < 0)
        return err_set(e, errno == EADDRINUSE ? EBUSY : errno, "domain %" PRIu32 "'s dirty log is read by "
                       "another replicator process: end that one first", d->domid);
    *ret_fd = fd_steal(&fd);
    return 0;
}

/* ---- open, close ------------------------------------------------------------------------------- */

int xen_log_open(struct xen_log *l, const struct xen_host *h, const struct xen_domain *d, uint64_t pages,
                 bool has_emulator, struct err *e)
{
    size_t bytes = (size_t)((pages + 63) / 64) * sizeof(uint64_t);
    size_t bitmap_pages = (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
    DECLARE_HYPERCALL_BUFFER(uint64_t, bitmap);

    *l = (struct xen_log){ .host = h, .domain = *d, .pages = pages, .claim_fd = -1,
                           .may_be_shared = has_emulator };
    bitmap = xc_hypercall_buffer_alloc_pages(h->xc, bitmap, (int)bitmap_pages);
    if (!bitmap)
        return xen_host_failed(h, e, "no memory for a dirty log of %" PRIu64 " pages", pages);
    memset(bitmap, 0, bitmap_pages * PAGE_BYTES);
    l->bitmap = bitmap;
    l->bitmap_pages = bitmap_pages;
    return 0;
}

void xen_log_close(struct xen_log *l)
{
    if (!l->host)
        return;
    if (l->is_on)
        xen_log_end_left(l->host, &l->domain);
    if (l->bitmap) {
        DECLARE_HYPERCALL_BUFFER(uint64_t, bitmap);

        HYPERCALL_BUFFER(bitmap)->hbuf = l->bitmap;
        xc_hypercall_buffer_free_pages(l->host->xc, bitmap, (int)l->bitmap_pages);
    }
    auto_close(&l->claim_fd);
    *l = (struct xen_log){ .claim_fd = -1 };
}

/* ---- reading ----------------------------------------------------------------------------------- */

static int enable(const struct xen_log *l)
{
    return xc_shadow_control(l->host->xc, l->domain.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0);
}

static int refused(const struct xen_log *l, struct err *e)
{
    int code = errno;

    if (code == EINVAL)
        return err_set(e, EBUSY, "the dirty log of domain %" PRIu32 " is on already: another tool saves "
                       "or migrates it, or has left it on (replicator recover --log-left-by)", l->domain.domid);
    if (code == EOPNOTSUPP)
        return err_set(e, EOPNOTSUPP, "this hypervisor keeps no dirty log for domain %" PRIu32,
                       l->domain.domid);
    errno = code;
    return xen_host_failed(l->host, e, "the dirty log of domain %" PRIu32 " can't be turned on",
                           l->domain.domid);
}

/* The mark comes first: killed in between, the next process turns off what is off. */
static int turn_on(struct xen_log *l, struct err *e)
{
    bool may_take_over;
    char path[80];
    int rc = l->claim_fd < 0 ? xen_log_claim(&l->domain, &l->claim_fd, e) : 0;

    if (rc < 0)
        return rc;
    may_take_over = l->may_be_shared || xen_log_was_left(l->host, &l->domain);
    mark_path(&l->domain, path);
    rc = xen_store_write(l->host, path, "on", e);
    if (rc < 0)
        return rc;
    l->is_on = enable(l) == 0;
    if (!l->is_on && errno == EINVAL && may_take_over) {
        (void)xc_shadow_control(l->host->xc, l->domain.domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0);
        l->is_on = enable(l) == 0;
    }
    FAILPOINT(log_on);
    if (l->is_on)
        return 0;
    rc = refused(l, e);
    xen_store_remove(l->host, path);
    return rc;
}

static int check_size(const struct xen_log *l, struct err *e)
{
    xen_pfn_t pages = 0;

    if (xc_domain_nr_gpfns(l->host->xc, l->domain.domid, &pages) < 0)
        return xen_host_failed(l->host, e, "the size of domain %" PRIu32 "'s physical map can't be had",
                               l->domain.domid);
    return pages > l->pages
               ? err_set(e, ERANGE, "the physical map has grown from %" PRIu64 " to %" PRIu64 " pages "
                         "since protection began: stop protection and begin again", l->pages,
                         (uint64_t)pages)
               : 0;
}

/* Reads and clears; -1 and errno. */
static int clean(const struct xen_log *l, bool is_final)
{
    DECLARE_HYPERCALL_BUFFER(uint64_t, bitmap);
    xc_shadow_op_stats_t stats;
    long long got;

    (void)bitmap;
    HYPERCALL_BUFFER(bitmap)->hbuf = l->bitmap;
    got = xc_logdirty_control(l->host->xc, l->domain.domid, XEN_DOMCTL_SHADOW_OP_CLEAN,
                              HYPERCALL_BUFFER(bitmap), l->pages,
                              is_final ? XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL : 0, &stats);
    if (got >= 0 && (uint64_t)got != l->pages)
        errno = EIO;
    return got >= 0 && (uint64_t)got == l->pages ? 0 : -1;
}

void xen_log_scan(uint64_t *to, const uint64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] |= from[i];
}

int xen_log_read(struct xen_log *l, bool is_final, struct dirty *into, struct err *e)
{
    size_t words = (size_t)((l->pages + 63) / 64);
    int rc = check_size(l, e);

    must(into->pages == l->pages);
    if (rc < 0)
        return rc;
    if (!l->is_on) {
        rc = turn_on(l, e);
        if (rc == 0)
            dirty_set_all(into);
        return rc;
    }
    if (clean(l, is_final) < 0) {
        rc = xen_host_failed(l->host, e, "the dirty log of domain %" PRIu32 " can't be read",
                             l->domain.domid);
        xen_log_end_left(l->host, &l->domain); /* whoever turned it off: the next read starts anew */
        l->is_on = false;
        return rc;
    }
    if (l->pages % 64) /* the hypervisor writes whole octets */
        l->bitmap[words - 1] &= (UINT64_C(1) << (l->pages % 64)) - 1;
    xen_log_scan(into->words, l->bitmap, words);
    return 0;
}
