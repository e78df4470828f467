#include "ctl/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define GRAIN 16u
#define HEADER_SIZE 4096u /* of the memory: struct ring_shared, then the records */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

enum state { FREE = 0, READY = 1, SKIP = 2 /* nothing more before the end of the memory */ };

/* Before each record. */
struct head {
	_Atomic uint32_t state;
	uint32_t len; /* with this head, a multiple of GRAIN */
	uint64_t unused;
};

_Static_assert(sizeof(struct head) == GRAIN, "");

struct ring_shared {
	_Alignas(64) _Atomic uint64_t tail;	/* the reader's: bytes given back since the beginning */
	_Alignas(64) _Atomic uint64_t lost;	/* the writer's: records that found no room */
	_Alignas(64) _Atomic uint32_t sleeps;	/* both's: 1, the reader wants to be woken */
};

_Static_assert(sizeof(struct ring_shared) <= HEADER_SIZE, "");

static bool size_is_valid(size_t size)
{
	return size >= RING_SIZE_MIN && size <= RING_SIZE_MAX && !(size & (size - 1));
}

/* NULL: errno says why. */
static struct ring_shared *map(int fd, size_t size)
{
	void *p = mmap(NULL, HEADER_SIZE + size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return NULL;
	return p;
}

/* ---- the writer ---- */

int ring_writer_open(struct ring_writer *w, int fd)
{
	struct stat st;
	size_t size;
	int seals;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)HEADER_SIZE ||
		st.st_size > (off_t)HEADER_SIZE + (off_t)RING_SIZE_MAX)
		return -EINVAL;
	size = (size_t)st.st_size - HEADER_SIZE;
	if (!size_is_valid(size))
		return -EINVAL;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0)
		return errno == EINVAL ? -EPERM : -errno;
	if (!(seals & F_SEAL_SHRINK))
		return -EPERM;
	*w = (struct ring_writer){.size = size};
	w->shared = map(fd, size);
	if (!w->shared)
		return -errno;
	w->data = (uint8_t *)w->shared + HEADER_SIZE;
	return 0;
}

void ring_writer_close(struct ring_writer *w)
{
	if (w->shared)
		munmap(w->shared, HEADER_SIZE + w->size);
	*w = (struct ring_writer){.size = 0};
}

static struct head *head_at(uint8_t *data, size_t size, uint64_t at)
{
	return (void *)(data + (at & (size - 1)));
}

void *ring_reserve(struct ring_writer *w, size_t len, size_t spare)
{
	size_t need = (sizeof(struct head) + len + GRAIN - 1) & ~(size_t)(GRAIN - 1), skip;
	uint64_t head = atomic_load_explicit(&w->head, memory_order_relaxed);
	struct head *h;

	for (;;) {
		/* Acquire: what the reader gave back it has wiped. */
		uint64_t used = head - atomic_load_explicit(&w->shared->tail, memory_order_acquire), now;
		size_t to_end = w->size - (head & (w->size - 1));

		skip = need > to_end ? to_end : 0;
		if (len <= RING_RECORD_MAX && used <= w->size && need + skip + spare <= w->size - used) {
			if (atomic_compare_exchange_weak_explicit(&w->head, &head, head + skip + need,
				    memory_order_relaxed, memory_order_relaxed))
				break;
			continue;
		}
		/* The reader may be past ${head} because other writers are. */
		now = atomic_load_explicit(&w->head, memory_order_relaxed);
		if (now == head) {
			atomic_fetch_add_explicit(&w->shared->lost, 1, memory_order_relaxed);
			return NULL;
		}
		head = now;
	}
	if (skip) {
		h = head_at(w->data, w->size, head);
		atomic_store_explicit(&h->state, SKIP, memory_order_release);
	}
	h = head_at(w->data, w->size, head + skip);
	h->len = (uint32_t)need;
	return h + 1;
}

bool ring_publish(struct ring_writer *w, void *record)
{
	struct head *h = (struct head *)record - 1;

	/*
	 * Sequentially consistent, as in ring_sleep(): either the reader sees the record or this
	 * thread sees that it sleeps.
	 */
	atomic_store(&h->state, READY);
	return atomic_load(&w->shared->sleeps) && atomic_exchange(&w->shared->sleeps, 0);
}

uint64_t ring_writer_lost(const struct ring_writer *w)
{
	return atomic_load_explicit(&w->shared->lost, memory_order_relaxed);
}

/* ---- the reader ---- */

int ring_reader_new(size_t size, struct ring_reader **ret)
{
	cleanup(ring_reader_freep) struct ring_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->fd = -1;
	if (!size_is_valid(size))
		return -EINVAL;
	r->fd = memfd_create("ginnel-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (r->fd < 0 || ftruncate(r->fd, HEADER_SIZE + (off_t)size) < 0 ||
		fcntl(r->fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	r->shared = map(r->fd, size);
	if (!r->shared)
		return -errno;
	r->size = size;
	r->data = (uint8_t *)r->shared + HEADER_SIZE;
	/* Keys may pass through.  And the pages are counted as ours, not the writer's. */
	(void)mlock(r->shared, HEADER_SIZE + size);
	memset(r->shared, 0, HEADER_SIZE + size);
	*ret = steal(r);
	return 0;
}

void ring_reader_free(struct ring_reader *r)
{
	if (r->shared) {
		explicit_bzero(r->data, r->size);
		munmap(r->shared, HEADER_SIZE + r->size);
	}
	close_fd(&r->fd);
	free(r);
}

static void give_back(struct ring_reader *r, size_t len)
{
	explicit_bzero(head_at(r->data, r->size, r->tail), len);
	r->tail += len;
	atomic_store_explicit(&r->shared->tail, r->tail, memory_order_release);
}

int ring_next(struct ring_reader *r, const void **ret, size_t *ret_len)
{
	for (int i = 0; i < 2; i++) {
		struct head *h = head_at(r->data, r->size, r->tail);
		size_t to_end = r->size - (r->tail & (r->size - 1));
		uint32_t state = atomic_load_explicit(&h->state, memory_order_acquire);
		uint32_t len;

		if (state == FREE)
			return 0;
		if (state == SKIP) {
			give_back(r, to_end);
			continue;
		}
		len = *(volatile uint32_t *)&h->len; /* once: the writer may change it */
		if (state != READY || len < sizeof(*h) || len > to_end || len % GRAIN)
			return -EBADMSG;
		r->taken = len;
		*ret = h + 1;
		*ret_len = len - sizeof(*h);
		return 1;
	}
	return -EBADMSG;
}

void ring_release(struct ring_reader *r)
{
	give_back(r, r->taken);
	r->taken = 0;
}

bool ring_sleep(struct ring_reader *r)
{
	atomic_store(&r->shared->sleeps, 1);
	if (atomic_load(&head_at(r->data, r->size, r->tail)->state) == FREE)
		return true;
	atomic_store(&r->shared->sleeps, 0);
	return false;
}

uint64_t ring_lost(const struct ring_reader *r)
{
	return atomic_load_explicit(&r->shared->lost, memory_order_relaxed);
}
