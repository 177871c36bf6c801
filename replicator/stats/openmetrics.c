/* openmetrics — see openmetrics.h. */
#include "replicator/stats/openmetrics.h"

#include <stdbool.h>
#include <string.h>

#include "base/attr.h"
#include "replicator/stats/metrics.def"
#include "replicator/stats/status_json.h"

#define PREFIX "replicator_"

struct metric {
    const char *name, *type, *path, *help;
};

#define X(name, type, path, help) { #name, #type, path, help },
static const struct metric metrics[] = { METRICS(X) };
static const struct metric interface_metrics[] = { INTERFACE_METRICS(X) };
#undef X

static void label(FILE *to, const char *name, const char *value)
{
    fprintf(to, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            fputc('\\', to);
        if (*value == '\n')
            fputs("\\n", to);
        else
            fputc(*value, to);
    }
    fputc('"', to);
}

static const char *text(const json_t *o, const char *key)
{
    const char *value = json_string_value(json_object_get(o, key));

    return value ? value : "";
}

static void head(FILE *to, const struct metric *m, bool *is_told)
{
    if (!*is_told)
        fprintf(to, "# TYPE " PREFIX "%s %s\n# HELP " PREFIX "%s %s\n", m->name, m->type, m->name, m->help);
    *is_told = true;
}

/* interface: the interface's object, or NULL. */
static void sample(FILE *to, const struct metric *m, const json_t *status, const json_t *interface, bool *is_told)
{
    const json_t *value = status_json_find(interface ? interface : status, m->path);

    if (!value)
        return;
    head(to, m, is_told);
    fprintf(to, PREFIX "%s%s{", m->name, strcmp(m->type, "counter") == 0 ? "_total" : "");
    label(to, "domain", text(status, "domain"));
    fputc(',', to);
    label(to, "role", text(status, "role"));
    if (interface) {
        fputc(',', to);
        label(to, "interface", text(interface, "name"));
    }
    if (json_is_integer(value))
        fprintf(to, "} %" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
    else if (json_is_real(value))
        fprintf(to, "} %.3f\n", json_real_value(value));
    else
        fprintf(to, "} %d\n", json_is_true(value) || json_is_string(value));
}

void openmetrics_print(FILE *to, const json_t *list)
{
    const json_t *status, *interface;
    size_t i, k;

    for (unsigned m = 0; m < ARRAY_LEN(metrics); m++) {
        bool is_told = false;

        json_array_foreach(list, i, status)
            sample(to, &metrics[m], status, NULL, &is_told);
    }
    for (unsigned m = 0; m < ARRAY_LEN(interface_metrics); m++) {
        bool is_told = false;

        json_array_foreach(list, i, status)
            json_array_foreach(status_json_find(status, "netbuf.interfaces"), k, interface)
                sample(to, &interface_metrics[m], status, interface, &is_told);
    }
    fputs("# EOF\n", to);
}
