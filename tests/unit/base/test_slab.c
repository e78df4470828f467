#include "base/slab.h"

#include "base/test.h"

#include <malloc.h>

#define N 20000

struct object {
	uint64_t number;
	uint64_t filler[6];
	uint16_t place;
};

static struct object *objects[N];

static struct object *make(struct slab *s, uint64_t number)
{
	uint16_t place;
	struct object *o = slab_alloc(s, &place);

	CHECK(o && (uintptr_t)o % 8 == 0);
	memset(o, 0xa5, sizeof(*o));
	o->number = number;
	o->place = place;
	return o;
}

static void give(struct object *o)
{
	slab_free(o, o->place);
}

static bool whole(const struct object *o, uint64_t number)
{
	for (size_t i = 0; i < array_size(o->filler); i++)
		if (o->filler[i] != 0xa5a5a5a5a5a5a5a5)
			return false;
	return o->number == number;
}

/* In an order that mixes blocks: some given back, new ones in their places, again and again. */
static void apart(void)
{
	struct slab s;
	uint64_t seed = 7, number = 0, numbers[N];

	slab_init(&s, sizeof(struct object));
	for (size_t i = 0; i < N; i++)
		objects[i] = make(&s, numbers[i] = number++);
	for (unsigned round = 0; round < 100000; round++) {
		size_t i = test_random(&seed) % N;

		if (!whole(objects[i], numbers[i]))
			test_fail(__FILE__, __LINE__, "object %zu in round %u", i, round);
		give(objects[i]);
		objects[i] = make(&s, numbers[i] = number++);
	}
	for (size_t i = 0; i < N; i++) {
		CHECK(whole(objects[i], numbers[i]));
		give(objects[i]);
	}
	CHECK(LIST_EMPTY(&s.with_room));
}

/* Bytes that the C library has of the system.  0 under a sanitizer, which has functions of its own. */
static size_t held(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.arena + m.hblkhd;
}

static void gives_back(void)
{
	struct slab s;
	size_t before = held(), n = N * sizeof(struct object);

	/* As the daemon has it: otherwise glibc keeps blocks of a size that was once given back. */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	slab_init(&s, sizeof(struct object));
	for (size_t i = 0; i < N; i++)
		objects[i] = make(&s, i);
	CHECK(SANITIZERS || (held() >= before + n && held() <= before + n + n / 2));
	/* All but one, in any order: hardly more than its block stays. */
	for (size_t i = 0; i < N; i++)
		if (i * 7919 % N)
			give(objects[i * 7919 % N]);
	CHECK(held() <= before + n / 2);
	give(objects[0]);
	CHECK_EQ(held(), before);
	CHECK(LIST_EMPTY(&s.with_room));
}

static void reuses(void)
{
	struct slab s;
	size_t all;

	slab_init(&s, sizeof(struct object));
	for (size_t i = 0; i < N; i++)
		objects[i] = make(&s, i);
	all = held();
	for (size_t i = 0; i < N; i += 2)
		give(objects[i]);
	for (size_t i = 0; i < N; i += 2)
		objects[i] = make(&s, i);
	CHECK_EQ(held(), all);
	for (size_t i = 0; i < N; i++) {
		CHECK(whole(objects[i], i));
		give(objects[i]);
	}
}

int main(void)
{
	test_run("objects of a slab are apart, however they come and go", apart);
	test_run("memory goes back to the system with the last object of a block [slab-memory]", gives_back);
	test_run("what was given back is used again before there is more", reuses);
	return test_done();
}
