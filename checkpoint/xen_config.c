/* xen_config — see xen_config.h. Keys are libxl's (libxl_types.idl); what is not needed is not read. */
#include "checkpoint/xen_config.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_KB_MAX    (GUEST_PAGES_MAX * 4)
#define TEXT_FORMAT      (JSON_COMPACT | JSON_ENSURE_ASCII)

/* A text, or "" when the key is not there. */
static int get_text(const json_t *in, const char *key, char *ret, size_t most, struct err *e)
{
    const json_t *value = json_object_get(in, key);
    const char *text = value ? json_string_value(value) : "";

    if (!text || strlen(text) > most)
        return err_set(e, EPROTO, "domain's configuration: \"%s\" is not a text of at most %zu octets", key,
                       most);
    strcpy(ret, text);
    return 0;
}

static int get_kb(const json_t *in, const char *key, uint64_t *ret, struct err *e)
{
    const json_t *value = json_object_get(in, key);
    json_int_t kb = json_integer_value(value);

    if (value && (!json_is_integer(value) || kb < 0 || kb > (json_int_t)MEMORY_KB_MAX))
        return err_set(e, EPROTO, "domain's configuration: \"%s\" is not a size in KiB", key);
    *ret = (uint64_t)kb;
    return 0;
}

static int get_memory(const json_t *config, struct xen_config *ret, struct err *e)
{
    const json_t *build = json_object_get(config, "b_info");
    uint64_t target, video, shadow;
    int rc;

    if (!json_is_object(build))
        return err_set(e, EPROTO, "domain's configuration: \"b_info\" is missing");
    if ((rc = get_kb(build, "target_memkb", &target, e)) < 0 ||
        (rc = get_kb(build, "max_memkb", &ret->ram_kb, e)) < 0 ||
        (rc = get_kb(build, "video_memkb", &video, e)) < 0 ||
        (rc = get_kb(build, "shadow_memkb", &shadow, e)) < 0)
        return rc;
    if (ret->ram_kb < target)
        ret->ram_kb = target;
    if (ret->ram_kb == 0)
        return err_set(e, EPROTO, "domain's configuration: \"max_memkb\" is missing");
    ret->memory_kb = ret->ram_kb + video + shadow;
    return 0;
}

static int get_vif(const json_t *nic, struct xen_vif *ret, struct err *e)
{
    char mac[18];
    int rc, n = 0;

    if ((rc = get_text(nic, "mac", mac, sizeof(mac) - 1, e)) < 0 ||
        (rc = get_text(nic, "bridge", ret->bridge, XEN_BRIDGE_MAX, e)) < 0 ||
        (rc = get_text(nic, "ip", ret->addresses, XEN_ADDRESSES_MAX, e)) < 0)
        return rc;
    if (strchr(ret->bridge, '/') || strcmp(ret->bridge, ".") == 0 || strcmp(ret->bridge, "..") == 0)
        return err_set(e, EPROTO, "domain's configuration: \"%s\" is not a bridge's name", ret->bridge);
    if (sscanf(mac, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &ret->mac[0], &ret->mac[1], &ret->mac[2],
               &ret->mac[3], &ret->mac[4], &ret->mac[5], &n) != 6 || n != 17 || mac[n])
        return err_set(e, EPROTO, "domain's configuration: \"%s\" is not a MAC address", mac);
    return 0;
}

static int get_vifs(const json_t *config, struct xen_config *ret, struct err *e)
{
    const json_t *nics = json_object_get(config, "nics");
    int rc;

    if (json_array_size(nics) > XEN_VIFS_MAX)
        return err_set(e, EPROTO, "a domain with %zu interfaces: at most %u are possible",
                       json_array_size(nics), XEN_VIFS_MAX);
    for (size_t i = 0; i < json_array_size(nics); i++)
        if ((rc = get_vif(json_array_get(nics, i), &ret->vifs[ret->vif_count++], e)) < 0)
            return rc;
    return 0;
}

static bool is_word(const json_t *in, const char *key, const char *word)
{
    const char *text = json_string_value(json_object_get(in, key));

    return text && strcmp(text, word) == 0;
}

/* An empty drive, one served by another domain, or one that a script of the user's attaches: nothing of
 * it can be looked for on this host. */
static bool is_elsewhere(const json_t *disk)
{
    return is_word(disk, "format", "empty") || json_object_get(disk, "script") ||
           json_object_get(disk, "backend_domname") ||
           json_integer_value(json_object_get(disk, "backend_domid")) > 0;
}

static int get_disks(const json_t *config, struct xen_config *ret, struct err *e)
{
    const json_t *disks = json_object_get(config, "disks");
    int rc;

    if (json_array_size(disks) > XEN_DISKS_MAX)
        return err_set(e, EPROTO, "a domain with %zu disks: at most %u are possible",
                       json_array_size(disks), XEN_DISKS_MAX);
    for (size_t i = 0; i < json_array_size(disks); i++) {
        const json_t *disk = json_array_get(disks, i);
        struct xen_disk *to = &ret->disks[ret->disk_count];

        if ((rc = get_text(disk, "pdev_path", to->path, XEN_PATH_MAX, e)) < 0 ||
            (rc = get_text(disk, "vdev", to->vdev, sizeof(to->vdev) - 1, e)) < 0)
            return rc;
        if (to->path[0] && !is_elsewhere(disk))
            ret->disk_count++;
    }
    return 0;
}

int xen_config_read(const char *json, struct xen_config *ret, struct err *e)
{
    json_t *config = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    int rc;

    *ret = (struct xen_config){ 0 };
    if (!json_is_object(config))
        rc = err_set(e, EPROTO, "domain's configuration: no JSON object");
    else if ((rc = get_memory(config, ret, e)) == 0 && (rc = get_vifs(config, ret, e)) == 0)
        rc = get_disks(config, ret, e);
    json_decref(config);
    return rc;
}

int xen_config_rename(const char *json, const char *name, char *to, size_t room, struct err *e)
{
    json_t *config = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    json_t *create = json_object_get(config, "c_info");
    char *text = NULL;
    int rc = 0;

    if (json_is_object(create) && json_object_set_new(create, "name", json_string(name)) == 0) {
        (void)json_object_del(create, "domid");
        text = json_dumps(config, TEXT_FORMAT);
    }
    if (!text)
        rc = err_set(e, EPROTO, "domain's configuration: \"c_info\" is missing");
    else if (strlen(text) >= room)
        rc = err_set(e, E2BIG, "a domain's configuration of %zu octets: at most %zu are possible",
                     strlen(text), room - 1);
    else
        strcpy(to, text);
    free(text);
    json_decref(config);
    return rc;
}
