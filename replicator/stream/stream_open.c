/* stream_open — see stream_open.h. */
#include "replicator/stream/stream_open.h"

#include "replicator/commands.h"

int opened_open(struct opened *o, const char *command, const char *path, const struct stream_wishes *wishes,
                struct err *e)
{
    int rc;

    *o = (struct opened){ .source = { .fd = -1 } };
    image_open(&o->image, NULL, (struct image_wishes){ .has_pages = false });
    if ((rc = stream_source_open(&o->source, command, path)) != EXIT_OK)
        return rc;
    image_open(&o->image, o->source.in, (struct image_wishes){ .has_pages = true, .has_states = true });
    return stream_source_run(&o->source, command, &o->reading, wishes, image_consumer(&o->image), e);
}

void opened_close(struct opened *o)
{
    image_close(&o->image);
    reading_close(&o->reading);
    stream_source_close(&o->source);
}
