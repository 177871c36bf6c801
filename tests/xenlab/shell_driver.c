/* shell_driver — a file of `xl save` becomes a domain by way of a replica: read by the product's reader,
 * its memory written into a shell domain, then activated. For tests of checkpoint/replica_xen alone.
 *   shell_driver FILE            until the domain runs; prints what took how long
 *   shell_driver FILE pages      kills itself when the memory is written: the shell must vanish
 *   shell_driver FILE wait       says "ready" then, waits for a line on stdin, looks at its health, and
 *                                activates or says "lost" */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "checkpoint/formats/reading.h"
#include "checkpoint/pages.h"
#include "checkpoint/record.h"
#include "checkpoint/replica_xen.h"

#define PFNS       0x100000u /* of a domain with less than 4 GiB */
#define PARAMS_MAX 64u

struct driver {
    struct replica *replica;
    char config[GUEST_SPEC_MAX + 1];
    uint8_t blob[GUEST_STATE_MAX];         /* the one at hand */
    uint8_t preamble[64u << 10], state[GUEST_STATE_MAX];
    struct sink preamble_to, state_to;
    uint8_t params[8 + PARAMS_MAX * 16];
    uint32_t param_count;
    uint64_t pages, began_ns, made_ns;
};

static void fail(const struct err *e)
{
    fprintf(stderr, "shell_driver: %s\n", e->text);
    exit(1);
}

static void wait_for(struct replica *r)
{
    struct pollfd fd = { .fd = r->ops->event_fd(r), .events = POLLIN };

    while (poll(&fd, 1, -1) < 0 && errno == EINTR)
        ;
}

static void shape_of(const struct driver *d, struct xen_shape *s)
{
    json_t *config = json_loads(d->config, 0, NULL), *create = json_object_get(config, "c_info");
    const char *name = json_string_value(json_object_get(create, "name"));
    const char *uuid = json_string_value(json_object_get(create, "uuid"));
    const char *type = json_string_value(json_object_get(create, "type"));

    *s = (struct xen_shape){ .pages = PFNS, .vcpus = 1, .xen_major = 4, .xen_minor = 17 };
    snprintf(s->name, sizeof(s->name), "%s", name ? name : "");
    s->type = type && strcmp(type, "hvm") == 0 ? XEN_hvm : XEN_pvh;
    if (!uuid || xen_uuid_parse(uuid, s->uuid) < 0)
        fail(&(struct err){ EPROTO, "the file's configuration has no UUID" });
    memcpy(s->config, d->config, sizeof(s->config));
    json_decref(config);
}

/* Memory begins: the shell is made. */
static void make(struct driver *d)
{
    size_t bytes = sizeof(d->preamble) - d->preamble_to.left;
    struct xen_shape shape;
    struct err e;
    int rc;

    shape_of(d, &shape);
    d->began_ns = clock_now_ns();
    if (replica_xen_open(&shape, &d->replica, &e) < 0)
        fail(&e);
    while ((rc = d->replica->ops->preamble(d->replica, d->preamble, bytes, &e)) == -EAGAIN)
        wait_for(d->replica);
    if (rc < 0)
        fail(&e);
    d->made_ns = clock_now_ns();
}

static int take_page(void *c, const struct stream_page *p, struct err *e)
{
    struct driver *d = c;
    uint8_t *to;

    if (!d->replica)
        make(d);
    if (!p->content)
        return 0;
    to = d->replica->ops->page(d->replica, p->pfn, e);
    if (!to)
        return -e->code;
    memcpy(to, p->content, PAGE_BYTES);
    d->pages++;
    return 0;
}

static int take_state(void *c, const struct stream_state *piece, struct err *e)
{
    struct driver *d = c;
    bool is_config = strcmp(piece->name, "XL_CONFIG") == 0;
    bool is_static = piece->type == RECORD_X86_CPUID_POLICY || piece->type == RECORD_X86_MSR_POLICY;
    bool is_emulators = strncmp(piece->name, "EMULATOR_", 9) == 0;
    uint8_t *body = is_emulators ? d->blob + 16 : d->blob;

    if (piece->total > sizeof(d->blob) - 16)
        return err_set(e, E2BIG, "%s of %" PRIu64 " octets", piece->name, piece->total);
    memcpy(body + piece->at, piece->octets, piece->bytes);
    if (piece->at + piece->bytes < piece->total)
        return 0;
    if (is_config) {
        snprintf(d->config, sizeof(d->config), "%.*s", (int)piece->total, (const char *)d->blob);
        return 0;
    }
    if (is_emulators) {
        store_u32(d->blob, strcmp(piece->name, "EMULATOR_CONTEXT") == 0 ? 8 : 7);
        store_u32(d->blob + 4, 1);
        store_u32(d->blob + 8, piece->index);
        store_u32(d->blob + 12, piece->emulator);
    }
    return record_put(is_static ? &d->preamble_to : &d->state_to,
                      is_emulators ? (uint32_t)RECORD_FOREIGN_STATE : piece->type, d->blob,
                      piece->total + (is_emulators ? 16 : 0));
}

static int take_param(void *c, uint64_t index, uint64_t value, struct err *e)
{
    struct driver *d = c;

    if (d->param_count == PARAMS_MAX)
        return err_set(e, E2BIG, "more than %u parameters", PARAMS_MAX);
    store_u64(d->params + 8 + d->param_count * 16, index);
    store_u64(d->params + 16 + d->param_count++ * 16, value);
    return 0;
}

static int end(void *c, const struct stream_facts *facts, bool is_complete, struct err *e)
{
    struct driver *d = c;

    (void)facts;
    store_u32(d->params, d->param_count);
    if (!is_complete || record_put(&d->state_to, RECORD_HVM_PARAMS, d->params, 8 + d->param_count * 16) < 0)
        return err_set(e, EPROTO, "the file is not whole");
    return 0;
}

static void commit(struct driver *d)
{
    size_t bytes = sizeof(d->state) - d->state_to.left;
    struct err e;

    if (d->replica->ops->check_state(d->replica, d->state, bytes, &e) < 0)
        fail(&e);
    d->replica->ops->commit_state(d->replica, d->state, bytes);
}

/* As the operator says, or because the replica has news. */
static void wait_for_word(struct driver *d)
{
    struct pollfd fds[2] = { { .fd = 0, .events = POLLIN },
                             { .fd = d->replica->ops->event_fd(d->replica), .events = POLLIN } };
    struct err e;

    puts("ready");
    fflush(stdout);
    while (poll(fds, 2, -1) < 0 || !fds[0].revents)
        if (fds[1].revents && d->replica->ops->health(d->replica, &e) < 0) {
            printf("lost: %s\n", e.text);
            d->replica->ops->close(d->replica);
            exit(3);
        }
}

static void activate(struct driver *d)
{
    uint64_t began_ns = clock_now_ns(), ended_ns;
    struct guest *g;
    struct err e;
    int rc;

    while ((rc = d->replica->ops->activate(d->replica, &g, &e)) == -EAGAIN)
        wait_for(d->replica);
    if (rc < 0 || guest_go_on(g, &e) < 0)
        fail(&e);
    ended_ns = clock_now_ns();
    d->replica->ops->close(d->replica);
    printf("%" PRIu64 " pages; shell made in %.3f s, filled in %.3f s, activated in %.3f s, let go in %.3f s\n",
           d->pages, (double)(d->made_ns - d->began_ns) / 1e9, (double)(began_ns - d->made_ns) / 1e9,
           (double)(ended_ns - began_ns) / 1e9, (double)(clock_now_ns() - ended_ns) / 1e9);
    g->ops->close(g);
}

int main(int argc, char **argv)
{
    struct driver *d = calloc(1, sizeof(*d));
    struct consumer_ops ops = consumer_ignores;
    struct stream_wishes wishes = { 0 };
    struct stream_input *in;
    struct reading reading;
    struct err e;

    if (!d || argc < 2 || argc > 3)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    d->preamble_to = (struct sink){ d->preamble, sizeof(d->preamble) };
    d->state_to = (struct sink){ d->state, sizeof(d->state) };
    ops.page = take_page;
    ops.state = take_state;
    ops.param = take_param;
    ops.end = end;
    if (stream_input_open(&in, open(argv[1], O_RDONLY | O_CLOEXEC), &e) < 0 ||
        reading_run(&reading, in, &wishes, (struct consumer){ &ops, d }, &e) < 0)
        fail(&e);
    if (argc == 3 && strcmp(argv[2], "pages") == 0)
        raise(SIGKILL);
    commit(d);
    if (argc == 3)
        wait_for_word(d);
    activate(d);
    return 0;
}
