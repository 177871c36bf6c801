/* link_rows — what each transport gives to link.c's table; nobody else includes this.
 * Every function gets the address without its prefix ("HOST:PORT", "PATH", "COMMAND"). */
#ifndef REPLICATOR_LINK_LINK_ROWS_H
#define REPLICATOR_LINK_LINK_ROWS_H

#include "replicator/link/link.h"

MUST_CHECK int link_tcp_connect(struct link **ret, const char *place, uint64_t timeout_ns, struct err *e);
MUST_CHECK int link_tcp_listen(int *ret_fd, const char *place, char *bound, struct err *e);

MUST_CHECK int link_unix_connect(struct link **ret, const char *place, uint64_t timeout_ns, struct err *e);
MUST_CHECK int link_unix_listen(int *ret_fd, const char *place, char *bound, struct err *e);

MUST_CHECK int link_exec_connect(struct link **ret, const char *place, uint64_t timeout_ns, struct err *e);
MUST_CHECK int link_exec_listen(int *ret_fd, const char *place, char *bound, struct err *e);

#endif
