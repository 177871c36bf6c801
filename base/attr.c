/* attr — see attr.h. */
#include "base/attr.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void auto_free(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

void auto_close(int *fd)
{
    int taken = fd_steal(fd);

    if (taken >= 0)
        close(taken);
}

int fd_steal(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

void must_failed(const char *claim, const char *file, int line)
{
    fprintf(stderr, "<2>%s:%d: broken invariant: %s\n", file, line, claim);
    abort();
}
