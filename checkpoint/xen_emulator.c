/* xen_emulator — see xen_emulator.h. The state goes through a file of the run directory, because that is
 * how QEMU gives it; it lies in memory there, and is gone when it was read. */
#include "checkpoint/xen_emulator.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xenstore.h>

#include "base/clock.h"
#include "checkpoint/formats/foreign.h"
#include "checkpoint/record.h"

#define RUN_FOLDER    "/var/run/xen"
#define ANSWER_NS     (10 * NS_PER_S)
#define FOREIGN_BYTES 16u /* u32 number · u32 is_indexed · u32 index · u32 emulator */
#define EMULATOR_QEMU 2u  /* libxl's number for upstream QEMU */

void xen_emulator_init(struct xen_emulator *m, const struct xen_host *h, const struct xen_domain *d,
                       bool is_there)
{
    m->host = h;
    m->domain = *d;
    m->is_there = is_there;
    m->is_stopped = m->is_logging = false;
    m->qmp.fd = -1;
    m->qmp.bytes = 0;
}

int xen_emulator_meet(struct xen_emulator *m, struct err *e)
{
    char path[64];

    if (!m->is_there || m->qmp.fd >= 0)
        return 0;
    snprintf(path, sizeof(path), RUN_FOLDER "/qmp-libxl-%" PRIu32, m->domain.domid);
    return xen_qmp_open(&m->qmp, path, ANSWER_NS, e);
}

static int tell(struct xen_emulator *m, const char *command, const char *arguments, struct err *e)
{
    int rc = xen_emulator_meet(m, e);

    return rc < 0 ? rc : xen_qmp_command(&m->qmp, command, arguments, ANSWER_NS, e);
}

int xen_emulator_log(struct xen_emulator *m, bool on, struct err *e)
{
    bool is_alone = m->qmp.fd < 0; /* no pause goes on, whose conversation this would be */
    int rc;

    if (!m->is_there || m->is_logging == on)
        return 0;
    rc = tell(m, "xen-set-global-dirty-log", on ? "{\"enable\":true}" : "{\"enable\":false}", e);
    if (rc == 0)
        m->is_logging = on;
    if (is_alone || rc < 0)
        xen_qmp_close(&m->qmp);
    return rc;
}

int xen_emulator_stop(struct xen_emulator *m, struct err *e)
{
    int rc;

    if (!m->is_there || m->is_stopped)
        return 0;
    rc = tell(m, "stop", "{}", e);
    m->is_stopped = rc == 0;
    return rc;
}

int xen_emulator_go_on(struct xen_emulator *m, struct err *e)
{
    int rc = m->is_there && m->is_stopped ? tell(m, "cont", "{}", e) : 0;

    if (rc == 0)
        m->is_stopped = false;
    xen_qmp_close(&m->qmp);
    return rc;
}

void xen_emulator_close(struct xen_emulator *m)
{
    struct err unused;

    if (!m->is_there)
        return;
    (void)!xen_emulator_go_on(m, &unused);
    (void)!xen_emulator_log(m, false, &unused);
    xen_qmp_close(&m->qmp);
    m->is_there = false;
}

/* ---- its state --------------------------------------------------------------------------------- */

/* Room for a record's header and the fixed part; filled by put_end. */
static int put_begin(struct sink *to, uint8_t **ret)
{
    return sink_room(to, RECORD_HEADER_BYTES + FOREIGN_BYTES, ret);
}

/* The record whose octets after the fixed part are those up to to->at: padding and its head. */
static int put_end(struct sink *to, uint8_t *head, const char *name)
{
    static const uint8_t zeros[8];
    size_t body = (size_t)(to->at - head) - RECORD_HEADER_BYTES;

    store_u32(head, RECORD_FOREIGN_STATE);
    store_u32(head + 4, (uint32_t)body);
    store_u32(head + 8, foreign_number(name));
    store_u32(head + 12, 1);
    store_u32(head + 16, 0);
    store_u32(head + 20, EMULATOR_QEMU);
    return sink_put(to, zeros, record_padded(body) - body);
}

/* The whole file behind a record's head. */
static int put_file(struct sink *to, const char *path, struct err *e)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    uint8_t *head, *at;
    size_t bytes;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(e, errno, "the emulator's state in %s: %m", path);
    bytes = (size_t)st.st_size;
    if (bytes == 0 || bytes > XEN_EMULATOR_STATE_MAX)
        return err_set(e, E2BIG, "an emulator's state of %zu octets: 1 to %u are possible", bytes,
                       XEN_EMULATOR_STATE_MAX);
    if (put_begin(to, &head) < 0 || sink_room(to, bytes, &at) < 0)
        return err_set(e, ENOBUFS, "no room for the emulator's state");
    for (size_t done = 0; done < bytes;) {
        ssize_t got = read(fd, at + done, bytes - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set(e, got < 0 ? errno : EIO, "the emulator's state in %s is cut short", path);
        done += (size_t)got;
    }
    return put_end(to, head, "EMULATOR_CONTEXT") < 0 ? err_set(e, ENOBUFS, "no room for the emulator's state")
                                                     : 0;
}

static int put_key(const struct xen_emulator *m, const char *root, const char *entry, const char *word,
                   struct sink *to)
{
    char key[96], path[192];
    AUTO_FREE char *value = NULL;

    snprintf(key, sizeof(key), "physmap/%s/%s", entry, word);
    snprintf(path, sizeof(path), "%s/%s", root, key);
    value = xen_store_read(m->host, path);
    if (!value)
        return -1;
    return sink_put(to, key, strlen(key) + 1) < 0 ? -1 : sink_put(to, value, strlen(value) + 1);
}

/* Where the emulator has put its memory into the domain's map: older ones keep that in the store. */
static int put_keys(const struct xen_emulator *m, struct sink *to, struct err *e)
{
    static const char *const words[] = { "start_addr", "size", "name" };
    char root[64], path[80];
    AUTO_FREE char **entries = NULL;
    unsigned count = 0;
    uint8_t *head;

    snprintf(root, sizeof(root), "/local/domain/0/device-model/%" PRIu32, m->domain.domid);
    snprintf(path, sizeof(path), "%s/physmap", root);
    entries = xs_directory(m->host->store, XBT_NULL, path, &count);
    if (!entries || count == 0)
        return 0;
    if (put_begin(to, &head) < 0)
        return err_set(e, ENOBUFS, "no room for the emulator's keys");
    for (unsigned i = 0; i < count; i++)
        for (size_t k = 0; k < ARRAY_LEN(words); k++)
            if (put_key(m, root, entries[i], words[k], to) < 0)
                return err_set(e, ENODATA, "the emulator's key physmap/%s/%s can't be read", entries[i],
                               words[k]);
    return put_end(to, head, "EMULATOR_XENSTORE_DATA") < 0
               ? err_set(e, ENOBUFS, "no room for the emulator's keys")
               : 0;
}

int xen_emulator_put(struct xen_emulator *m, struct sink *to, struct err *e)
{
    char path[64], arguments[128];
    struct sink at = *to;
    int rc;

    if (!m->is_there)
        return 0;
    snprintf(path, sizeof(path), RUN_FOLDER "/replicator-%" PRIu32 ".qemu", m->domain.domid);
    snprintf(arguments, sizeof(arguments), "{\"filename\":\"%s\",\"live\":false}", path);
    if ((rc = put_keys(m, &at, e)) < 0 || (rc = tell(m, "xen-save-devices-state", arguments, e)) < 0)
        return rc;
    rc = put_file(&at, path, e);
    (void)unlink(path);
    if (rc == 0)
        *to = at;
    return rc;
}
