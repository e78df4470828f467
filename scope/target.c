#include "scope/target.h"

#include "ctl/client.h"

#include <errno.h>
#include <stdio.h>

struct list {
	struct buf	*names;
	char		 first[64];
	unsigned	 n;
};

static int note(void *arg, const char *name)
{
	struct list *l = arg;

	if (!l->n++)
		snprintf(l->first, sizeof(l->first), "%s", name);
	buf_printf(l->names, "%s%s", l->names->len ? ", " : "", name);
	return 0;
}

static int only_tunnel(struct target *ret, struct buf *why)
{
	cleanup(buf_done) struct buf names = buf_of_max(4096);
	struct list l = {.names = &names};
	int r = ctl_tunnels(CTL_DIR, note, &l);

	if (r < 0) {
		buf_printf(why, "cannot look into " CTL_DIR ": %s", strerror(-r));
		return r;
	}
	if (l.n == 1) {
		memcpy(ret->tunnel, l.first, sizeof(ret->tunnel));
		return 0;
	}
	if (l.n)
		buf_printf(why, "which tunnel? There are %s", buf_str(&names));
	else
		buf_puts(why, "no tunnel runs here (nothing listens in " CTL_DIR ")");
	return l.n ? -EINVAL : -ENOENT;
}

static int find_peer(struct target *t, const char *peer, struct buf *why)
{
	int r = names_find(t->names, peer, t->peer);

	if (r == -EEXIST)
		buf_printf(why, "several peers in the file of %s are called ", t->tunnel);
	else if (r < 0)
		buf_printf(why, "neither a public key nor the name of a peer in the file of %s: ", t->tunnel);
	if (r < 0)
		buf_put_printable(why, peer, min(strlen(peer), (size_t)80));
	t->one_peer = r == 0;
	return r;
}

int target_find(const char *tunnel, const char *peer, struct target *ret, struct buf *why)
{
	int r;

	*ret = (struct target){.names = NULL};
	if (tunnel) {
		if (strlen(tunnel) >= sizeof(ret->tunnel)) {
			buf_puts(why, "no tunnel can have so long a name");
			return -EINVAL;
		}
		snprintf(ret->tunnel, sizeof(ret->tunnel), "%s", tunnel);
	} else {
		r = only_tunnel(ret, why);
		if (r < 0)
			return r;
	}
	r = names_new(&ret->names);
	if (r >= 0)
		r = names_load(ret->names, ret->tunnel);
	if (r < 0) {
		buf_puts(why, strerror(-r));
		return r;
	}
	return *peer ? find_peer(ret, peer, why) : 0;
}

void target_done(struct target *t)
{
	if (t->names)
		names_free(t->names);
	t->names = NULL;
}
