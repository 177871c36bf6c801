/* options — see options.h. */
#include "replicator/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "replicator/commands.h"

#define HELP_COLUMN 28

static void *field(const struct option_row *row, void *to)
{
    return (char *)to + row->offset;
}

int option_flag(const struct option_row *row, UNUSED const char *text, void *to, UNUSED struct err *e)
{
    *(bool *)field(row, to) = true;
    return 0;
}

int option_text(const struct option_row *row, const char *text, void *to, struct err *e)
{
    if (!*text)
        return err_set(e, EINVAL, "is empty");
    *(const char **)field(row, to) = text;
    return 0;
}

int option_texts(const struct option_row *row, const char *text, void *to, struct err *e)
{
    struct option_list *list = field(row, to);

    if (!*text)
        return err_set(e, EINVAL, "is empty");
    if (list->count == OPTION_LIST_MAX)
        return err_set(e, EINVAL, "is given more than %u times", OPTION_LIST_MAX);
    list->all[list->count++] = text;
    return 0;
}

int option_size(const struct option_row *row, const char *text, void *to, struct err *e)
{
    return units_parse_size(text, row->range, (uint64_t *)field(row, to), e);
}

int option_size_or_auto(const struct option_row *row, const char *text, void *to, struct err *e)
{
    if (strcmp(text, "auto") != 0)
        return option_size(row, text, to, e);
    *(uint64_t *)field(row, to) = 0;
    return 0;
}

int option_time(const struct option_row *row, const char *text, void *to, struct err *e)
{
    return units_parse_time(text, row->range, (uint64_t *)field(row, to), e);
}

int option_count(const struct option_row *row, const char *text, void *to, struct err *e)
{
    return units_parse_count(text, row->range, (uint64_t *)field(row, to), e);
}

int options_refuse(const struct usage *u, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "replicator %s: ", u->command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\ntry: replicator %s --help\n", u->command);
    return EXIT_USAGE;
}

static void print_row(const char *name, const char *argument, const char *help)
{
    int n = printf("  --%s%s%s", name, argument ? " " : "", argument ? argument : "");

    if (n >= HELP_COLUMN)
        n = 0 * printf("\n");
    for (const char *line = help; line;) {
        const char *end = strchr(line, '\n');

        printf("%*s%.*s\n", HELP_COLUMN - n, "", end ? (int)(end - line) : (int)strlen(line), line);
        line = end ? end + 1 : NULL;
        n = 0;
    }
}

static const char *synopsis_of(const struct usage *u)
{
    return u->synopsis ? u->synopsis : command_by_name(u->command)->synopsis;
}

static void print_help(const struct usage *u)
{
    printf("usage: replicator %s %s\n%s\n\n", u->command, synopsis_of(u),
           u->summary ? u->summary : command_by_name(u->command)->summary);
    for (const struct option_row *row = u->rows; row->name; row++)
        print_row(row->name, row->argument, row->help);
    print_row("help", NULL, "this text");
    if (u->words)
        printf("\n%s", u->words);
}

/* getopt's own messages name neither the command nor what to do; ours do. */
static int refuse_option(const struct usage *u, int found, char **argv)
{
    if (found == ':')
        options_refuse(u, "%s wants an argument", argv[optind - 1]);
    else
        options_refuse(u, "%s is not an option here", argv[optind - 1]);
    return -EINVAL;
}

int options_parse(const struct usage *u, int argc, char **argv, void *to, int *ret_first)
{
    struct option longs[OPTIONS_MAX + 2] = { { 0 } };
    struct err e;
    int n = 0, found, row;

    for (; u->rows[n].name; n++) {
        must(n < (int)OPTIONS_MAX);
        longs[n] = (struct option){ u->rows[n].name, u->rows[n].argument ? required_argument : no_argument,
                                    NULL, 'o' };
    }
    longs[n] = (struct option){ "help", no_argument, NULL, 'h' };
    optind = 0;
    while ((found = getopt_long(argc, argv, ":h", longs, &row)) != -1) {
        if (found == 'h') {
            print_help(u);
            return 1;
        }
        if (found != 'o')
            return refuse_option(u, found, argv);
        if (u->rows[row].take(&u->rows[row], optarg, to, &e) < 0) {
            options_refuse(u, "--%s: %s", u->rows[row].name, e.text);
            return -EINVAL;
        }
    }
    *ret_first = optind;
    if (argc - optind < u->least)
        options_refuse(u, "want: %s", synopsis_of(u));
    else if (argc - optind > u->most)
        options_refuse(u, "\"%s\" is one argument too many", argv[optind + u->most]);
    else
        return 0;
    return -EINVAL;
}
