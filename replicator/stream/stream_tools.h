/* stream_tools — the commands below `replicator stream`, each with argv[0] its own name and an exit code. */
#ifndef REPLICATOR_STREAM_STREAM_TOOLS_H
#define REPLICATOR_STREAM_STREAM_TOOLS_H

#include "base/attr.h"

#define STREAM_TOOL(name, synopsis, summary)            \
    int stream_##name(int argc, char **argv);           \
    static const char stream_##name##_synopsis[] UNUSED = synopsis; \
    static const char stream_##name##_summary[] UNUSED = summary;
#include "replicator/stream/stream_tools.def"
#undef STREAM_TOOL

/* What a tool's struct usage starts with. */
#define STREAM_USAGE(name)                                                              \
    .command = "stream " #name, .synopsis = stream_##name##_synopsis, .summary = stream_##name##_summary

#endif
