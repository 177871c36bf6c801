/* vif_record — see vif_record.h. Lines of words, because a person reads it when all else is gone. */
#include "netbuf/vif_record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LINE "replicator-netbuf 1"

static const char *const modes[] = {
    [PLUG_PASSING] = "passing",
    [PLUG_HOLDING] = "holding",
    [PLUG_DROPPING] = "dropping",
};

const char *vif_record_mode_name(enum plug_mode mode)
{
    return (unsigned)mode < ARRAY_LEN(modes) ? modes[mode] : "?";
}

size_t vif_record_format(const struct vif_record *r, char to[VIF_RECORD_BYTES_MAX])
{
    size_t at;

    must(r->count <= VIF_RECORD_VIFS_MAX);
    at = (size_t)snprintf(to, VIF_RECORD_BYTES_MAX, FIRST_LINE "\ndomain %s\nuuid ", r->domain);
    for (unsigned i = 0; i < sizeof(r->uuid); i++)
        at += (size_t)snprintf(to + at, VIF_RECORD_BYTES_MAX - at, "%02x", r->uuid[i]);
    at += (size_t)snprintf(to + at, VIF_RECORD_BYTES_MAX - at, "\nprocess %ld %" PRIu64 "\nmode %s\n",
                           (long)r->pid, r->started, vif_record_mode_name(r->mode));
    for (unsigned i = 0; i < r->count; i++)
        at += (size_t)snprintf(to + at, VIF_RECORD_BYTES_MAX - at, "vif %s %d %s %s\n", r->vifs[i].name,
                               r->vifs[i].ifindex, r->vifs[i].ifb,
                               r->vifs[i].had_ingress ? "had-ingress" : "no-ingress");
    must(at < VIF_RECORD_BYTES_MAX);
    return at;
}

static bool is_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] == '\0';
}

static bool parse_mode(const char *word, enum plug_mode *ret)
{
    for (unsigned i = 0; i < ARRAY_LEN(modes); i++)
        if (strcmp(word, modes[i]) == 0) {
            *ret = (enum plug_mode)i;
            return true;
        }
    return false;
}

static bool parse_uuid(const char *hex, uint8_t ret[16])
{
    for (unsigned i = 0; i < 16; i++)
        if (sscanf(hex + 2 * (size_t)i, "%2hhx", &ret[i]) != 1)
            return false;
    return true;
}

static bool parse_row(const char *line, struct vif_record_row *ret)
{
    char hook[16];

    if (sscanf(line, "vif %15s %d %15s %15s", ret->name, &ret->ifindex, ret->ifb, hook) != 4)
        return false;
    ret->had_ingress = strcmp(hook, "had-ingress") == 0;
    return true;
}

/* Reads loosely; what differs from what format makes of it is refused afterwards. */
static bool parse_text(char *text, struct vif_record *r)
{
    char mode[16], uuid[33], *rest = NULL, *line = strtok_r(text, "\n", &rest);
    long pid = 0;

    if (!line || !(line = strtok_r(NULL, "\n", &rest)) || sscanf(line, "domain %64s", r->domain) != 1 ||
        !(line = strtok_r(NULL, "\n", &rest)) || sscanf(line, "uuid %32s", uuid) != 1 ||
        !(line = strtok_r(NULL, "\n", &rest)) || sscanf(line, "process %ld %" SCNu64, &pid, &r->started) != 2 ||
        !(line = strtok_r(NULL, "\n", &rest)) || sscanf(line, "mode %15s", mode) != 1)
        return false;
    if (!is_name(r->domain) || !parse_uuid(uuid, r->uuid) || pid <= 0 || pid > INT_MAX ||
        !parse_mode(mode, &r->mode))
        return false;
    r->pid = (pid_t)pid;
    while ((line = strtok_r(NULL, "\n", &rest)) != NULL)
        if (r->count == VIF_RECORD_VIFS_MAX || !parse_row(line, &r->vifs[r->count++]))
            return false;
    return true;
}

int vif_record_parse(const char *text, size_t bytes, struct vif_record *ret, struct err *e)
{
    char copy[VIF_RECORD_BYTES_MAX], again[VIF_RECORD_BYTES_MAX];
    struct vif_record r = { .count = 0 };

    if (bytes >= sizeof(copy) || memchr(text, '\0', bytes))
        return err_set(e, EPROTO, "no record of a network buffer");
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    if (!parse_text(copy, &r) || vif_record_format(&r, again) != bytes || memcmp(again, text, bytes) != 0)
        return err_set(e, EPROTO, "no record of a network buffer, or one that was changed by hand");
    *ret = r;
    return 0;
}

/* ---- files ------------------------------------------------------------------------------------------ */

static int path_of(const char *folder, const char *domain, const char *suffix, char ret[PATH_MAX],
                   struct err *e)
{
    if (!is_name(domain) || strlen(domain) > VIF_RECORD_NAME_MAX)
        return err_set(e, EINVAL, "\"%.80s\" is no name of a domain", domain);
    if (snprintf(ret, PATH_MAX, "%s/%s%s", folder, domain, suffix) >= PATH_MAX)
        return err_set(e, ENAMETOOLONG, "%.40s…: too long", folder);
    return 0;
}

static int write_whole(const char *path, const char *text, size_t bytes, struct err *e)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_set(e, errno, "open %s: %m", path);
    errno = EIO; /* of a short write */
    if (write(fd, text, bytes) != (ssize_t)bytes)
        return err_set(e, errno, "write %s: %m", path);
    return 0;
}

/* The folder lives as long as the kernel's qdiscs do (a tmpfs), so there is nothing to sync. */
int vif_record_store(const char *folder, const struct vif_record *r, struct err *e)
{
    char path[PATH_MAX], fresh[PATH_MAX], text[VIF_RECORD_BYTES_MAX];
    int rc;

    if ((rc = path_of(folder, r->domain, VIF_RECORD_SUFFIX, path, e)) < 0 ||
        (rc = path_of(folder, r->domain, VIF_RECORD_SUFFIX ".new", fresh, e)) < 0 ||
        (rc = write_whole(fresh, text, vif_record_format(r, text), e)) < 0)
        return rc;
    return rename(fresh, path) < 0 ? err_set(e, errno, "rename to %s: %m", path) : 0;
}

int vif_record_load(const char *folder, const char *domain, struct vif_record *ret, struct err *e)
{
    char path[PATH_MAX], text[VIF_RECORD_BYTES_MAX];
    AUTO_CLOSE int fd = -1;
    ssize_t got;
    int rc = path_of(folder, domain, VIF_RECORD_SUFFIX, path, e);

    if (rc < 0)
        return rc;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, errno, "open %s: %m", path);
    got = read(fd, text, sizeof(text));
    if (got < 0)
        return err_set(e, errno, "read %s: %m", path);
    rc = vif_record_parse(text, (size_t)got, ret, e);
    return rc < 0 ? err_wrap(e, "%s", path) : 0;
}

int vif_record_remove(const char *folder, const char *domain, struct err *e)
{
    char path[PATH_MAX];
    int rc = path_of(folder, domain, VIF_RECORD_SUFFIX, path, e);

    if (rc < 0)
        return rc;
    return unlink(path) < 0 && errno != ENOENT ? err_set(e, errno, "remove %s: %m", path) : 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int vif_record_list(const char *folder, char (*ret)[VIF_RECORD_NAME_MAX + 1], unsigned most,
                    struct err *e)
{
    const size_t suffix = strlen(VIF_RECORD_SUFFIX);
    unsigned count = 0;
    struct dirent *one;
    DIR *all = opendir(folder);

    if (!all)
        return errno == ENOENT ? 0 : err_set(e, errno, "read folder %s: %m", folder);
    while (count < most && (one = readdir(all)) != NULL) {
        size_t length = strlen(one->d_name);

        if (length <= suffix || length - suffix > VIF_RECORD_NAME_MAX ||
            strcmp(one->d_name + length - suffix, VIF_RECORD_SUFFIX) != 0)
            continue;
        memcpy(ret[count], one->d_name, length - suffix);
        ret[count++][length - suffix] = '\0';
    }
    closedir(all);
    qsort(ret, count, sizeof(*ret), by_name);
    return (int)count;
}

/* ---- the process ------------------------------------------------------------------------------------ */

/* Field 22 of /proc/PID/stat; the second may hold blanks and brackets. 0: no such process. */
static uint64_t start_of(pid_t pid)
{
    char path[64], text[1024];
    AUTO_CLOSE int fd = -1;
    uint64_t started = 0;
    const char *after;
    ssize_t got;

    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (got <= 0)
        return 0;
    text[got] = '\0';
    after = strrchr(text, ')');
    if (!after || after[1] != ' ' || after[2] == 'Z' ||
        sscanf(after + 2, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %"
               SCNu64, &started) != 1)
        return 0;
    return started;
}

int vif_record_sign(struct vif_record *r, struct err *e)
{
    r->pid = getpid();
    r->started = start_of(r->pid);
    return r->started ? 0 : err_set(e, ENOENT, "/proc/%ld/stat can't be read", (long)r->pid);
}

bool vif_record_owner_lives(const struct vif_record *r)
{
    return r->started != 0 && start_of(r->pid) == r->started;
}
