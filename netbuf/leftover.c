/* leftover — see leftover.h. */
#include "netbuf/leftover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netbuf/netlink.h"
#include "netbuf/plug_message.h"
#include "netbuf/vif.h"

#define LINKS_MAX 4096u

struct links {
    unsigned count;
    struct plug_link all[LINKS_MAX];
};

static int take_link(struct nlmsghdr *h, void *context)
{
    struct links *l = context;

    if (l->count < LINKS_MAX && plug_message_link_parse(h, &l->all[l->count]) == 0)
        l->count++;
    return 0;
}

static int take_qdisc(struct nlmsghdr *h, void *to)
{
    return plug_message_qdisc_parse(h, to);
}

static int take_redirect(struct nlmsghdr *h, void *context)
{
    struct plug_filter *found = context, one;

    if (plug_message_filter_parse(h, &one) == 0 && one.is_redirect)
        *found = one;
    return 0;
}

static const struct plug_link *link_named(const struct links *l, const char *name)
{
    for (unsigned i = 0; i < l->count; i++)
        if (strcmp(l->all[i].name, name) == 0)
            return &l->all[i];
    return NULL;
}

static void add_plug(struct leftover *to, struct netlink *n, const struct plug_link *ifb)
{
    struct plug_qdisc plug = { 0 };
    struct err ignored;

    if (!ifb || netlink_ask(n, plug_message_plug_get(ifb->ifindex), take_qdisc, &plug, &ignored) < 0 ||
        strcmp(plug.kind, "plug") != 0)
        return;
    to->plugs++;
    to->held_frames += plug.held_frames;
    to->held_bytes += plug.held_bytes;
}

static bool is_recorded(const struct leftover *all, unsigned count, const char *ifb)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < all[i].record.count; k++)
            if (strcmp(all[i].record.vifs[k].ifb, ifb) == 0)
                return true;
    return false;
}

/* The interface whose frames go to an ifb without a record; its row says no more than is known. */
static void describe_stray(struct leftover *to, struct netlink *n, const struct links *l,
                           const struct plug_link *ifb)
{
    struct vif_record_row *row = &to->record.vifs[0];
    struct err ignored;

    to->record.mode = PLUG_HOLDING;
    to->record.count = 1;
    memcpy(row->ifb, ifb->name, sizeof(row->ifb));
    for (unsigned i = 0; i < l->count; i++) {
        struct plug_filter redirect = { .to = 0 };

        if (netlink_ask(n, plug_message_filter_dump(l->all[i].ifindex), take_redirect, &redirect,
                        &ignored) < 0 || redirect.to != ifb->ifindex)
            continue;
        memcpy(row->name, l->all[i].name, sizeof(row->name));
        row->ifindex = l->all[i].ifindex;
    }
    add_plug(to, n, ifb);
}

static int find(const char *folder, struct netlink *n, struct links *l, struct leftover *all, struct err *e)
{
    char names[LEFTOVERS_MAX][VIF_RECORD_NAME_MAX + 1];
    unsigned count = 0;
    int rc, found;

    if ((rc = netlink_ask(n, plug_message_link_dump(), take_link, l, e)) < 0 ||
        (rc = found = vif_record_list(folder, names, LEFTOVERS_MAX, e)) < 0)
        return rc;
    for (; count < (unsigned)found; count++) {
        struct leftover *one = &all[count];

        if ((rc = vif_record_load(folder, names[count], &one->record, e)) < 0)
            return rc;
        one->is_recorded = true;
        one->is_owned = vif_record_owner_lives(&one->record);
        for (unsigned k = 0; k < one->record.count; k++)
            add_plug(one, n, link_named(l, one->record.vifs[k].ifb));
    }
    for (unsigned i = 0; i < l->count && count < LEFTOVERS_MAX; i++)
        if (strncmp(l->all[i].name, VIF_IFB_PREFIX, strlen(VIF_IFB_PREFIX)) == 0 &&
            strcmp(l->all[i].kind, "ifb") == 0 && !is_recorded(all, count, l->all[i].name))
            describe_stray(&all[count++], n, l, &l->all[i]);
    return (int)count;
}

int leftover_find(const char *folder, struct leftover **ret, struct err *e)
{
    struct leftover *all = calloc(LEFTOVERS_MAX, sizeof(*all));
    struct links *l = calloc(1, sizeof(*l));
    struct netlink n = { .fd = -1 };
    int rc = all && l ? netlink_open(&n, e) : err_set(e, ENOMEM, "no memory for a list of interfaces");

    if (rc == 0)
        rc = find(folder, &n, l, all, e);
    netlink_close(&n);
    free(l);
    if (rc < 0)
        free(all);
    else
        *ret = all;
    return rc;
}

bool leftover_is_harmless(const struct leftover *l)
{
    return l->is_recorded && (l->record.mode == PLUG_PASSING || l->plugs == 0) && l->held_frames == 0;
}
