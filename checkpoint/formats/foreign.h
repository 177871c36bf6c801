/* foreign — names and numbers of the blobs that FOREIGN_STATE carries. */
#ifndef REPLICATOR_CHECKPOINT_FOREIGN_H
#define REPLICATOR_CHECKPOINT_FOREIGN_H

#include <stdint.h>

/* 0 for a name that is not in the list: nobody reads such a record back, but it is there. */
uint32_t foreign_number(const char *name);
/* NULL for a number that is not in the list. */
const char *foreign_name(uint32_t number);

#endif
