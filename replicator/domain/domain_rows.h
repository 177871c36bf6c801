/* domain_rows — the rows of domain.c's table. Nobody else includes this. */
#ifndef REPLICATOR_DOMAIN_ROWS_H
#define REPLICATOR_DOMAIN_ROWS_H

#include "replicator/domain/domain.h"

extern const struct domain_ops domain_sim, domain_xen;

#endif
