/* greeting_fuzz — the first octets of a stranger's connection: whole, in need of more, or refused, and
 * never in need of more than a handover holds. */
#include <errno.h>
#include <string.h>

#include "replicator/daemon/greeting.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes)
{
    struct hello hello;
    struct err e = { 0 };
    size_t need = 0;
    int rc = greeting_parse(octets, bytes, &hello, &need, &e);

    must(rc == 1 || rc == 0 || (rc == -EPROTO && e.text[0] != '\0'));
    if (rc == 0)
        must(need > bytes && need <= HANDOVER_BYTES_MAX);
    if (rc == 1)
        must(hello.name[0] != '\0' && !strchr(hello.name, '/'));
    return 0;
}
