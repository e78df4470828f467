#include "office/export.h"

#include <arpa/inet.h>

void export_hosts(const struct office *o, struct buf *ret)
{
	for (const struct member *m = o->members; m < o->members + o->n_members; m++) {
		const struct prefix *at = m->kind == MEMBER_HOST ? &m->host : &m->address;
		char text[INET6_ADDRSTRLEN] = "?";

		if (m->gone || !at->family)
			continue;
		inet_ntop(at->family, at->bytes, text, sizeof(text));
		buf_printf(ret, "%s\t%s\n", text, m->name);
	}
}
