#include "base/slab.h"

#include <assert.h>
#include <sys/mman.h>

/*
 * A small block is large enough that the C library takes each from the system and gives it back: what is not in use yet
 * costs nothing.  Who has filled one gets large ones, each a huge page where the system has those: a fault for each small
 * page takes longer than all that is done with the objects on it.
 */
#define SMALL_LEN ((size_t)256 << 10)
#define LARGE_LEN ((size_t)2 << 20)
#define PLACE 8			/* in the units of which fit into 16 bits */
#define IN_LARGE UINT16_MAX	/* a place: in a large block, which begins at a multiple of its length */

struct slab_block {
	LIST_ENTRY(slab_block)	 entry;		/* of with_room, unless it is full */
	struct slab		*slab;
	void			*given_back;	/* each holds the address of the next */
	bool			 large;
	size_t			 capacity;
	size_t			 n_used, n_begun; /* begun: what lies behind was never used */
	_Alignas(PLACE) char	 objects[];
};

_Static_assert(SMALL_LEN / PLACE < IN_LARGE, "a place fits into 16 bits");

void slab_init(struct slab *s, size_t size)
{
	assert(size && size % PLACE == 0);
	s->size = size;
	s->n_full = 0;
	LIST_INIT(&s->with_room);
}

static struct slab_block *large_new(void)
{
	char *all = mmap(NULL, 2 * LARGE_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *b;

	if (all == MAP_FAILED)
		return NULL;
	b = all + (LARGE_LEN - (uintptr_t)all % LARGE_LEN) % LARGE_LEN;
	if (b > all)
		munmap(all, (size_t)(b - all));
	munmap(b + LARGE_LEN, (size_t)(all + LARGE_LEN - b));
	(void)madvise(b, LARGE_LEN, MADV_HUGEPAGE);
	return (void *)b;
}

static void block_free(struct slab_block *b)
{
	if (b->large)
		munmap(b, LARGE_LEN);
	else
		free(b);
}

static struct slab_block *block_new(struct slab *s)
{
	struct slab_block *b = s->n_full && !SANITIZERS ? large_new() : NULL;
	bool large = b != NULL;
	size_t capacity = ((large ? LARGE_LEN : SMALL_LEN) - sizeof(*b)) / s->size;

	if (!large) {
		capacity = SANITIZERS ? 1 : capacity;
		b = malloc(sizeof(*b) + capacity * s->size);
	}
	if (!b)
		return NULL;
	*b = (struct slab_block){.slab = s, .large = large, .capacity = capacity};
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
	if (++b->n_used == b->capacity) {
		LIST_REMOVE(b, entry);
		s->n_full++;
	}
	*ret_place = b->large ? IN_LARGE : (uint16_t)((size_t)(object - (char *)b) / PLACE);
	/* lint-ignore -Wanalyzer-malloc-leak: a full block is in no list, and found by its objects */
	return object;
}

void slab_free(void *object, uint16_t place)
{
	size_t before = place == IN_LARGE ? (uintptr_t)object % LARGE_LEN : (size_t)place * PLACE;
	struct slab_block *b = (void *)((char *)object - before);

	if (b->n_used-- == b->capacity) {
		LIST_INSERT_HEAD(&b->slab->with_room, b, entry);
		b->slab->n_full--;
	}
	if (!b->n_used) {
		LIST_REMOVE(b, entry);
		block_free(b);
		return;
	}
	memcpy(object, &b->given_back, sizeof(b->given_back));
	b->given_back = object;
}
