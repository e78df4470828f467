/*
 * conf/resolve.h - addresses of an endpoint.  May wait for name servers.
 */
#pragma once

#include "conf/text.h"

#define RESOLVE_MAX 16

/*
 * resolve(e, ret, ret_n): every address of the endpoint, the families by turns, in the order in
 * which the system would try them.  0 and at least one; an error for resolve_error().
 */
int resolve(const struct endpoint *e, struct sockaddr_storage ret[RESOLVE_MAX], size_t *ret_n);
const char *resolve_error(int error);

/* resolve_unreachable(error): it says nothing about the name: no name server has answered. */
bool resolve_unreachable(int error);

/* resolve_order(a, n): the families by turns, beginning with the first one's, otherwise as before. */
void resolve_order(struct sockaddr_storage a[], size_t n);
