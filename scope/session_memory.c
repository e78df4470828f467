#include "scope/session_memory.h"

#include "wg/messages.h"

#include <errno.h>
#include <sys/queue.h>

#define OF_PEER_MAX 4
#define BLOCKS_MAX 8192

struct handshake {
	TAILQ_ENTRY(handshake)	 entry;
	uint8_t			 peer[KEY_LEN];
	uint64_t		 real_ns;	/* of its last message; 0: none yet */
	bool			 complete;
	struct buf		 blocks;
};

struct session_memory {
	TAILQ_HEAD(handshake_list, handshake) handshakes;	/* in order */
};

int session_memory_new(struct session_memory **ret)
{
	struct session_memory *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	TAILQ_INIT(&m->handshakes);
	*ret = m;
	return 0;
}

static void forget(struct session_memory *m, struct handshake *h)
{
	TAILQ_REMOVE(&m->handshakes, h, entry);
	buf_done(&h->blocks);
	free(h);
}

void session_memory_free(struct session_memory *m)
{
	if (!m)
		return;
	while (!TAILQ_EMPTY(&m->handshakes))
		forget(m, TAILQ_FIRST(&m->handshakes));
	free(m);
}

static struct handshake *older(struct handshake *h, const uint8_t peer[KEY_LEN])
{
	while (h && memcmp(h->peer, peer, KEY_LEN))
		h = TAILQ_PREV(h, handshake_list, entry);
	return h;
}

void session_memory_begin(struct session_memory *m, const uint8_t peer[KEY_LEN], const struct buf *block)
{
	struct handshake *h, *last = NULL;
	unsigned n = 0;

	/* One that found no answer was followed by this. */
	for (h = TAILQ_LAST(&m->handshakes, handshake_list); h; h = last) {
		h = older(h, peer);
		if (!h)
			break;
		last = TAILQ_PREV(h, handshake_list, entry);
		if (!h->complete || ++n >= OF_PEER_MAX)
			forget(m, h);
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return;
	memcpy(h->peer, peer, KEY_LEN);
	h->blocks = buf_of_max(BLOCKS_MAX);
	buf_put(&h->blocks, block->data, block->len);
	TAILQ_INSERT_TAIL(&m->handshakes, h, entry);
}

void session_memory_add(struct session_memory *m, const uint8_t peer[KEY_LEN], uint64_t real_ns,
	bool complete, const struct buf *block)
{
	struct handshake *h = older(TAILQ_LAST(&m->handshakes, handshake_list), peer);

	if (!h || h->complete)
		return;
	buf_put(&h->blocks, block->data, block->len);
	h->real_ns = real_ns;
	h->complete = complete;
}

void session_memory_put(struct session_memory *m, uint64_t real_ns, struct buf *ret)
{
	struct handshake *h, *next;

	for (h = TAILQ_FIRST(&m->handshakes); h; h = next) {
		next = TAILQ_NEXT(h, entry);
		if (h->real_ns && h->real_ns + WG_REJECT_AFTER_TIME_NS <= real_ns)
			forget(m, h);
		else if (!h->blocks.error)
			buf_put(ret, h->blocks.data, h->blocks.len);
	}
}
