/* options — the options of a command as one table: parsing (getopt_long) and help derive from it.
 * Says what is wrong on stderr, with what to do next; never exits. */
#ifndef REPLICATOR_OPTIONS_H
#define REPLICATOR_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/units.h"

#define OPTIONS_MAX 24u

struct option_row {
    const char *name;
    const char *argument; /* what it takes, for help ("TIME"); NULL: nothing */
    const char *help;     /* at most 50 columns a line */
    int (*take)(const struct option_row *row, const char *text, void *to, struct err *e);
    size_t offset;        /* of the field in the command's struct */
    struct units_range range;
};

#define OPTION_LIST_MAX 64u

/* An option that may be given several times. */
struct option_list {
    unsigned count;
    const char *all[OPTION_LIST_MAX]; /* point into argv */
};

/* Kinds of field: bool, const char * (points into argv), struct option_list, uint64_t. */
int option_flag(const struct option_row *row, const char *text, void *to, struct err *e);
int option_text(const struct option_row *row, const char *text, void *to, struct err *e);
int option_texts(const struct option_row *row, const char *text, void *to, struct err *e);
int option_size(const struct option_row *row, const char *text, void *to, struct err *e);
int option_size_or_auto(const struct option_row *row, const char *text, void *to, struct err *e); /* auto: 0 */
int option_time(const struct option_row *row, const char *text, void *to, struct err *e);
int option_count(const struct option_row *row, const char *text, void *to, struct err *e);

struct usage {
    const char *command;
    const char *synopsis, *summary; /* NULL: those of commands.def */
    const struct option_row *rows; /* ends with a row without a name */
    const char *words;             /* paragraphs below the options; may be NULL */
    int least, most;               /* how many arguments besides options */
};

/* Fills *to and moves arguments to the front: argv[*ret_first …]. 0; 1: help was asked for and is
 * printed; -EINVAL: refused, said so on stderr. */
MUST_CHECK int options_parse(const struct usage *u, int argc, char **argv, void *to, int *ret_first);

/* Refuses the command line for a reason of the command's own; returns the exit code. */
int options_refuse(const struct usage *u, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
