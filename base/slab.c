#include "base/slab.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Large enough that the C library takes each from the system and gives it back: what is not in use
 * yet costs nothing.
 */
#define BLOCK_LEN ((size_t)256 << 10)
#define PLACE 8 /* in the units of which fit into 16 bits */

struct slab_block {
	LIST_ENTRY(slab_block)	 entry;		/* of with_room, unless it is full */
	struct slab		*slab;
	void			*given_back;	/* each holds the address of the next */
	size_t			 n_used, n_begun; /* begun: what lies behind was never used */
	_Alignas(PLACE) char	 objects[];
};

_Static_assert(BLOCK_LEN / PLACE <= UINT16_MAX, "a place fits into 16 bits");

static size_t capacity(const struct slab *s)
{
	return SANITIZERS ? 1 : (BLOCK_LEN - sizeof(struct slab_block)) / s->size;
}

void slab_init(struct slab *s, size_t size)
{
	assert(size && size % PLACE == 0);
	s->size = size;
	s->n_blocks = 0;
	LIST_INIT(&s->with_room);
}

/*
 * Its pages by one call, for what is going to be filled: a fault for each takes a quarter more.  Not huge pages: a virtual
 * machine may have lent its free ones to its host, and then the first touch of one takes longer than all that it saves.
 */
static void populate(struct slab_block *b)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)b + page - 1) & -page, to = ((uintptr_t)b + BLOCK_LEN) & -page;

	(void)madvise((void *)from, to - from, MADV_POPULATE_WRITE); /* Linux 5.14 */
}

static struct slab_block *block_new(struct slab *s)
{
	struct slab_block *b = malloc(sizeof(*b) + capacity(s) * s->size);

	if (!b)
		return NULL;
	if (s->n_blocks++ && !SANITIZERS)
		populate(b); /* who has filled one fills the next */
	b->slab = s;
	b->given_back = NULL;
	b->n_used = b->n_begun = 0;
	LIST_INSERT_HEAD(&s->with_room, b, entry);
	return b;
}

void *slab_alloc(struct slab *s, uint16_t *ret_place)
{
	struct slab_block *b = LIST_FIRST(&s->with_room);
	char *object;

	if (!b)
		b = block_new(s);
	if (!b)
		return NULL;
	object = b->given_back;
	if (object)
		memcpy(&b->given_back, object, sizeof(b->given_back));
	else
		object = b->objects + b->n_begun++ * s->size;
	if (++b->n_used == capacity(s))
		LIST_REMOVE(b, entry);
	*ret_place = (uint16_t)((size_t)(object - (char *)b) / PLACE);
	/* lint-ignore -Wanalyzer-malloc-leak: a full block is in no list, and found by its objects */
	return object;
}

void slab_free(void *object, uint16_t place)
{
	struct slab_block *b = (void *)((char *)object - (size_t)place * PLACE);

	if (b->n_used-- == capacity(b->slab))
		LIST_INSERT_HEAD(&b->slab->with_room, b, entry);
	if (!b->n_used) {
		b->slab->n_blocks--;
		LIST_REMOVE(b, entry);
		free(b);
		return;
	}
	memcpy(object, &b->given_back, sizeof(b->given_back));
	b->given_back = object;
}
