/* xen_host — see xen_host.h. The libraries get a logger that keeps their last error instead of writing
 * it to stderr: leaf folders don't log, and the text belongs into the one line that the user sees. */
#include "checkpoint/xen_host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xenstore.h>
#include <xentoollog.h>

struct xen_words {
    xentoollog_logger logger;
    char last[160];
};

PRINTF_LIKE(5, 0)
static void keep_words(xentoollog_logger *logger, xentoollog_level level, UNUSED int errnoval,
                       UNUSED const char *context, const char *format, va_list args)
{
    struct xen_words *w = (struct xen_words *)(void *)logger;

    if (level >= XTL_ERROR)
        vsnprintf(w->last, sizeof(w->last), format, args);
}

static void keep_nothing(UNUSED xentoollog_logger *logger)
{
}

int xen_host_failed(const struct xen_host *h, struct err *e, const char *format, ...)
{
    int code = errno ? errno : EIO;
    char text[ERR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    err_set(e, code, "%s: %s%s%s%s", text, strerror(code), *h->words->last ? " (" : "",
            h->words->last, *h->words->last ? ")" : "");
    h->words->last[0] = '\0';
    return -code;
}

static int no_hypervisor(const struct xen_host *h, struct err *e)
{
    if (geteuid() != 0)
        return err_set(e, EACCES, "Xen's interfaces need root");
    if (access("/proc/xen/capabilities", F_OK) < 0 && access("/sys/hypervisor/type", F_OK) < 0)
        return err_set(e, ENODEV, "this host does not run Xen (for a simulated guest write sim:NAME)");
    errno = errno ? errno : ENODEV;
    return xen_host_failed(h, e, "Xen's control interface can't be opened: is this the control domain?");
}

static int check_version(struct xen_host *h, struct err *e)
{
    int version = xc_version(h->xc, XENVER_version, NULL);

    if (version < 0)
        return xen_host_failed(h, e, "Xen does not tell its version");
    h->major = (uint32_t)version >> 16;
    h->minor = (uint32_t)version & 0xffff;
    if (h->major < XEN_VERSION_LEAST_MAJOR ||
        (h->major == XEN_VERSION_LEAST_MAJOR && h->minor < XEN_VERSION_LEAST_MINOR))
        return err_set(e, ENOTSUP, "Xen %" PRIu32 ".%" PRIu32 ": at least %u.%u is needed", h->major,
                       h->minor, XEN_VERSION_LEAST_MAJOR, XEN_VERSION_LEAST_MINOR);
    return 0;
}

int xen_host_open(struct xen_host *ret, struct err *e)
{
    struct xen_host h = { .words = calloc(1, sizeof(*h.words)) };
    int rc;

    if (!h.words)
        return err_set(e, ENOMEM, "no memory for Xen's handles");
    h.words->logger.vmessage = keep_words;
    h.words->logger.destroy = keep_nothing;
    h.xc = xc_interface_open(&h.words->logger, &h.words->logger, 0);
    if (!h.xc) {
        rc = no_hypervisor(&h, e);
        xen_host_close(&h);
        return rc;
    }
    h.memory = xenforeignmemory_open(&h.words->logger, 0);
    h.store = h.memory ? xs_open(0) : NULL;
    rc = h.store ? check_version(&h, e)
                 : xen_host_failed(&h, e, h.memory ? "the xenstore daemon can't be reached: is it running?"
                                                   : "the memory of domains can't be mapped");
    if (rc < 0) {
        xen_host_close(&h);
        return rc;
    }
    *ret = h;
    return 0;
}

void xen_host_close(struct xen_host *h)
{
    if (h->store)
        xs_close(h->store);
    if (h->memory)
        xenforeignmemory_close(h->memory);
    if (h->xc)
        xc_interface_close(h->xc);
    free(h->words);
    *h = (struct xen_host){ 0 };
}

char *xen_store_read(const struct xen_host *h, const char *path)
{
    unsigned length;

    return xs_read(h->store, XBT_NULL, path, &length);
}

int xen_store_write(const struct xen_host *h, const char *path, const char *text, struct err *e)
{
    return xs_write(h->store, XBT_NULL, path, text, (unsigned)strlen(text))
               ? 0
               : xen_host_failed(h, e, "xenstore %s can't be written", path);
}

void xen_store_remove(const struct xen_host *h, const char *path)
{
    (void)xs_rm(h->store, XBT_NULL, path);
}
