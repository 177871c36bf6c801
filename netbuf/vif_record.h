/* vif_record — the file that says what was changed on which interfaces, for whom and by which process,
 * so that nothing a killed process leaves behind is without an owner. Written whole (a new file,
 * renamed) before the first change, and again before each change of state; removed after the last trace.
 * The state in the file is never more open than the kernel's. */
#ifndef REPLICATOR_NETBUF_VIF_RECORD_H
#define REPLICATOR_NETBUF_VIF_RECORD_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/err.h"
#include "netbuf/plug_state.h"

#define VIF_RECORD_VIFS_MAX 64u
#define VIF_RECORD_NAME_MAX 64u
#define VIF_RECORD_SUFFIX   ".netbuf"

struct vif_record {
    char domain[VIF_RECORD_NAME_MAX + 1]; /* letters, digits, - _ . */
    uint8_t uuid[16];
    pid_t pid;
    uint64_t started; /* the process's start time, as /proc has it: pids are used again */
    enum plug_mode mode;
    unsigned count;
    struct vif_record_row {
        char name[IFNAMSIZ], ifb[IFNAMSIZ];
        int ifindex;
        bool had_ingress;
    } vifs[VIF_RECORD_VIFS_MAX];
};

/* Twins, pure. Format returns the length; parse refuses with -EPROTO what format would not write. */
#define VIF_RECORD_BYTES_MAX 8192u
size_t vif_record_format(const struct vif_record *r, char to[VIF_RECORD_BYTES_MAX]);
MUST_CHECK int vif_record_parse(const char *text, size_t bytes, struct vif_record *ret, struct err *e);

MUST_CHECK int vif_record_store(const char *folder, const struct vif_record *r, struct err *e);
/* -ENOENT when there is none. */
MUST_CHECK int vif_record_load(const char *folder, const char *domain, struct vif_record *ret,
                               struct err *e);
MUST_CHECK int vif_record_remove(const char *folder, const char *domain, struct err *e);

/* The domains with a record, sorted; at most `most`; how many. A folder that is not there has none. */
MUST_CHECK int vif_record_list(const char *folder, char (*ret)[VIF_RECORD_NAME_MAX + 1], unsigned most,
                               struct err *e);

/* Fills in pid and start time of this process; and says whether a record's process still runs. */
MUST_CHECK int vif_record_sign(struct vif_record *r, struct err *e);
bool vif_record_owner_lives(const struct vif_record *r);

const char *vif_record_mode_name(enum plug_mode mode);

#endif
