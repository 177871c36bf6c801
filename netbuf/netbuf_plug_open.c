/* netbuf_plug_open — the part of netbuf_plug that makes it, takes one over from a dead process, sizes it,
 * and undoes what a record says. */
#include "netbuf/netbuf_plug_inside.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_pattern(const char *name)
{
    return strpbrk(name, "*?[") != NULL;
}

/* ---- which interfaces ------------------------------------------------------------------------------- */

int netbuf_plug_take_row(struct plug *p, unsigned i, const char *name, struct err *e)
{
    struct vif_record_row *row = &p->record.vifs[i];
    struct vif *v = &p->vifs[i];
    int rc = vif_look(v, &p->netlink, name, e);

    if (rc < 0)
        return rc;
    for (unsigned k = 0; k < p->record.count; k++)
        if (k != i && strcmp(p->vifs[k].ifb, v->ifb) == 0)
            return err_set(e, EINVAL, "%s and %s are the same, or can't be told apart", v->name,
                           p->vifs[k].name);
    row->ifindex = v->ifindex;
    row->had_ingress = v->had_ingress;
    memcpy(row->name, v->name, sizeof(v->name));
    memcpy(row->ifb, v->ifb, sizeof(v->ifb));
    if (i == p->record.count)
        p->record.count++;
    return 0;
}

static bool is_known(const struct plug *p, const char *name)
{
    for (unsigned i = 0; i < p->count || i < p->record.count; i++)
        if (strcmp(p->vifs[i].name, name) == 0)
            return true;
    return false;
}

static bool has_pattern(const struct plug *p, const char *name)
{
    for (unsigned i = 0; i < p->pattern_count; i++)
        if (fnmatch(p->patterns[i], name, 0) == 0)
            return strncmp(name, VIF_IFB_PREFIX, strlen(VIF_IFB_PREFIX)) != 0;
    return false;
}

bool netbuf_plug_has_pattern(const struct plug *p, const char *name)
{
    return has_pattern(p, name);
}

bool netbuf_plug_add(struct plug *p, const char *name)
{
    if (!has_pattern(p, name) || is_known(p, name) || p->count == VIF_RECORD_VIFS_MAX)
        return false;
    p->vifs[p->count] = (struct vif){ .ifindex = 0 };
    memcpy(p->vifs[p->count].name, name, strlen(name) + 1);
    p->is_down[p->count] = false;
    p->troubles[p->count++] = NEW;
    return true;
}

struct finding {
    struct plug *plug;
    struct err *e;
};

/* Interfaces with a pattern's name that are there already; the rest of a list that fails is not read. */
static int take_named(struct nlmsghdr *h, void *context)
{
    struct finding *f = context;
    struct plug_link link;

    if (plug_message_link_parse(h, &link) < 0 || !has_pattern(f->plug, link.name) ||
        is_known(f->plug, link.name))
        return 0;
    if (f->plug->record.count == VIF_RECORD_VIFS_MAX)
        return err_set(f->e, E2BIG, "more than %u interfaces", VIF_RECORD_VIFS_MAX);
    memcpy(f->plug->vifs[f->plug->record.count++].name, link.name, sizeof(link.name));
    return 0;
}

/* One question at a time on the socket: names first, then a look at each. */
static int look_at_patterns(struct plug *p, struct err *e)
{
    const unsigned first = p->record.count;
    struct finding f = { p, e };
    int rc = netlink_ask(&p->netlink, plug_message_link_dump(), take_named, &f, e);

    for (unsigned i = first; rc == 0 && i < p->record.count; i++) {
        char name[IFNAMSIZ];

        memcpy(name, p->vifs[i].name, sizeof(name));
        rc = netbuf_plug_take_row(p, i, name, e);
    }
    return rc;
}

static int look_at_all(struct plug *p, const struct netbuf_plug_options *o, struct err *e)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < o->count; i++)
        if (is_pattern(o->vifs[i]))
            (void)snprintf(p->patterns[p->pattern_count++], IFNAMSIZ, "%s", o->vifs[i]);
        else if (!p->is_taken_over || !is_known(p, o->vifs[i]))
            rc = netbuf_plug_take_row(p, p->record.count, o->vifs[i], e);
    return rc == 0 && p->pattern_count > 0 ? look_at_patterns(p, e) : rc;
}

/* ---- an earlier process ----------------------------------------------------------------------------- */

static int refuse_earlier(const struct netbuf_plug_options *o, const struct vif_record *earlier, struct err *e)
{
    return err_set(e, EBUSY, "the output of %s is %s since process %ld%s: replicator netbuf cleanup %s",
                   o->domain, vif_record_mode_name(earlier->mode), (long)earlier->pid,
                   vif_record_owner_lives(earlier) ? ", which runs" : ", which is gone", o->domain);
}

/* One that held keeps holding: whether the kernel's plug does is not to be asked for, so it is told to.
 * That forgets how many frames were marked, and nothing but open or drop may follow. */
static int take_over_one(struct plug *p, unsigned i, struct err *e)
{
    int rc = vif_take_over(&p->vifs[i], &p->netlink, p->limit_bytes, PLUG_HOLDING, e);

    if (rc == -ENODEV)
        p->troubles[i] = UNMADE;
    else if (rc == -ESTALE)
        p->troubles[i] = UNPLUGGED;
    else if (rc == 0)
        p->troubles[i] = UNHELD; /* at least to be looked at */
    return rc == -ENODEV || rc == -ESTALE ? 0 : rc;
}

static int take_over(struct plug *p, const struct vif_record *earlier, struct err *e)
{
    int rc = 0;

    p->is_taken_over = true;
    p->record = *earlier;
    for (unsigned i = 0; rc == 0 && i < earlier->count; i++) {
        const struct vif_record_row *row = &earlier->vifs[i];
        struct vif *v = &p->vifs[i];

        *v = (struct vif){ .ifindex = row->ifindex, .had_ingress = row->had_ingress };
        memcpy(v->name, row->name, sizeof(v->name));
        memcpy(v->ifb, row->ifb, sizeof(v->ifb));
        p->count = i + 1;
        rc = take_over_one(p, i, e);
    }
    return rc;
}

/* Nothing is overwritten: an earlier record is the only word on what is still held. One of the same domain
 * whose process is gone is its own: what passed is given back and made afresh, what was held stays held. */
static int open_record(struct plug *p, const struct netbuf_plug_options *o, struct err *e)
{
    struct vif_record earlier;
    int rc = vif_record_load(o->folder, o->domain, &earlier, e);

    (void)snprintf(p->folder, sizeof(p->folder), "%s", o->folder);
    p->limit_bytes = (uint32_t)o->limit_bytes;
    if (rc < 0 && rc != -ENOENT)
        return rc;
    if (rc == 0 && (vif_record_owner_lives(&earlier) ||
                    memcmp(earlier.uuid, o->uuid, sizeof(o->uuid)) != 0 || earlier.mode == PLUG_DROPPING ||
                    (earlier.mode == PLUG_HOLDING && !o->takes_over)))
        return refuse_earlier(o, &earlier, e);
    if (rc == 0 && earlier.mode == PLUG_HOLDING)
        rc = take_over(p, &earlier, e);
    else if (rc == 0)
        rc = netbuf_plug_cleanup(o->folder, &earlier, true, e);
    if (rc < 0 && rc != -ENOENT)
        return err_wrap(e, "take over the output of %s", o->domain);
    (void)snprintf(p->record.domain, sizeof(p->record.domain), "%s", o->domain);
    memcpy(p->record.uuid, o->uuid, sizeof(o->uuid));
    return vif_record_sign(&p->record, e);
}

/* ---- opening ---------------------------------------------------------------------------------------- */

bool netbuf_plug_give_back(struct plug *p, unsigned made, struct err *e)
{
    bool all = true;

    for (unsigned i = 0; i < made; i++)
        all &= vif_tear_down(&p->vifs[i], &p->netlink, true, e) == 0;
    return all && vif_record_remove(p->folder, p->record.domain, e) == 0;
}

/* What was taken over stays on a failure: it is held, and its record names it. */
static int set_up_all(struct plug *p, struct err *e)
{
    struct err ignored;

    for (unsigned i = p->count; i < p->record.count; i++) {
        int rc = vif_set_up(&p->vifs[i], &p->netlink, p->limit_bytes, p->record.mode, e);

        if (rc < 0) {
            if (!p->is_taken_over)
                (void)netbuf_plug_give_back(p, i + 1, &ignored); /* what stays is still in the record */
            return rc;
        }
        p->count = i + 1;
    }
    return 0;
}

static int check_options(const struct netbuf_plug_options *o, struct err *e)
{
    if (o->count == 0 || o->count > VIF_RECORD_VIFS_MAX)
        return err_set(e, EINVAL, "%u interfaces: 1 … %u are possible", o->count, VIF_RECORD_VIFS_MAX);
    for (unsigned i = 0; i < o->count; i++)
        if (strlen(o->vifs[i]) >= IFNAMSIZ)
            return err_set(e, EINVAL, "\"%.40s\" is no name of an interface", o->vifs[i]);
    if (o->limit_bytes < NETBUF_PLUG_LIMIT_LEAST || o->limit_bytes > NETBUF_PLUG_LIMIT_MOST)
        return err_set(e, EINVAL, "a plug of %" PRIu64 " octets: %u … %" PRIu32 " are possible",
                       o->limit_bytes, NETBUF_PLUG_LIMIT_LEAST, NETBUF_PLUG_LIMIT_MOST);
    return 0;
}

/* The watch is there before the first change, so that nothing happens unseen. */
static int open_plug(struct plug *p, const struct netbuf_plug_options *o, struct err *e)
{
    int rc;

    if ((rc = check_options(o, e)) < 0 || (rc = netlink_open(&p->netlink, e)) < 0 ||
        (rc = open_record(p, o, e)) < 0 || (rc = look_at_all(p, o, e)) < 0 ||
        (rc = link_watch_open(&p->watch, e)) < 0 ||
        (rc = vif_record_store(o->folder, &p->record, e)) < 0 || (rc = set_up_all(p, e)) < 0)
        return rc;
    return p->base.ops->watch(&p->base, e); /* what the set-up itself set off is heard now */
}

int netbuf_plug_open(struct netbuf **ret, const struct netbuf_plug_options *o, struct err *e)
{
    struct plug *p = NULL;
    int rc = netbuf_plug_new(&p, e);

    if (rc < 0)
        return rc;
    rc = open_plug(p, o, e);
    if (rc < 0)
        netbuf_plug_free(p);
    else
        *ret = &p->base;
    return rc;
}

/* ---- size ------------------------------------------------------------------------------------------- */

int netbuf_plug_resize(struct netbuf *n, uint64_t limit_bytes, struct err *e)
{
    struct plug *p = netbuf_plug_of(n);

    if (limit_bytes < NETBUF_PLUG_LIMIT_LEAST || limit_bytes > NETBUF_PLUG_LIMIT_MOST)
        return err_set(e, EINVAL, "a plug of %" PRIu64 " octets", limit_bytes);
    p->limit_bytes = (uint32_t)limit_bytes; /* for those that are made later, too */
    for (unsigned i = 0; i < p->count; i++) {
        struct vif *v = &p->vifs[i];
        int rc;

        v->limit_bytes = p->limit_bytes;
        if (v->state.mode == PLUG_DROPPING || p->troubles[i] > UNHELD)
            continue; /* is made with it */
        rc = netlink_do(&p->netlink, plug_message_plug_change(v->ifb_index, v->handle, PLUG_LIMIT,
                                                              v->limit_bytes), e);
        if (rc < 0)
            return err_wrap(e, "resize the plug of %s", v->name);
    }
    return 0;
}

uint64_t netbuf_plug_limit(uint64_t bytes_per_s, uint64_t interval_ns, uint64_t round_trip_ns)
{
    double bytes = 2.0 * (double)bytes_per_s * ((double)interval_ns + (double)round_trip_ns) / 1e9;

    if (bytes < (double)NETBUF_PLUG_LIMIT_LEAST)
        return NETBUF_PLUG_LIMIT_LEAST;
    return bytes > (double)NETBUF_PLUG_LIMIT_MOST ? NETBUF_PLUG_LIMIT_MOST : (uint64_t)bytes;
}

int netbuf_plug_cleanup(const char *folder, const struct vif_record *r, bool lets_out, struct err *e)
{
    struct netlink netlink;
    int rc = netlink_open(&netlink, e);

    for (unsigned i = 0; rc == 0 && i < r->count; i++) {
        struct vif v = { .ifindex = r->vifs[i].ifindex, .had_ingress = r->vifs[i].had_ingress };

        memcpy(v.name, r->vifs[i].name, sizeof(v.name));
        memcpy(v.ifb, r->vifs[i].ifb, sizeof(v.ifb));
        rc = vif_tear_down(&v, &netlink, lets_out, e);
    }
    if (rc == 0 && r->domain[0]) /* else it was found by its name alone */
        rc = vif_record_remove(folder, r->domain, e);
    netlink_close(&netlink);
    return rc;
}
