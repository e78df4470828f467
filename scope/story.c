#include "scope/story.h"

#include "wg/device.h"
#include "wg/tap.h"

#include <arpa/inet.h>
#include <errno.h>

/* The types of wg/, for their names. */
ENUM_DEFINE_AS(static const struct enum_type type_drop, wg_drop, WG_DROP_LIST);
ENUM_DEFINE_AS(static const struct enum_type type_event, wg_event, WG_EVENT_LIST);

struct story {
	const struct names *names;
};

int story_new(const struct names *names, struct story **ret)
{
	struct story *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->names = names;
	*ret = s;
	return 0;
}

void story_free(struct story *s)
{
	free(s);
}

void story_who(const struct story *s, const struct capture_record *r, char ret[NAME_MAX_LEN + 1])
{
	if (r->has_peer)
		names_of(s->names, r->public_key, ret);
	else
		memcpy(ret, "?", 2);
}

void story_drop(const struct capture_record *r, const uint8_t *data, struct buf *ret)
{
	const struct enum_member *m = enum_member_of(&type_drop, r->drop);

	if (m)
		buf_printf(ret, "dropped: %s (%s)", m->name, m->doc);
	else
		buf_printf(ret, "dropped: reason %u", r->drop);
}

static void put_address(const struct capture_record *r, struct buf *ret)
{
	char text[INET6_ADDRSTRLEN];

	if (!r->family || !inet_ntop(r->family == 4 ? AF_INET : AF_INET6, r->remote, text, sizeof(text)))
		return;
	buf_printf(ret, r->family == 4 ? " %s:%u" : " [%s]:%u", text, r->remote_port);
}

bool story_tell(struct story *s, const struct capture_record *r, const uint8_t *data,
	struct buf *ret, unsigned *ret_level)
{
	const struct enum_member *m;

	*ret_level = 6;
	if (r->kind == CAPTURE_PACKET) {
		if (!r->drop)
			return false;
		*ret_level = 4;
		story_drop(r, data, ret);
		return true;
	}
	if (r->kind != CAPTURE_EVENT)
		return false;
	m = enum_member_of(&type_event, r->event);
	if (m)
		buf_printf(ret, "%s", m->name);
	else
		buf_printf(ret, "event %u", r->event);
	put_address(r, ret);
	if (r->event == WG_EVENT_REFUSED && enum_member_of(&type_drop, r->drop))
		buf_printf(ret, ": %s", enum_member_of(&type_drop, r->drop)->doc);
	return true;
}
