/* pause_parts — see pause_parts.h. */
#include "replicator/engine/pause_parts.h"

#include <string.h>

#include "base/err.h"

const char *pause_part_name(enum pause_part part)
{
#define PAUSE_PART_NAME(id, name) [PAUSE_##id] = name,
    static const char *const names[] = { PAUSE_PARTS_LIST(PAUSE_PART_NAME) };
#undef PAUSE_PART_NAME

    must(part < PAUSE_PARTS);
    return names[part];
}

void pause_parts_add(struct pause_parts *p, enum pause_part part, uint64_t ns)
{
    must(part < PAUSE_PARTS);
    p->open_ns[part] += ns;
}

void pause_parts_end(struct pause_parts *p)
{
    for (unsigned i = 0; i < PAUSE_PARTS; i++)
        histogram_add(&p->ns[i], p->open_ns[i]);
    memset(p->open_ns, 0, sizeof(p->open_ns));
}
