#include "base/test.h"
#include "wg/reclaim.h"

#include <pthread.h>
#include <sched.h>

static unsigned freed[16], n_freed;

struct thing {
	struct reclaim_item item;
	unsigned number;
};

static struct thing things[16];
static struct reclaim r;

static void thing_free(struct reclaim_item *item)
{
	freed[n_freed++] = container_of(item, struct thing, item)->number;
}

static void setup(unsigned n_readers)
{
	n_freed = 0;
	for (unsigned i = 0; i < array_size(things); i++)
		things[i] = (struct thing){.number = i};
	CHECK_EQ(reclaim_init(&r, n_readers), 0);
}

static void later(unsigned i)
{
	reclaim_later(&r, &things[i].item, thing_free);
}

static void no_reader(void)
{
	setup(0);
	CHECK(!reclaim_poll(&r));
	later(0);
	later(1);
	CHECK_EQ(n_freed, 0);
	CHECK(!reclaim_poll(&r));
	CHECK_EQ(n_freed, 2);
	reclaim_done(&r);
	CHECK_EQ(n_freed, 2);
}

static void offline_reader(void)
{
	setup(2);
	reclaim_online(&r, 1);
	reclaim_offline(&r, 1);
	later(0);
	CHECK(!reclaim_poll(&r));
	CHECK_EQ(n_freed, 1);
	reclaim_done(&r);
}

static void online_reader(void)
{
	setup(2);
	reclaim_online(&r, 0);
	later(0);
	for (unsigned i = 0; i < 10; i++)
		CHECK(reclaim_poll(&r));
	CHECK_EQ(n_freed, 0);
	reclaim_quiescent(&r, 0);
	CHECK_EQ(n_freed, 0); /* readers free nothing */
	CHECK(!reclaim_poll(&r));
	CHECK_EQ(n_freed, 1);
	reclaim_offline(&r, 0);
	reclaim_done(&r);
}

static void going_offline(void)
{
	setup(1);
	reclaim_online(&r, 0);
	later(0);
	CHECK(reclaim_poll(&r));
	reclaim_offline(&r, 0);
	CHECK(!reclaim_poll(&r));
	CHECK_EQ(n_freed, 1);
	reclaim_done(&r);
}

/* Quiescence before the epoch was started says nothing: the reader may have found the object after it. */
static void early_quiescence(void)
{
	setup(1);
	reclaim_online(&r, 0);
	reclaim_quiescent(&r, 0);
	later(0);
	reclaim_quiescent(&r, 0);
	CHECK(reclaim_poll(&r));
	CHECK_EQ(n_freed, 0);
	reclaim_quiescent(&r, 0);
	CHECK(!reclaim_poll(&r));
	reclaim_offline(&r, 0);
	reclaim_done(&r);
}

static void every_reader(void)
{
	setup(3);
	for (unsigned i = 0; i < 3; i++)
		reclaim_online(&r, i);
	later(0);
	CHECK(reclaim_poll(&r));
	for (unsigned i = 0; i < 3; i++) {
		CHECK(reclaim_poll(&r));
		CHECK_EQ(n_freed, 0);
		for (unsigned j = 0; j < 5; j++)
			reclaim_quiescent(&r, i);
	}
	CHECK(!reclaim_poll(&r));
	CHECK_EQ(n_freed, 1);
	for (unsigned i = 0; i < 3; i++)
		reclaim_offline(&r, i);
	reclaim_done(&r);
}

static void oldest_first(void)
{
	setup(1);
	reclaim_online(&r, 0);
	later(0);
	later(1);
	CHECK(reclaim_poll(&r));
	reclaim_quiescent(&r, 0);
	later(2);
	CHECK(reclaim_poll(&r)); /* frees 0 and 1, starts an epoch for 2 */
	CHECK_EQ(n_freed, 2);
	CHECK_EQ(freed[0], 0);
	CHECK_EQ(freed[1], 1);
	later(3);
	reclaim_quiescent(&r, 0);
	CHECK(reclaim_poll(&r)); /* 3 was handed in after what the reader saw */
	CHECK_EQ(n_freed, 3);
	CHECK_EQ(freed[2], 2);
	reclaim_quiescent(&r, 0);
	CHECK(!reclaim_poll(&r));
	CHECK_EQ(freed[3], 3);
	reclaim_offline(&r, 0);
	reclaim_done(&r);
}

static void hand_in_another(struct reclaim_item *item)
{
	unsigned i = container_of(item, struct thing, item)->number;

	freed[n_freed++] = i;
	if (i < 3)
		reclaim_later(&r, &things[i + 1].item, hand_in_another);
}

static void chain(void)
{
	setup(1);
	reclaim_later(&r, &things[0].item, hand_in_another);
	CHECK(reclaim_poll(&r));
	CHECK_EQ(n_freed, 1); /* the second may be in use by one who came online meanwhile */
	reclaim_online(&r, 0);
	CHECK(reclaim_poll(&r));
	CHECK_EQ(n_freed, 1);
	reclaim_quiescent(&r, 0);
	CHECK(reclaim_poll(&r));
	CHECK_EQ(n_freed, 2);
	reclaim_offline(&r, 0);
	reclaim_done(&r); /* and all the rest, however it comes in */
	CHECK_EQ(n_freed, 4);
}

/* ---- threads ---- */

#define ALIVE 0x600dfeedu
#define DEAD 0xdeadbeefu
#define N_READERS 3
#define N_SLOTS 4
#define N_SWAPS 200000

struct object {
	uint32_t		 before;
	struct reclaim_item	 item;
	uint32_t		 after;
};

static struct object *_Atomic slots[N_SLOTS];
static atomic_uint bad, started, stop;
static atomic_ullong n_reads;
static unsigned n_objects_freed;

static void object_free(struct reclaim_item *item)
{
	struct object *o = container_of(item, struct object, item);

	o->before = o->after = DEAD;
	n_objects_freed++;
	free(o);
}

static struct object *object_new(void)
{
	struct object *o = malloc(sizeof(*o));

	if (!o)
		abort();
	o->before = o->after = ALIVE;
	return o;
}

static void *reader(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg, rounds = 0;
	uint64_t seed = me + 1, reads = 0;

	atomic_fetch_add(&started, 1);
	reclaim_online(&r, me);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		uint64_t x = test_random(&seed);
		struct object *o[N_SLOTS];

		/* Found in one order, used in another, as late as the rules allow. */
		for (unsigned i = 0; i < N_SLOTS; i++)
			o[i] = atomic_load_explicit(&slots[(i + x) % N_SLOTS], memory_order_acquire);
		if (x % 61 == 0)
			sched_yield();
		for (unsigned i = 0; i < N_SLOTS; i++)
			if (o[i]->before != ALIVE || o[i]->after != ALIVE)
				atomic_fetch_add(&bad, 1);
		reads += N_SLOTS;
		switch (++rounds % 5) {
		case 0:
			break; /* hold on */
		case 1:
			reclaim_offline(&r, me);
			if (x % 7 == 0)
				sched_yield();
			reclaim_online(&r, me);
			break;
		default:
			reclaim_quiescent(&r, me);
		}
	}
	reclaim_offline(&r, me);
	atomic_fetch_add(&n_reads, reads);
	return NULL;
}

static void threads(void)
{
	pthread_t t[N_READERS];
	uint64_t seed = 99;

	CHECK_EQ(reclaim_init(&r, N_READERS), 0);
	for (unsigned i = 0; i < N_SLOTS; i++)
		atomic_store(&slots[i], object_new());
	for (unsigned i = 0; i < N_READERS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, reader, (void *)(uintptr_t)i), 0);
	while (atomic_load(&started) < N_READERS)
		sched_yield();
	for (unsigned i = 0; i < N_SWAPS; i++) {
		uint64_t x = test_random(&seed);
		struct object *old = atomic_exchange_explicit(
			&slots[x % N_SLOTS], object_new(), memory_order_acq_rel);

		reclaim_later(&r, &old->item, object_free);
		if ((x >> 8) % 4)
			reclaim_poll(&r);
		if (i % 256 == 0)
			sched_yield();
	}
	/* The readers are still at it: what waits must come free without their going away. */
	while (reclaim_poll(&r))
		sched_yield();
	CHECK_EQ(n_objects_freed, N_SWAPS);
	atomic_store(&stop, 1);
	for (unsigned i = 0; i < N_READERS; i++)
		pthread_join(t[i], NULL);
	for (unsigned i = 0; i < N_SLOTS; i++)
		free(atomic_load(&slots[i]));
	reclaim_done(&r);
	CHECK_EQ(atomic_load(&bad), 0);
	CHECK(atomic_load(&n_reads) > 0);
}

int main(void)
{
	test_run("without readers all is freed at the next poll, not before [reclaim]", no_reader);
	test_run("a reader that is offline holds nothing up [reclaim]", offline_reader);
	test_run("a reader that is online holds everything up until it is quiescent [reclaim]",
		online_reader);
	test_run("going offline lets go [reclaim]", going_offline);
	test_run("being quiescent before the epoch began does not count [reclaim]", early_quiescence);
	test_run("every reader must have been quiescent [reclaim]", every_reader);
	test_run("what was handed in first is freed first, what came later waits [reclaim]",
		oldest_first);
	test_run("what free() hands in waits for a poll of its own [reclaim]", chain);
	test_run("no thread ever sees a freed object, and nothing waits for ever [reclaim]", threads);
	return test_done();
}
