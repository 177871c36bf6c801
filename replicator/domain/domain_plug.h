/* domain_plug — the kernel's plug for a domain's interfaces: those that its kind knows, or those of --vif. */
#ifndef REPLICATOR_DOMAIN_PLUG_H
#define REPLICATOR_DOMAIN_PLUG_H

#include "replicator/domain/domain.h"

/* Fills in d->netbuf (its guest is there). `own`: the domain's interfaces on this host, names or patterns
 * (vif7.*: also those that are plugged in later). -EINVAL: --vif leaves one of these out, whose output
 * nobody would hold; else as netbuf_plug_open. */
MUST_CHECK int domain_plug_open(struct domain *d, const struct domain_options *o, const char *const *own,
                                unsigned count, struct err *e);

/* The guest was given to this host by the arbiter and is about to run here: what an earlier life of it on
 * this host still holds is of a past that nobody may hear any more, and its redirects would hold the guest.
 * Drops it and gives the interfaces back. 1: there was such, 0: none. -EBUSY: a process holds it that runs. */
MUST_CHECK int domain_plug_drop_earlier(const char *netbuf_folder, const char *name, const uint8_t uuid[16],
                                        struct err *e);

/* The guest runs on another host for good, and this process, which held its output here, has ended its copy:
 * what may still be held is gone, the interfaces that are still there are given back. Right before this
 * process lets go of the netbuf; nothing where it made none. What failed stays for `replicator netbuf`. */
MUST_CHECK int domain_plug_leave(const char *netbuf_folder, const char *name, struct err *e);

#endif
