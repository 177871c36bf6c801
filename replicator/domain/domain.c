/* domain — see domain.h: the table of kinds. */
#include "replicator/domain/domain.h"

#include <string.h>

#include "replicator/domain/domain_rows.h"

const struct domain_ops *domain_kind(const char *spec)
{
    static const struct domain_ops *const kinds[] = { &domain_sim, &domain_xen };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t n = strlen(kinds[i]->kind);

        if (strncmp(spec, kinds[i]->kind, n) == 0 && spec[n] == ':')
            return kinds[i];
    }
    return strchr(spec, ':') ? NULL : &domain_xen;
}
