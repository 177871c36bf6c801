/* commands — see commands.h; and the help command, which is the table printed. */
#include "replicator/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "replicator/options.h"

static const struct command commands[] = {
#define COMMAND(name, synopsis, summary) { #name, cmd_##name, synopsis, summary },
#include "replicator/commands.def"
#undef COMMAND
};

const struct command *command_at(unsigned i)
{
    return i < ARRAY_LEN(commands) ? &commands[i] : NULL;
}

const struct command *command_by_name(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void print_all(void)
{
    printf("usage: replicator COMMAND [ARGUMENT]...\n"
           "Keeps a live copy of a running domain on a second host.\n\n");
    for (const struct command *c = commands; c < commands + ARRAY_LEN(commands); c++)
        printf("  %-12s%s\n", c->name, c->summary);
    printf("\nEvery command has --help and --json. Sizes are written 64M, times 25ms.\n\nExit status:\n");
#define EXIT_CODE(name, number, words) printf("  %2d  %s\n", number, words);
#include "replicator/exit_codes.def"
#undef EXIT_CODE
}

int cmd_help(int argc, char **argv)
{
    static const struct option_row rows[] = { { .name = NULL } };
    static const struct usage usage = { .command = "help", .rows = rows, .most = 1 };
    char help[] = "--help", *arguments[] = { NULL, help, NULL };
    const struct command *c;
    int first, rc = options_parse(&usage, argc, argv, NULL, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if (first >= argc) {
        print_all();
        return EXIT_OK;
    }
    c = command_by_name(argv[first]);
    if (!c)
        return options_refuse(&usage, "there is no command \"%.40s\"", argv[first]);
    arguments[0] = argv[first];
    return c->run(2, arguments);
}
