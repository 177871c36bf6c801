/* xen_domain — see xen_domain.h. */
#include "checkpoint/xen_domain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>

#define DOMAINS_AT_ONCE 64u

static const enum guest_life life_of_reason[] = {
    [SHUTDOWN_poweroff] = GUEST_SHUT_DOWN, [SHUTDOWN_reboot] = GUEST_REBOOTED,
    [SHUTDOWN_suspend] = GUEST_RUNS,       [SHUTDOWN_crash] = GUEST_CRASHED,
    [SHUTDOWN_watchdog] = GUEST_CRASHED,   [SHUTDOWN_soft_reset] = GUEST_REBOOTED,
};

static enum guest_life life_of(const xc_dominfo_t *i, const struct xen_look *seen)
{
    bool was_saved = seen->is_shut_down && i->shutdown_reason == SHUTDOWN_suspend && i->dying;

    if (!seen->is_shut_down || was_saved) /* one that was saved is destroyed as it lies */
        return i->dying ? GUEST_SHUT_DOWN : GUEST_RUNS;
    return i->shutdown_reason < ARRAY_LEN(life_of_reason) ? life_of_reason[i->shutdown_reason]
                                                          : GUEST_CRASHED;
}

void xen_domain_seen(const struct xc_dominfo *i, struct xen_look *ret)
{
    *ret = (struct xen_look){
        .is_there = true,
        .is_dying = i->dying,
        .is_shut_down = i->shutdown || i->crashed,
        .is_suspended = i->shutdown && i->shutdown_reason == SHUTDOWN_suspend && !i->dying,
        .is_paused = i->paused,
        .is_running = i->running,
        .is_blocked = i->blocked,
        .is_translated = i->hvm,
        .pages = i->nr_pages,
        .max_memkb = i->max_memkb,
        .vcpus = i->max_vcpu_id + 1,
        .cpu_ns = i->cpu_time,
    };
    ret->life = life_of(i, ret);
}

int xen_domain_look(const struct xen_host *h, const struct xen_domain *d, struct xen_look *ret,
                    struct err *e)
{
    xc_dominfo_t i;
    int rc = xc_domain_getinfo(h->xc, d->domid, 1, &i);

    *ret = (struct xen_look){ .life = GUEST_SHUT_DOWN };
    if (rc < 0 && errno != ESRCH)
        return xen_host_failed(h, e, "domain %" PRIu32 " can't be looked at", d->domid);
    if (rc < 1 || i.domid != d->domid || memcmp(i.handle, d->uuid, sizeof(d->uuid)) != 0)
        return 0;
    xen_domain_seen(&i, ret);
    return 0;
}

/* ---- finding ----------------------------------------------------------------------------------- */

/* The domains of the host from `*from` on, a handful at once; moves *from; 0 at the end. */
static int next_domains(const struct xen_host *h, uint32_t *from, xc_dominfo_t *to)
{
    int n = xc_domain_getinfo(h->xc, *from, DOMAINS_AT_ONCE, to);

    if (n > 0)
        *from = to[n - 1].domid + 1;
    return n;
}

bool xen_domain_has_uuid(const struct xen_host *h, const uint8_t uuid[16], uint32_t *ret_domid)
{
    xc_dominfo_t some[DOMAINS_AT_ONCE];
    uint32_t from = 0;

    for (int n; (n = next_domains(h, &from, some)) > 0;)
        for (int i = 0; i < n; i++)
            if (memcmp(some[i].handle, uuid, 16) == 0) {
                *ret_domid = some[i].domid;
                return true;
            }
    return false;
}

bool xen_domain_has_name(const struct xen_host *h, const char *name, uint32_t *ret_domid)
{
    xc_dominfo_t some[DOMAINS_AT_ONCE];
    char its[GUEST_NAME_MAX + 1];
    uint32_t from = 0;
    struct err unused;

    for (int n; (n = next_domains(h, &from, some)) > 0;)
        for (int i = 0; i < n; i++)
            if (xen_domain_name(h, some[i].domid, its, &unused) == 0 && strcmp(its, name) == 0) {
                *ret_domid = some[i].domid;
                return true;
            }
    return false;
}

int xen_domain_name(const struct xen_host *h, uint32_t domid, char ret[GUEST_NAME_MAX + 1], struct err *e)
{
    char path[48], *name;
    bool fits;

    snprintf(path, sizeof(path), "/local/domain/%" PRIu32 "/name", domid);
    name = xen_store_read(h, path);
    fits = name && strlen(name) <= GUEST_NAME_MAX;
    if (fits)
        strcpy(ret, name);
    free(name);
    return fits ? 0 : err_set(e, ENOENT, "domain %" PRIu32 " has no name of at most %u octets", domid,
                              GUEST_NAME_MAX);
}

static bool is_number(const char *text, uint32_t *ret)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    *ret = (uint32_t)value;
    return *text >= '0' && *text <= '9' && !*end && value < DOMID_FIRST_RESERVED;
}

int xen_domain_find(const struct xen_host *h, const char *which, struct xen_domain *ret, struct err *e)
{
    struct xen_domain found = { 0 };
    uint8_t uuid[16];
    xc_dominfo_t i;
    bool is_found;

    if (xen_uuid_parse(which, uuid) == 0)
        is_found = xen_domain_has_uuid(h, uuid, &found.domid);
    else if (is_number(which, &found.domid))
        is_found = true;
    else
        is_found = xen_domain_has_name(h, which, &found.domid);
    if (!is_found || xc_domain_getinfo(h->xc, found.domid, 1, &i) != 1 || i.domid != found.domid)
        return err_set(e, ENOENT, "no domain %s on this host: look with xl list", which);
    memcpy(found.uuid, i.handle, sizeof(found.uuid));
    *ret = found;
    return 0;
}

/* ---- its shape --------------------------------------------------------------------------------- */

bool xen_domain_has_emulator(const struct xen_host *h, uint32_t domid)
{
    char path[64], *found;

    snprintf(path, sizeof(path), "/libxl/%" PRIu32 "/type", domid);
    found = xen_store_read(h, path);
    if (found) {
        bool is_hvm = strcmp(found, "hvm") == 0;

        free(found);
        return is_hvm;
    }
    snprintf(path, sizeof(path), "/local/domain/%" PRIu32 "/image/device-model-pid", domid);
    found = xen_store_read(h, path);
    free(found);
    return found != NULL;
}

static int check_kind(const struct xen_domain *d, const struct xen_look *look, struct err *e)
{
    if (d->domid == 0)
        return err_set(e, EINVAL, "domain 0 is this host itself: it can't be protected");
    if (!look->is_there)
        return err_set(e, ENOENT, "domain %" PRIu32 " is gone", d->domid);
    if (!look->is_translated)
        return err_set(e, EOPNOTSUPP, "domain %" PRIu32 " is a PV domain: the hypervisor keeps no log of "
                       "its dirty pages without shadow paging; set type=\"pvh\" or \"hvm\"", d->domid);
    if (look->life != GUEST_RUNS)
        return err_set(e, ECANCELED, "domain %" PRIu32 " has ended", d->domid);
    return 0;
}

int xen_domain_shape(const struct xen_host *h, const struct xen_domain *d, struct xen_shape *ret,
                     struct err *e)
{
    struct xen_shape s = { .xen_major = h->major, .xen_minor = h->minor };
    struct xen_look look;
    xen_pfn_t pages = 0;
    int rc = xen_domain_look(h, d, &look, e);

    if (rc < 0 || (rc = check_kind(d, &look, e)) < 0 ||
        (rc = xen_domain_name(h, d->domid, s.name, e)) < 0)
        return rc;
    if (xc_domain_nr_gpfns(h->xc, d->domid, &pages) < 0)
        return xen_host_failed(h, e, "the size of %s's physical map can't be had", s.name);
    if (pages == 0 || pages > GUEST_PAGES_MAX || look.vcpus > XEN_VCPUS_MAX)
        return err_set(e, ERANGE, "%s has %" PRIu64 " pages and %" PRIu32 " vCPUs: at most %" PRIu64
                       " and %u are possible", s.name, (uint64_t)pages, look.vcpus, GUEST_PAGES_MAX,
                       XEN_VCPUS_MAX);
    memcpy(s.uuid, d->uuid, sizeof(s.uuid));
    s.type = xen_domain_has_emulator(h, d->domid) ? XEN_hvm : XEN_pvh;
    s.pages = pages;
    s.max_memkb = look.max_memkb;
    s.tot_pages = look.pages;
    s.vcpus = look.vcpus;
    *ret = s;
    return 0;
}
