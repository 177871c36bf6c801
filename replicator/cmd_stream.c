/* cmd_stream — `replicator stream TOOL …`: finds the tool in stream_tools.def and runs it. */
#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "replicator/commands.h"
#include "replicator/stream/stream_tools.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *synopsis, *summary;
} tools[] = {
#define STREAM_TOOL(name, synopsis, summary) { #name, stream_##name, synopsis, summary },
#include "replicator/stream/stream_tools.def"
#undef STREAM_TOOL
};

static int print_help(void)
{
    printf("usage: replicator stream TOOL [ARGUMENT]...\n"
           "Reads migration streams, save files, captures: libxc v2, v3, libxl, xl, legacy.\n\n");
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        printf("  %-8s %s\n           %s\n", tools[i].name, tools[i].synopsis, tools[i].summary);
    printf("\n\"-\" is standard input or output. Every tool has --help and --json.\n");
    return EXIT_OK;
}

int cmd_stream(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "replicator stream: which tool?\ntry: replicator stream --help\n");
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return print_help();
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        if (strcmp(tools[i].name, argv[1]) == 0)
            return tools[i].run(argc - 1, argv + 1);
    fprintf(stderr, "replicator stream: there is no tool \"%.40s\"\ntry: replicator stream --help\n",
            argv[1]);
    return EXIT_USAGE;
}
