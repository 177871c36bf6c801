/* commands — the program's table of commands and exit codes, from commands.def and exit_codes.def.
 * A command gets its own name as argv[0] and returns an exit code. */
#ifndef REPLICATOR_COMMANDS_H
#define REPLICATOR_COMMANDS_H

#define REPLICATOR_VERSION "0.1.0"

enum exit_code {
#define EXIT_CODE(name, number, words) EXIT_##name = (number),
#include "replicator/exit_codes.def"
#undef EXIT_CODE
};

#define COMMAND(name, synopsis, summary) int cmd_##name(int argc, char **argv);
#include "replicator/commands.def"
#undef COMMAND

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *synopsis, *summary;
};

/* The row of a name; NULL when there is none. */
const struct command *command_by_name(const char *name);
/* Rows in order; NULL after the last. */
const struct command *command_at(unsigned i);

#endif
