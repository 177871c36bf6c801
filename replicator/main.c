/* main — finds the command and runs it. The table is commands.def. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/attr.h"
#include "base/failpoint.h"
#include "compress/cpu.h"
#include "replicator/commands.h"

int main(int argc, char **argv)
{
    const struct command *c;
    struct err e;

    umask(077);
    if (failpoint_arm_from_environment() < 0) {
        fprintf(stderr, "replicator: REPLICATOR_FAILPOINT is not NAME:kill|abort|stop[:NTH] with a NAME "
                        "that replicator version lists\n");
        return EXIT_USAGE;
    }
    if (cpu_choose(getenv("REPLICATOR_CPU"), &e) < 0) {
        fprintf(stderr, "replicator: REPLICATOR_CPU: %s\n", e.text);
        return EXIT_USAGE;
    }
    if (argc < 2) {
        fprintf(stderr, "usage: replicator COMMAND [ARGUMENT]...\ntry: replicator help\n");
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return cmd_help(1, argv);
    if (strcmp(argv[1], "--version") == 0)
        return cmd_version(1, argv);
    c = command_by_name(argv[1]);
    if (!c) {
        fprintf(stderr, "replicator: there is no command \"%.40s\"\ntry: replicator help\n", argv[1]);
        return EXIT_USAGE;
    }
    return c->run(argc - 1, argv + 1);
}
