/* cmd_version — what this build is and can do, so that tests and packagers never guess. */
#include <jansson.h>
#include <lz4.h>
#include <stdio.h>
#include <xxhash.h>

#include "base/failpoint.h"
#include "checkpoint/record.h"
#include "checkpoint/stream.h"
#include "compress/codec.h"
#include "replicator/control/asking.h"
#include "replicator/commands.h"
#include "replicator/options.h"

#define OPTION(field) offsetof(struct chosen, field)

struct chosen {
    bool json;
};

static const struct option_row rows[] = {
    { "json", NULL, "one object", option_flag, OPTION(json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = { .command = "version", .rows = rows };

static json_t *list_of(const char *(*name_at)(unsigned i), unsigned n)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < n; i++)
        json_array_append_new(list, json_string(name_at(i)));
    return list;
}

static const char *codec_name(unsigned i)
{
    return codec_by_id(i)->name;
}

static const char *failpoint_at(unsigned i)
{
    return failpoint_name((enum failpoint)i);
}

/* Release builds have none. */
static unsigned failpoints(void)
{
#ifdef REPLICATOR_FAILPOINTS
    return FAILPOINT_COUNT;
#else
    return 0;
#endif
}

static json_t *libraries(void)
{
    return json_pack("{s:s, s:s, s:o}", "jansson", jansson_version_str(), "lz4", LZ4_versionString(),
                     "xxhash", json_sprintf("%u.%u.%u", XXH_versionNumber() / 10000,
                                            XXH_versionNumber() / 100 % 100, XXH_versionNumber() % 100));
}

static json_t *describe(void)
{
    return json_pack("{s:i, s:s, s:{s:i, s:i}, s:{s:i, s:i}, s:s, s:[s], s:[s,s,s], s:[s,s,s], s:o, s:o, s:o}",
                     "schema", 1, "version", REPLICATOR_VERSION, "protocol", "least", PROTOCOL_VERSION,
                     "most", PROTOCOL_VERSION, "stream", "least", 2, "most", STREAM_VERSION, "records",
                     "0x52500000-0x525000ff, optional 0xd2500000-0xd25000ff", "guests", "sim", "netbufs",
                     "queue", "plug", "none", "links", "tcp", "unix", "exec", "codecs",
                     list_of(codec_name, CODEC_COUNT), "failpoints",
                     list_of(failpoint_at, failpoints()), "libraries", libraries());
}

int cmd_version(int argc, char **argv)
{
    struct chosen c = { .json = false };
    int first, rc = options_parse(&usage, argc, argv, &c, &first);
    json_t *about;

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    about = describe();
    if (c.json) {
        asking_print(about);
    } else {
        printf("replicator %s\nprotocol %u, stream 2 to %u\n", REPLICATOR_VERSION, PROTOCOL_VERSION,
               STREAM_VERSION);
        printf("jansson %s, lz4 %s\n", jansson_version_str(), LZ4_versionString());
        for (unsigned i = 0; i < failpoints(); i++)
            printf("%s%s", i ? " " : "failpoints ", failpoint_at(i));
        if (failpoints())
            putchar('\n');
    }
    json_decref(about);
    return EXIT_OK;
}
