#include "wg/keypair.h"
#include "wg/peer.h"

struct wg_keypair *keypair_new(
	struct wg_peer *peer, bool initiator, uint32_t remote_index, uint64_t boot_ns)
{
	struct wg_keypair *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->entry.type = INDEX_KEYPAIR;
	k->peer = peer;
	k->initiator = initiator;
	k->remote_index = remote_index;
	k->created_ns = boot_ns;
	replay_init(&k->window);
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

void keypair_free(struct wg_keypair *k)
{
	if (!k)
		return;
	pthread_mutex_destroy(&k->lock);
	explicit_bzero(k, sizeof(*k));
	free(k);
}

static void free_item(struct reclaim_item *item)
{
	keypair_free(container_of(item, struct wg_keypair, reclaim));
}

static void drop(struct wg_peer *peer, struct wg_keypair *k)
{
	if (!k)
		return;
	index_release(&peer->device->index, &k->entry);
	reclaim_later(&peer->device->reclaim, &k->reclaim, free_item);
}

static void set_current(struct wg_peer *peer, struct wg_keypair *k)
{
	atomic_store_explicit(&peer->current, k, memory_order_release);
}

void keypairs_install(struct wg_peer *peer, struct wg_keypair *k)
{
	struct wg_keypair *current = peer_current(peer);

	if (!k->initiator) {
		drop(peer, peer->next);
		drop(peer, peer->previous);
		peer->next = k;
		peer->previous = NULL;
		return;
	}
	drop(peer, peer->previous);
	if (peer->next) {
		/* Ours overtook one that the peer made: that one may still be used by the peer. */
		peer->previous = steal(peer->next);
		set_current(peer, k);
		drop(peer, current);
	} else {
		peer->previous = current;
		set_current(peer, k);
	}
}

bool keypairs_confirm(struct wg_peer *peer)
{
	if (!peer->next || !atomic_load_explicit(&peer->next->received, memory_order_acquire))
		return false;
	drop(peer, peer->previous);
	peer->previous = peer_current(peer);
	set_current(peer, steal(peer->next));
	return true;
}

void keypairs_drop_all(struct wg_peer *peer)
{
	struct wg_keypair *current = peer_current(peer);

	set_current(peer, NULL);
	drop(peer, current);
	drop(peer, steal(peer->next));
	drop(peer, steal(peer->previous));
}

void keypairs_end_sending(struct wg_peer *peer)
{
	struct wg_keypair *current = peer_current(peer);

	if (current)
		atomic_store_explicit(&current->send_invalid, true, memory_order_relaxed);
	if (peer->next)
		atomic_store_explicit(&peer->next->send_invalid, true, memory_order_relaxed);
}
