/* foreign — see foreign.h. */
#include "checkpoint/formats/foreign.h"

#include <stddef.h>
#include <string.h>

#include "base/attr.h"

static const struct {
    const char *name;
    uint32_t number;
} rows[] = {
#define FOREIGN(name, number) { #name, number },
#include "checkpoint/formats/foreign.def"
#undef FOREIGN
};

uint32_t foreign_number(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].number;
    return 0;
}

const char *foreign_name(uint32_t number)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].number == number)
            return rows[i].name;
    return NULL;
}
