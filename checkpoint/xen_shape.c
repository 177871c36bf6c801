/* xen_shape — see xen_shape.h. jansson keeps the order of keys and writes other than ASCII as escapes,
 * so that the same configuration always gives the same text. */
#include "checkpoint/xen_shape.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_FORMAT (JSON_COMPACT | JSON_ENSURE_ASCII)

static const struct { const char *name; bool has_emulator; } types[XEN_TYPE_COUNT] = {
#define X(name, has_emulator) [XEN_##name] = { #name, has_emulator },
    XEN_TYPES(X)
#undef X
};

const char *xen_type_name(enum xen_type type)
{
    return types[type].name;
}

bool xen_type_has_emulator(enum xen_type type)
{
    return types[type].has_emulator;
}

void xen_uuid_format(const uint8_t uuid[16], char to[XEN_UUID_TEXT])
{
    char *at = to;

    for (unsigned i = 0; i < 16; i++)
        at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

static int nibble(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) % 16 : -1;
}

int xen_uuid_parse(const char *text, uint8_t ret[16])
{
    uint8_t got[16];

    for (unsigned i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return -EINVAL;
        if (nibble(text[0]) < 0 || nibble(text[1]) < 0)
            return -EINVAL;
        got[i] = (uint8_t)(nibble(text[0]) << 4 | nibble(text[1]));
        text += 2;
    }
    if (*text)
        return -EINVAL;
    memcpy(ret, got, sizeof(got));
    return 0;
}

/* ---- to text ----------------------------------------------------------------------------------- */

static int text_of(const json_t *object, char to[GUEST_SPEC_MAX + 1], struct err *e)
{
    char *text = json_dumps(object, TEXT_FORMAT);
    size_t n = text ? strlen(text) + strlen(XEN_SHAPE_PREFIX) : 0;

    if (text && n <= GUEST_SPEC_MAX)
        sprintf(to, XEN_SHAPE_PREFIX "%s", text);
    free(text);
    if (n == 0)
        return err_set(e, ENOMEM, "no memory for a domain's shape");
    if (n > GUEST_SPEC_MAX)
        return err_set(e, E2BIG, "a domain's configuration of %zu octets: at most %u are possible", n,
                       GUEST_SPEC_MAX);
    return 0;
}

int xen_shape_format(const struct xen_shape *shape, char to[GUEST_SPEC_MAX + 1], struct err *e)
{
    json_t *config = json_loads(shape->config, JSON_REJECT_DUPLICATES, NULL), *object;
    char uuid[XEN_UUID_TEXT];
    int rc;

    if (!json_is_object(config)) {
        json_decref(config);
        return err_set(e, EINVAL, "the configuration of %s is no JSON object", shape->name);
    }
    xen_uuid_format(shape->uuid, uuid);
    object = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "name", shape->name, "uuid",
                       uuid, "type", xen_type_name(shape->type), "pages", (json_int_t)shape->pages,
                       "max_memkb", (json_int_t)shape->max_memkb, "tot_pages",
                       (json_int_t)shape->tot_pages, "vcpus", (json_int_t)shape->vcpus, "xen_major",
                       (json_int_t)shape->xen_major, "xen_minor", (json_int_t)shape->xen_minor,
                       "config", config);
    rc = object ? text_of(object, to, e)
                : err_set(e, EINVAL, "the name %s is not UTF-8", shape->name);
    json_decref(object);
    return rc;
}

/* ---- from text --------------------------------------------------------------------------------- */

static int get_number(const json_t *in, const char *key, uint64_t least, uint64_t most, uint64_t *ret,
                      struct err *e)
{
    const json_t *value = json_object_get(in, key);
    json_int_t got = json_integer_value(value);

    if (!json_is_integer(value) || got < (json_int_t)least || got > (json_int_t)most)
        return err_set(e, EPROTO, "domain's shape: \"%s\" is not a number from %" PRIu64 " to %" PRIu64,
                       key, least, most);
    *ret = (uint64_t)got;
    return 0;
}

static int get_text(const json_t *in, const char *key, size_t most, char *ret, struct err *e)
{
    const char *text = json_string_value(json_object_get(in, key));

    if (!text || !*text || strlen(text) > most)
        return err_set(e, EPROTO, "domain's shape: \"%s\" is not a text of 1 to %zu octets", key, most);
    strcpy(ret, text);
    return 0;
}

static int get_type(const json_t *in, enum xen_type *ret, struct err *e)
{
    const char *text = json_string_value(json_object_get(in, "type"));

    for (unsigned i = 0; text && i < XEN_TYPE_COUNT; i++)
        if (strcmp(text, types[i].name) == 0) {
            *ret = (enum xen_type)i;
            return 0;
        }
    return err_set(e, EPROTO, "domain's shape: \"type\" is none of those that can be protected");
}

static int get_config(const json_t *in, char ret[GUEST_SPEC_MAX + 1], struct err *e)
{
    const json_t *config = json_object_get(in, "config");
    char *text = json_is_object(config) ? json_dumps(config, TEXT_FORMAT) : NULL;
    bool fits = text && strlen(text) <= GUEST_SPEC_MAX;

    if (fits)
        strcpy(ret, text);
    free(text);
    return fits ? 0 : err_set(e, EPROTO, "domain's shape: \"config\" is no object of at most %u octets",
                              GUEST_SPEC_MAX);
}

static int get_all(const json_t *in, struct xen_shape *ret, struct err *e)
{
    char uuid[XEN_UUID_TEXT];
    uint64_t vcpus, major, minor;
    int rc;

    if ((rc = get_text(in, "name", GUEST_NAME_MAX, ret->name, e)) < 0 ||
        (rc = get_text(in, "uuid", XEN_UUID_TEXT - 1, uuid, e)) < 0 ||
        (rc = get_type(in, &ret->type, e)) < 0 ||
        (rc = get_number(in, "pages", 1, GUEST_PAGES_MAX, &ret->pages, e)) < 0 ||
        (rc = get_number(in, "max_memkb", 1, GUEST_PAGES_MAX * 4, &ret->max_memkb, e)) < 0 ||
        (rc = get_number(in, "tot_pages", 1, GUEST_PAGES_MAX, &ret->tot_pages, e)) < 0 ||
        (rc = get_number(in, "vcpus", 1, XEN_VCPUS_MAX, &vcpus, e)) < 0 ||
        (rc = get_number(in, "xen_major", 0, UINT32_MAX, &major, e)) < 0 ||
        (rc = get_number(in, "xen_minor", 0, UINT32_MAX, &minor, e)) < 0 ||
        (rc = get_config(in, ret->config, e)) < 0)
        return rc;
    if (xen_uuid_parse(uuid, ret->uuid) < 0)
        return err_set(e, EPROTO, "domain's shape: \"uuid\" is not a UUID");
    ret->vcpus = (uint32_t)vcpus;
    ret->xen_major = (uint32_t)major;
    ret->xen_minor = (uint32_t)minor;
    return 0;
}

int xen_shape_parse(const char *text, struct xen_shape *ret, struct err *e)
{
    struct xen_shape got = { 0 };
    json_t *object;
    int rc;

    if (strncmp(text, XEN_SHAPE_PREFIX, strlen(XEN_SHAPE_PREFIX)) != 0)
        return err_set(e, EPROTO, "\"%.32s\" is not a Xen domain's shape", text);
    object = json_loads(text + strlen(XEN_SHAPE_PREFIX), JSON_REJECT_DUPLICATES, NULL);
    rc = json_is_object(object) ? get_all(object, &got, e)
                                : err_set(e, EPROTO, "domain's shape: no JSON object");
    json_decref(object);
    if (rc == 0)
        *ret = got;
    return rc;
}
