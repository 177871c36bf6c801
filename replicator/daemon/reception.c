/* reception — see reception.h. */
#include "replicator/daemon/reception.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "replicator/commands.h"
#include "replicator/daemon/greeting.h"

#define TRY_AGAIN_MS 10

static void await_end(int tether)
{
    char none;

    while (recv(tether, &none, 1, 0) > 0)
        ;
}

/* Gives the connection to the living replica's process: 0 given. */
static int give(const struct run_dir *run, const char *domain, const struct handover *h, bool stays,
                uint64_t until_ns, struct err *e)
{
    AUTO_CLOSE int taker = -1;
    char path[RUN_PATH_MAX];
    int rc = run_dir_file(run, RUN_BACKUP, domain, "adopt", path, e);

    if (rc < 0 || (rc = run_dir_connect(path, SOCK_SEQPACKET, &taker, e)) < 0 ||
        (rc = handover_send(taker, h, e)) < 0 || (rc = handover_await(taker, until_ns, e)) < 0)
        return rc;
    if (stays)
        await_end(taker);
    return 0;
}

/* The replica's process must outlive this one, which waits for the link only. */
static int become_apart(const struct backup_options *o, struct backup_start *start)
{
    int tether[2];
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, tether) < 0 || (child = fork()) < 0) {
        log_err("start a replica's process: %s", strerror(errno));
        return EXIT_FAILED;
    }
    if (child == 0) {
        auto_close(&tether[0]);
        setsid();
        start->tether = tether[1];
        return backup_daemon_run(o, start);
    }
    auto_close(&tether[1]);
    handover_close(start->connection);
    auto_close(&start->lock_fd);
    await_end(tether[0]);
    auto_close(&tether[0]);
    return EXIT_OK;
}

static int become(const struct backup_options *o, struct backup_start *start, bool stays)
{
    if (stays)
        return become_apart(o, start);
    setsid();
    return backup_daemon_run(o, start);
}

/* The lock decides who holds the replica. Between the end of one process and the start of the next
 * neither way is open for a moment: try both again until the deadline. */
static int settle(const struct backup_options *o, const struct reception *r, struct backup_start *start,
                  uint64_t until_ns)
{
    const char *domain = start->hello->name;
    struct err e;
    pid_t holder;
    int rc;

    do {
        rc = run_dir_lock(&o->run, RUN_BACKUP, domain, &start->lock_fd, &holder, &e);
        if (rc == 0 && r->is_full) {
            rc = err_set(&e, EUSERS, "as many replicas as --max-replicas allows are held already");
            auto_close(&start->lock_fd);
        } else if (rc == 0) {
            return become(o, start, r->stays);
        }
        if (rc == -EBUSY)
            rc = give(&o->run, domain, start->connection, r->stays, until_ns, &e);
        if (rc == 0)
            return EXIT_OK;
        if (rc != -ECONNREFUSED && rc != -ENOENT && rc != -EPIPE && rc != -ECONNRESET && rc != -EAGAIN)
            break;
        poll(NULL, 0, TRY_AGAIN_MS);
    } while (clock_now_ns() < until_ns);
    log_warning("event=refused peer=%s domain=%s reason=\"%s\"", r->peer, domain, e.text);
    return EXIT_FAILED;
}

int reception_run(const struct backup_options *o, const struct reception *r)
{
    struct handover connection = { .receive_fd = r->receive_fd, .send_fd = r->send_fd, .bytes = 0 };
    struct hello hello;
    struct backup_start start = { .lock_fd = -1, .connection = &connection, .tether = -1,
                                  .report_fd = r->report_fd, .hello = &hello };
    struct err e;
    int code = EXIT_FAILED;

    if (greeting_read(&connection, clock_now_ns() + GREETING_NS_MAX, &hello, &e) < 0)
        log_warning("event=refused peer=%s reason=\"%s\"", r->peer, e.text);
    else
        code = settle(o, r, &start, clock_now_ns() + GREETING_NS_MAX);
    handover_close(&connection);
    return code;
}
