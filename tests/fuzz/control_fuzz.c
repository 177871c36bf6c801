/* control_fuzz — a line of the control socket: a request within its bounds, or a refusal in words. */
#include <string.h>

#include "replicator/control/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes)
{
    struct control_request got = { .epochs = false };
    struct err e = { 0 };

    if (bytes > CONTROL_LINE_MAX)
        return 0;
    if (control_request_parse((const char *)octets, bytes, &got, &e) < 0) {
        must(e.code != 0 && e.text[0] != '\0' && memchr(e.text, '\0', sizeof(e.text)));
        return 0;
    }
    must(got.op <= CONTROL_EVENTS);
    must(strnlen(got.fenced_by, sizeof(got.fenced_by)) <= CONTROL_WHO_MAX);
    return 0;
}
