/* workload — all that runs in a guest of the Xen lab: its first process, static, on a real kernel.
 * It rewrites random pages, checks before each rewrite that the page still is as it left it, and
 * tells outside by UDP how far it is. Whoever hears it can tell whether anything was lost, taken back
 * or torn. Its TCP services use the kernel's TCP, so that a connection's state is guest memory too.
 *
 * Words of the kernel's command line:
 *   ip=A.B.C.D        address of eth0 (/24)
 *   observer=IP:PORT  who is told (10.78.0.1:9000)
 *   span=MIB          memory that is worked on (16)       pages=N  pages rewritten per step (16)
 *   words=N           of the 512 words of a page, how many change each time (64)
 *   pace_us=N         pause between steps (20000; 0: none)
 *   report=N          steps between two messages (1)
 *   disk=N            blocks of 4 KiB that the disk xvda has (0: none); before each message one is read
 * Ports: TCP 5000 sends the sequence that sequence_fill() makes, without end; TCP 5001 sends back
 * what it gets; UDP 5002 sends back each datagram; TCP 5003 tells what the kernel counts. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum {
    PAGE_BYTES = 4096,
    PAGE_WORDS = PAGE_BYTES / 8,
    SPAN_MIB_MAX = 65536,
    DISK_BLOCKS_MAX = 1 << 30,
    PORT_SOURCE = 5000,
    PORT_ECHO = 5001,
    PORT_PING = 5002,
    PORT_COUNTS = 5003,
};

/* What is told outside, little endian as the machine is; tests/xenlab/observer.py reads it. */
struct report {
    char magic[8];
    uint64_t boot;  /* changes with each boot */
    uint64_t step;  /* rises by the words' `report` */
    uint64_t chain; /* mix(chain of the step before ^ step), 0 before step 1 */
    uint64_t bad;   /* pages that were not as they were left */
    uint64_t mono_ns;
    uint64_t tsc;
    uint64_t gap_tsc; /* longest time between two steps since the message before */
    uint64_t blocks;  /* read from the disk */
    uint64_t blocks_bad; /* not read, or not what they must be */
};
_Static_assert(sizeof(struct report) == 80, "what the observer reads");

struct workload {
    uint64_t *memory;
    uint64_t *written; /* per page: the step that wrote it */
    uint64_t span, pages, words, pace_us, every;
    uint64_t disk_blocks;
    int disk;
    struct in_addr ip;
    struct sockaddr_in observer;
    struct report now;
    uint64_t last_tsc;
};

static void die(const char *what)
{
    printf("workload: %s: %s\n", what, strerror(errno));
    fflush(stdout);
    sync();
    /* Ends as a crash does: as a first process that goes. */
    exit(1);
}

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* ---------------------------------------------------------------- the work */

/* Word `at` of a page that step `step` wrote last; those that never change are step 0's. One
 * multiplication: what the guest computes is time that an emulated host doesn't have. */
static uint64_t page_word(const struct workload *w, uint64_t page, uint64_t step, uint64_t at)
{
    uint64_t x = (page << 40 ^ (at < w->words ? step << 9 : 0) ^ at) * 0x9e3779b97f4a7c15u;

    return x ^ x >> 32;
}

static int page_is_as_left(const struct workload *w, uint64_t page)
{
    const uint64_t *words = w->memory + page * PAGE_WORDS;
    uint64_t difference = 0;

    for (uint64_t at = 0; at < PAGE_WORDS; at++)
        difference |= words[at] ^ page_word(w, page, w->written[page], at);
    return difference == 0;
}

static void page_write(struct workload *w, uint64_t page, uint64_t step, uint64_t words)
{
    uint64_t *to = w->memory + page * PAGE_WORDS;

    for (uint64_t at = 0; at < words; at++)
        to[at] = page_word(w, page, step, at);
    w->written[page] = step;
}

static void work_prepare(struct workload *w)
{
    size_t bytes = w->span * PAGE_BYTES;

    w->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    w->written = calloc(w->span, sizeof *w->written);
    if (w->memory == MAP_FAILED || !w->written)
        die("memory");
    for (uint64_t page = 0; page < w->span; page++)
        page_write(w, page, 0, PAGE_WORDS);
}

static void work_step(struct workload *w)
{
    uint64_t step = ++w->now.step;

    for (uint64_t n = 0; n < w->pages; n++) {
        uint64_t page = mix(step << 20 ^ n) % w->span;

        w->now.bad += !page_is_as_left(w, page);
        page_write(w, page, step, w->words);
    }
    w->now.chain = mix(w->now.chain ^ step);
}

/* ---------------------------------------------------------------- the disk */

/* Word `at` of a block of the disk, as tests/xenlab/guests.py makes it. */
static uint64_t block_word(uint64_t block, uint64_t at)
{
    uint64_t x = (block << 9 | at) * 0x9e3779b97f4a7c15u;

    return x ^ x >> 32;
}

/* Past the kernel's cache: the disk itself is asked. */
static void disk_read(struct workload *w)
{
    static _Alignas(PAGE_BYTES) uint64_t words[PAGE_WORDS];
    uint64_t block = mix(w->now.step) % w->disk_blocks, difference = 0;

    if (pread(w->disk, words, sizeof words, (off_t)(block * PAGE_BYTES)) != sizeof words) {
        printf("workload: block %llu of the disk: %s\n", (unsigned long long)block, strerror(errno));
        difference = 1;
    }
    for (uint64_t at = 0; at < PAGE_WORDS; at++)
        difference |= words[at] ^ block_word(block, at);
    w->now.blocks++;
    w->now.blocks_bad += difference != 0;
}

/* ---------------------------------------------------------------- what is told */

static uint64_t mono_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void work_report(struct workload *w, int fd)
{
    w->now.mono_ns = mono_ns();
    w->now.tsc = w->last_tsc;
    if (sendto(fd, &w->now, sizeof w->now, 0, (struct sockaddr *)&w->observer, sizeof w->observer) < 0 &&
        errno != ECONNREFUSED)
        printf("workload: sendto: %s\n", strerror(errno));
    w->now.gap_tsc = 0;
}

static void work_forever(struct workload *w)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct timespec pace = { (time_t)(w->pace_us / 1000000), (long)(w->pace_us % 1000000) * 1000 };

    memcpy(w->now.magic, "rpwork1", 8);
    w->last_tsc = __rdtsc();
    w->now.boot = mix((uint64_t)time(NULL) ^ mix(w->last_tsc));
    for (;;) {
        uint64_t tsc;

        work_step(w);
        tsc = __rdtsc();
        if (tsc - w->last_tsc > w->now.gap_tsc)
            w->now.gap_tsc = tsc - w->last_tsc;
        w->last_tsc = tsc;
        if (w->now.step % w->every == 0) {
            if (w->disk_blocks)
                disk_read(w);
            work_report(w, fd);
        }
        if (w->pace_us)
            nanosleep(&pace, NULL);
    }
}

/* ---------------------------------------------------------------- services */

/* Octets from `offset` (a multiple of 8) on of the sequence that a connection to PORT_SOURCE reads. */
static void sequence_fill(uint64_t *words, size_t count, uint64_t offset)
{
    for (size_t i = 0; i < count; i++)
        words[i] = mix(offset / 8 + i);
}

static int write_all(int fd, const void *from, size_t length)
{
    const char *at = from;

    while (length) {
        ssize_t n = write(fd, at, length);

        if (n <= 0)
            return -1;
        at += n;
        length -= (size_t)n;
    }
    return 0;
}

static void serve_source(int fd)
{
    uint64_t words[1024];

    for (uint64_t offset = 0;; offset += sizeof words) {
        sequence_fill(words, 1024, offset);
        if (write_all(fd, words, sizeof words) < 0)
            return;
    }
}

static void serve_echo(int fd)
{
    char buffer[8192];
    ssize_t n;

    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        if (write_all(fd, buffer, (size_t)n) < 0)
            return;
}

static void serve_counts(int fd)
{
    static const char *const files[] = { "/proc/meminfo", "/proc/net/dev", "/proc/net/snmp", "/proc/net/softnet_stat",
                                         "/proc/net/arp", "/sys/class/net/eth0/carrier_changes" };
    char text[8192];

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        int from = open(files[i], O_RDONLY | O_CLOEXEC);
        ssize_t n = from < 0 ? 0 : read(from, text, sizeof text);

        close(from);
        if (n > 0 && write_all(fd, text, (size_t)n) < 0)
            return;
    }
}

static int open_port(int type, uint16_t port)
{
    int fd = socket(AF_INET, type, 0), one = 1;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || (type == SOCK_STREAM && listen(fd, 64) < 0))
        die("port");
    return fd;
}

static void start_service(uint16_t port, void (*serve)(int fd))
{
    int listener = open_port(SOCK_STREAM, port);

    if (fork() == 0)
        for (;;) {
            int fd = accept(listener, NULL, NULL);

            if (fork() == 0) {
                serve(fd);
                _exit(0);
            }
            close(fd);
        }
    close(listener);
}

static void start_ping(void)
{
    int fd = open_port(SOCK_DGRAM, PORT_PING);
    char buffer[2048];

    if (fork() == 0)
        for (;;) {
            struct sockaddr_in from;
            socklen_t length = sizeof from;
            ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length);

            if (n >= 0)
                sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, length);
        }
    close(fd);
}

/* ---------------------------------------------------------------- the machine */

static void load_module(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
        die(path);
    close(fd);
}

static int set_address(int fd, const char *name, struct in_addr ip, unsigned long request)
{
    struct ifreq r = { 0 };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = ip };

    strncpy(r.ifr_name, name, IFNAMSIZ - 1);
    memcpy(&r.ifr_addr, &address, sizeof address);
    return ioctl(fd, request, &r);
}

static int raise_interface(int fd, const char *name)
{
    struct ifreq r = { .ifr_flags = IFF_UP | IFF_RUNNING };

    strncpy(r.ifr_name, name, IFNAMSIZ - 1);
    return ioctl(fd, SIOCSIFFLAGS, &r);
}

/* The device appears when its backend is ready: each change of links is a message. */
static void start_network(struct in_addr ip)
{
    struct sockaddr_nl links = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
    struct in_addr mask = { htonl(0xffffff00u) };
    int news = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), fd = socket(AF_INET, SOCK_DGRAM, 0);
    char message[8192];

    if (bind(news, (struct sockaddr *)&links, sizeof links) < 0)
        die("netlink");
    raise_interface(fd, "lo");
    load_module("/modules/xen-netfront.ko");
    while (raise_interface(fd, "eth0") < 0)
        if (recv(news, message, sizeof message, 0) < 0)
            die("waiting for eth0");
    if (set_address(fd, "eth0", ip, SIOCSIFADDR) < 0 || set_address(fd, "eth0", mask, SIOCSIFNETMASK) < 0)
        die("address of eth0");
    close(news);
    close(fd);
}

/* As with eth0: the device's file is there before its message is. */
static int open_disk(void)
{
    struct sockaddr_nl devices = { .nl_family = AF_NETLINK, .nl_groups = 1 };
    int news = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT), fd;
    char message[8192];

    if (bind(news, (struct sockaddr *)&devices, sizeof devices) < 0)
        die("netlink");
    load_module("/modules/xen-blkfront.ko");
    while ((fd = open("/dev/xvda", O_RDONLY | O_DIRECT | O_CLOEXEC)) < 0)
        if (recv(news, message, sizeof message, 0) < 0)
            die("waiting for xvda");
    close(news);
    return fd;
}

static uint64_t number(const char *text, uint64_t min, uint64_t max, const char *word)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);

    if (*end || end == text || n < min || n > max) {
        errno = EINVAL;
        die(word);
    }
    return n;
}

static void read_word(struct workload *w, char *word)
{
    char *value = strchr(word, '='), *port;

    if (!value)
        return;
    *value++ = 0;
    if (!strcmp(word, "ip"))
        inet_aton(value, &w->ip);
    else if (!strcmp(word, "span"))
        w->span = number(value, 1, SPAN_MIB_MAX, word) * (1u << 20) / PAGE_BYTES;
    else if (!strcmp(word, "pages"))
        w->pages = number(value, 0, 1u << 20, word);
    else if (!strcmp(word, "words"))
        w->words = number(value, 0, PAGE_WORDS, word);
    else if (!strcmp(word, "pace_us"))
        w->pace_us = number(value, 0, 3600000000u, word);
    else if (!strcmp(word, "report"))
        w->every = number(value, 1, UINT32_MAX, word);
    else if (!strcmp(word, "disk"))
        w->disk_blocks = number(value, 0, DISK_BLOCKS_MAX, word);
    else if (!strcmp(word, "observer") && (port = strchr(value, ':'))) {
        *port++ = 0;
        inet_aton(value, &w->observer.sin_addr);
        w->observer.sin_port = htons((uint16_t)number(port, 1, 65535, word));
    }
}

static void read_command_line(struct workload *w)
{
    static char line[4096];
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, line, sizeof line - 1);
    char *rest = line, *word;

    if (n < 0)
        die("/proc/cmdline");
    close(fd);
    while ((word = strsep(&rest, " \n")))
        read_word(w, word);
}

static void start_machine(void)
{
    int fd;

    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    if ((fd = open("/dev/console", O_RDWR)) >= 0)
        for (int stream = 0; stream < 3; stream++)
            dup2(fd, stream);
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* `xl sysrq NAME c` is the lab's way to make a guest panic. */
    if ((fd = open("/proc/sys/kernel/sysrq", O_WRONLY)) >= 0) {
        if (write(fd, "1", 1) != 1)
            puts("workload: no sysrq");
        close(fd);
    }
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    struct workload w = { .span = 16u << 20 >> 12, .pages = 16, .words = 64, .pace_us = 20000, .every = 1 };

    (void)argc;
    /* The kernel runs these when xl asks for an orderly end. */
    if (strstr(argv[0], "poweroff"))
        return reboot(RB_POWER_OFF);
    if (strstr(argv[0], "reboot"))
        return reboot(RB_AUTOBOOT);
    w.observer = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(9000) };
    inet_aton("10.78.0.1", &w.observer.sin_addr);
    start_machine();
    read_command_line(&w);
    start_network(w.ip);
    if (w.disk_blocks)
        w.disk = open_disk();
    start_service(PORT_SOURCE, serve_source);
    start_service(PORT_ECHO, serve_echo);
    start_service(PORT_COUNTS, serve_counts);
    start_ping();
    work_prepare(&w); /* when its children are there: they would keep a copy of each page that is rewritten */
    puts("workload: started");
    work_forever(&w);
}
