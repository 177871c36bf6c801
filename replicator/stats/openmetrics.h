/* openmetrics — status objects as OpenMetrics text, for who collects it (a node exporter's text file, a cron
 * job): one family after the other, labels domain and role, and interface where it is of one. */
#ifndef REPLICATOR_STATS_OPENMETRICS_H
#define REPLICATOR_STATS_OPENMETRICS_H

#include <jansson.h>
#include <stdio.h>

/* list: an array of status objects. Families without a sample are left out; ends with "# EOF". */
void openmetrics_print(FILE *to, const json_t *list);

#endif
