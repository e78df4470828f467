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
	retain_free(k->retained);
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

static struct wg_keypair *get_next(struct wg_peer *peer)
{
	return atomic_load_explicit(&peer->next, memory_order_relaxed);
}

static void set_next(struct wg_peer *peer, struct wg_keypair *k)
{
	atomic_store_explicit(&peer->next, k, memory_order_release);
}

void keypairs_install(struct wg_peer *peer, struct wg_keypair *k)
{
	struct wg_keypair *current, *next, *previous;

	pthread_mutex_lock(&peer->keypairs_lock);
	current = peer_current(peer);
	next = get_next(peer);
	previous = peer->previous;
	if (!k->initiator) {
		/* So while one waits there is no previous one, and keypairs_confirm() drops none. */
		set_next(peer, k);
		peer->previous = NULL;
		current = NULL;
	} else if (next) {
		/* Ours overtook one that the peer made: that one may still be used by the peer. */
		set_next(peer, NULL);
		set_current(peer, k);
		peer->previous = next;
		next = NULL;
	} else {
		set_current(peer, k);
		peer->previous = current;
		current = NULL;
	}
	pthread_mutex_unlock(&peer->keypairs_lock);
	drop(peer, current);
	drop(peer, next);
	drop(peer, previous);
}

bool keypairs_confirm(struct wg_peer *peer, struct wg_keypair *k)
{
	bool waited;

	if (likely(atomic_load_explicit(&peer->next, memory_order_acquire) != k))
		return false;
	pthread_mutex_lock(&peer->keypairs_lock);
	waited = get_next(peer) == k;
	if (waited) {
		peer->previous = peer_current(peer);
		set_current(peer, k);
		set_next(peer, NULL);
	}
	pthread_mutex_unlock(&peer->keypairs_lock);
	return waited;
}

void keypairs_drop_all(struct wg_peer *peer)
{
	struct wg_keypair *current, *next, *previous;

	pthread_mutex_lock(&peer->keypairs_lock);
	current = peer_current(peer);
	next = get_next(peer);
	previous = steal(peer->previous);
	set_current(peer, NULL);
	set_next(peer, NULL);
	pthread_mutex_unlock(&peer->keypairs_lock);
	WG_PROBE2(keys_zeroed, peer->number, !!current + !!next + !!previous);
	drop(peer, current);
	drop(peer, next);
	drop(peer, previous);
}

void keypairs_end_sending(struct wg_peer *peer)
{
	struct wg_keypair *current, *next;

	pthread_mutex_lock(&peer->keypairs_lock);
	current = peer_current(peer);
	next = get_next(peer);
	if (current)
		atomic_store_explicit(&current->send_invalid, true, memory_order_relaxed);
	if (next)
		atomic_store_explicit(&next->send_invalid, true, memory_order_relaxed);
	pthread_mutex_unlock(&peer->keypairs_lock);
}
