/* One peer takes the place of another: the same machine with another key. */
#include "wg/peer.h"

void wg_peer_succeed(struct wg_peer *successor, struct wg_peer *before)
{
	if (successor->pair && successor->is_successor && successor->pair == before)
		return;
	successor_end(successor);
	if (!before || before == successor)
		return;
	successor_end(before);
	successor->pair = before;
	successor->is_successor = true;
	before->pair = successor;
	before->is_successor = false;
}

void successor_end(struct wg_peer *p)
{
	if (p->pair)
		p->pair->pair = NULL;
	p->pair = NULL;
}

void successor_speaks(struct wg_peer *p)
{
	struct wg_device *d = p->device;
	struct wg_peer *from = p->pair;
	void *at = NULL;
	struct wg_prefix prefix;

	if (!from)
		return;
	/* One after the other; each has an owner at every moment.  Without memory the rest stays
	 * where it is. */
	while (wg_peer_prefix(from, &at, &prefix)) {
		if (wg_peer_allow(d, p, prefix.family, prefix.bytes, prefix.cidr) < 0)
			break;
		d->moves++;
		at = NULL;
	}
	stage_move(from, p);
}

void successor_confirmed(struct wg_peer *p)
{
	if (!p->is_successor)
		return;
	/* Also what a request has put back to the old one meanwhile. */
	successor_speaks(p);
	successor_end(p);
}

uint64_t wg_device_moves(const struct wg_device *d)
{
	return d->moves;
}
