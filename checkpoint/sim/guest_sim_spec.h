/* guest_sim_spec — the simulated guest's whole configuration, as text and as a struct.
 * "sim:web1?mib=256&workload=kv&dirty=2000": what is left out takes its default. Parse and format are
 * twins: the canonical text names every key, and two specs with equal text are equal guests. */
#ifndef REPLICATOR_CHECKPOINT_GUEST_SIM_SPEC_H
#define REPLICATOR_CHECKPOINT_GUEST_SIM_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "checkpoint/guest.h"

#define GUEST_SIM_VCPUS_MAX 8u
#define GUEST_SIM_NIC_MAX   128u
#define GUEST_SIM_INTERFACE_MAX 16u /* as in the kernel, with the final zero */
#define GUEST_SIM_DIRTY_MAX UINT64_MAX /* dirty=max: as fast as it goes */
#define GUEST_SIM_MIB_PAGES UINT64_C(256)

/* X(name, what a step does) */
#define GUEST_SIM_WORKLOADS(X)                                 \
    X(idle, "a counter ten times a second, whatever `dirty` is") \
    X(counter, "increments words, pages in turn")              \
    X(kv, "rewrites a record, most often in a hot sixteenth")  \
    X(web, "like kv, and a frame out at each step")            \
    X(random, "random octets, pages uniformly at random")       \
    X(tcp, "like kv; answers pings and echoes TCP on port 7 (nic=tap:, ip=)")

enum guest_sim_workload {
#define X(name, words) GUEST_SIM_##name,
    GUEST_SIM_WORKLOADS(X)
#undef X
        GUEST_SIM_WORKLOAD_COUNT
};

struct guest_sim_spec {
    char name[GUEST_NAME_MAX + 1];    /* letters, digits, - _ . */
    char nic[GUEST_SIM_NIC_MAX + 1];  /* "none", "udp:HOST:PORT" or "tap:NAME" */
    uint8_t ip[4];                    /* of workload=tcp; 0.0.0.0: none */
    enum guest_sim_workload workload;
    uint64_t mib;    /* 16 … 16384 */
    uint64_t dirty;  /* pages written per second, all vCPUs together */
    uint64_t bytes;  /* changed per written page, its 24 octets of header included */
    uint64_t vcpus;  /* 1 … 8 */
    uint64_t seed;
    uint64_t steps;  /* the guest shuts itself down after so many steps of vCPU 0; 0: never */
    uint64_t frames; /* sent per second, all vCPUs together */
    uint64_t burst;  /* pages written after each resume, in place of `dirty`; a pause waits for the
                        last of them. For measuring: an epoch has so many however short it is.
                        0: none. All vCPUs together, rounded up to the same for each */
};

/* -EINVAL naming the key: unknown, given twice, not a number, out of range. */
MUST_CHECK int guest_sim_spec_parse(const char *text, struct guest_sim_spec *ret, struct err *e);

void guest_sim_spec_format(const struct guest_sim_spec *spec, char to[GUEST_SPEC_MAX + 1]);

/* The same name and seed always give the same uuid. */
void guest_sim_spec_uuid(const struct guest_sim_spec *spec, uint8_t uuid[16]);

/* Its frames are Ethernet's, whole, instead of words that the NIC's far end packs (frame.h). */
static inline bool guest_sim_spec_speaks_ethernet(const struct guest_sim_spec *spec)
{
    return spec->workload == GUEST_SIM_tcp;
}
static inline bool guest_sim_spec_has_nic(const struct guest_sim_spec *spec)
{
    return spec->nic[0] != 'n';
}
static inline uint64_t guest_sim_spec_pages(const struct guest_sim_spec *spec)
{
    return spec->mib * GUEST_SIM_MIB_PAGES;
}

#endif
