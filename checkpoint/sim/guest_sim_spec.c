/* guest_sim_spec — see guest_sim_spec.h. The numeric keys are one table. */
#include "checkpoint/sim/guest_sim_spec.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/rng.h"

#define PREFIX "sim:"

static const struct number_key {
    const char *name;
    size_t offset;
    uint64_t least, most, standard;
} number_keys[] = {
#define NUMBER(key, least, most, standard) \
    { #key, offsetof(struct guest_sim_spec, key), least, most, standard }
    NUMBER(mib, 16, 16384, 64),
    NUMBER(dirty, 0, 100000000, 1000),
    NUMBER(bytes, 1, 4096, 64),
    NUMBER(vcpus, 1, GUEST_SIM_VCPUS_MAX, 1),
    NUMBER(seed, 0, UINT64_MAX, 1),
    NUMBER(steps, 0, UINT64_MAX, 0),
    NUMBER(frames, 0, 1000000, 200),
    NUMBER(burst, 0, 100000000, 0),
#undef NUMBER
};
#define NUMBER_KEYS ARRAY_LEN(number_keys)

static const char *const workload_names[GUEST_SIM_WORKLOAD_COUNT] = {
#define X(name, words) #name,
    GUEST_SIM_WORKLOADS(X)
#undef X
};

static uint64_t *number_of(struct guest_sim_spec *spec, size_t i)
{
    return (uint64_t *)(void *)((char *)spec + number_keys[i].offset);
}

/* Decimal digits only: no sign, no space, no overflow. */
static int parse_u64(const char *text, uint64_t *ret)
{
    uint64_t value = 0;

    if (*text == '\0')
        return -1;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text) ||
            __builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return -1;
    }
    *ret = value;
    return 0;
}

static int set_number(const struct number_key *key, const char *value, uint64_t *ret, struct err *e)
{
    uint64_t number;

    if (strcmp(key->name, "dirty") == 0 && strcmp(value, "max") == 0) {
        *ret = GUEST_SIM_DIRTY_MAX;
        return 0;
    }
    if (parse_u64(value, &number) < 0)
        return err_set(e, EINVAL, "%s=%s is not a number", key->name, value);
    if (number < key->least || number > key->most)
        return err_set(e, EINVAL, "%s=%s is out of range: %" PRIu64 " … %" PRIu64 " are possible",
                       key->name, value, key->least, key->most);
    *ret = number;
    return 0;
}

static int set_workload(const char *value, struct guest_sim_spec *ret, struct err *e)
{
    for (unsigned i = 0; i < GUEST_SIM_WORKLOAD_COUNT; i++) {
        if (strcmp(workload_names[i], value) == 0) {
            ret->workload = (enum guest_sim_workload)i;
            return 0;
        }
    }
    return err_set(e, EINVAL, "workload=%s is not known", value);
}

/* HOST:PORT, the port after the last colon (an IPv6 host has more of them). */
static bool is_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;

    for (const char *at = text; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("-_.:[]%", *at))
            return false;
    return colon && colon > text && parse_u64(colon + 1, &port) == 0 && port >= 1 && port <= 65535;
}

/* The name of a network interface. */
static bool is_interface(const char *text)
{
    for (const char *at = text; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("-_.", *at))
            return false;
    return *text && strlen(text) < GUEST_SIM_INTERFACE_MAX;
}

static bool is_nic(const char *text)
{
    return strcmp(text, "none") == 0 || (strncmp(text, "udp:", 4) == 0 && is_address(text + 4)) ||
           (strncmp(text, "tap:", 4) == 0 && is_interface(text + 4));
}

static int set_nic(const char *value, struct guest_sim_spec *ret, struct err *e)
{
    if (strlen(value) > GUEST_SIM_NIC_MAX || !is_nic(value))
        return err_set(e, EINVAL, "nic=%s is neither none nor udp:HOST:PORT nor tap:NAME", value);
    strcpy(ret->nic, value);
    return 0;
}

static int set_ip(const char *value, struct guest_sim_spec *ret, struct err *e)
{
    if (inet_pton(AF_INET, value, ret->ip) != 1)
        return err_set(e, EINVAL, "ip=%.40s is no IPv4 address", value);
    return 0;
}

static int set_once(uint32_t *seen, size_t key, const char *name, struct err *e)
{
    if (*seen >> key & 1)
        return err_set(e, EINVAL, "%s is given twice", name);
    *seen |= UINT32_C(1) << key;
    return 0;
}

static int set_key(const char *name, const char *value, uint32_t *seen, struct guest_sim_spec *ret,
                   struct err *e)
{
    int rc;

    for (size_t i = 0; i < NUMBER_KEYS; i++) {
        if (strcmp(number_keys[i].name, name) == 0) {
            rc = set_once(seen, i, name, e);
            return rc < 0 ? rc : set_number(&number_keys[i], value, number_of(ret, i), e);
        }
    }
    if (strcmp(name, "workload") == 0) {
        rc = set_once(seen, NUMBER_KEYS, name, e);
        return rc < 0 ? rc : set_workload(value, ret, e);
    }
    if (strcmp(name, "nic") == 0) {
        rc = set_once(seen, NUMBER_KEYS + 1, name, e);
        return rc < 0 ? rc : set_nic(value, ret, e);
    }
    if (strcmp(name, "ip") == 0) {
        rc = set_once(seen, NUMBER_KEYS + 2, name, e);
        return rc < 0 ? rc : set_ip(value, ret, e);
    }
    return err_set(e, EINVAL, "key %s is not known", name);
}

static int set_name(const char *name, struct guest_sim_spec *ret, struct err *e)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
            return err_set(e, EINVAL, "name %s: letters, digits and - _ . are possible", name);
    if (n == 0 || n > GUEST_NAME_MAX)
        return err_set(e, EINVAL, "a name of %zu octets: 1 … %u are possible", n, GUEST_NAME_MAX);
    memcpy(ret->name, name, n + 1);
    return 0;
}

static int parse_keys(char *at, struct guest_sim_spec *ret, struct err *e)
{
    uint32_t seen = 0;
    char *word, *equals;
    int rc;

    while ((word = strsep(&at, "&"))) {
        equals = strchr(word, '=');
        if (!equals)
            return err_set(e, EINVAL, "\"%s\" is not key=value", word);
        *equals = '\0';
        rc = set_key(word, equals + 1, &seen, ret, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* What keys can't say by themselves. */
static int judge(const struct guest_sim_spec *spec, struct err *e)
{
    static const uint8_t none[4];

    if (!guest_sim_spec_speaks_ethernet(spec))
        return 0;
    if (memcmp(spec->ip, none, sizeof(none)) == 0)
        return err_set(e, EINVAL, "workload=tcp needs an address: ip=A.B.C.D");
    if (strncmp(spec->nic, "udp:", 4) == 0)
        return err_set(e, EINVAL, "workload=tcp speaks Ethernet: nic=tap:NAME");
    return 0;
}

int guest_sim_spec_parse(const char *text, struct guest_sim_spec *ret, struct err *e)
{
    struct guest_sim_spec spec = { .workload = GUEST_SIM_counter, .nic = "none" };
    char words[GUEST_SPEC_MAX + 1];
    char *keys = words + strlen(PREFIX), *name;
    int rc;

    if (strlen(text) > GUEST_SPEC_MAX)
        return err_set(e, EINVAL, "a guest's specification is at most %u octets", GUEST_SPEC_MAX);
    if (strncmp(text, PREFIX, strlen(PREFIX)) != 0)
        return err_set(e, EINVAL, "\"%.64s\" does not start with " PREFIX, text);
    strcpy(words, text);
    for (size_t i = 0; i < NUMBER_KEYS; i++)
        *number_of(&spec, i) = number_keys[i].standard;
    name = strsep(&keys, "?");
    rc = set_name(name, &spec, e);
    if (rc == 0 && keys)
        rc = parse_keys(keys, &spec, e);
    if (rc == 0)
        rc = judge(&spec, e);
    if (rc < 0)
        return err_wrap(e, "simulated guest");
    *ret = spec;
    return 0;
}

void guest_sim_spec_format(const struct guest_sim_spec *spec, char to[GUEST_SPEC_MAX + 1])
{
    char dirty[24] = "max", ip[INET_ADDRSTRLEN];
    int n;

    if (spec->dirty != GUEST_SIM_DIRTY_MAX)
        snprintf(dirty, sizeof(dirty), "%" PRIu64, spec->dirty);
    n = snprintf(to, GUEST_SPEC_MAX + 1,
                 PREFIX "%s?mib=%" PRIu64 "&workload=%s&dirty=%s&bytes=%" PRIu64 "&vcpus=%" PRIu64
                        "&seed=%" PRIu64 "&steps=%" PRIu64 "&frames=%" PRIu64 "&burst=%" PRIu64
                        "&nic=%s&ip=%s",
                 spec->name, spec->mib, workload_names[spec->workload], dirty, spec->bytes,
                 spec->vcpus, spec->seed, spec->steps, spec->frames, spec->burst, spec->nic,
                 inet_ntop(AF_INET, spec->ip, ip, sizeof(ip)));
    must(n > 0 && (size_t)n <= GUEST_SPEC_MAX);
}

void guest_sim_spec_uuid(const struct guest_sim_spec *spec, uint8_t uuid[16])
{
    uint64_t named = digest_of(spec->name, strlen(spec->name)) ^ rng_mix(spec->seed);

    store_u64(uuid, rng_mix(named));
    store_u64(uuid + 8, rng_mix(rng_mix(named)));
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x80); /* RFC 9562: version 8, made by own rules */
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}
