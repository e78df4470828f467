#include "base/test.h"
#include "tunnel/line.h"

#include <pthread.h>
#include <sched.h>

#define THREADS 4
#define OWN 2	/* items of each: together they fill the line */
#define TURNS 20000

static void waits_for_its_turn(void)
{
	struct line l;
	struct line_item a = {0}, b = {0}, c = {0};

	line_init(&l);
	line_place(&l, &a);
	line_place(&l, &b);
	line_place(&l, &c);
	CHECK(!line_front(&l, &b));
	line_put(&l, &b);
	CHECK(atomic_load(&b.waits));
	CHECK(!line_next(&l));
	CHECK(line_front(&l, &a));
	line_passed(&l, &a);
	CHECK(!line_front(&l, &c));
	CHECK(line_next(&l) == &b);
	line_passed(&l, &b);
	CHECK(!atomic_load(&b.waits));
	CHECK(!line_next(&l));
	CHECK(line_front(&l, &c));
	line_passed(&l, &c);
	CHECK(!line_next(&l));
}

static void one_passes_on_at_a_time(void)
{
	struct line l;
	struct line_item a = {0}, b = {0};

	line_init(&l);
	line_place(&l, &a);
	CHECK(line_front(&l, &a));
	CHECK(!line_front(&l, &a));
	line_place(&l, &b);
	line_put(&l, &b);
	/* Its thread goes away: who has the line will see it. */
	CHECK(!line_next(&l));
	line_passed(&l, &a);
	CHECK(line_next(&l) == &b);
	CHECK(!line_next(&l));
	line_passed(&l, &b);
}

struct crowd {
	struct line	 line;
	pthread_mutex_t	 lock;		/* places */
	uint32_t	 first;		/* the first place */
	uint32_t	 passed;	/* the line's: whoever passes on */
	uint64_t	 seed[THREADS];
	bool		 wrong;		/* likewise */
};

struct thing {
	struct line_item item;
	uint32_t	 content;	/* what its thread wrote before it was ready */
};

struct member {
	struct crowd	*crowd;
	unsigned	 number;
	pthread_t	 thread;
	struct thing	 things[OWN];
};

static void pass_on(struct crowd *c, struct line_item *item)
{
	const struct thing *t = container_of(item, struct thing, item);

	c->wrong |= item->place != c->first + c->passed || t->content != ~item->place;
	c->passed++;
	line_passed(&c->line, item);
}

static void turn(struct member *m, struct thing *t)
{
	struct crowd *c = m->crowd;
	uint64_t *seed = &c->seed[m->number];
	struct line_item *next;

	while (atomic_load(&t->item.waits))
		sched_yield();
	pthread_mutex_lock(&c->lock);
	line_place(&c->line, &t->item);
	pthread_mutex_unlock(&c->lock);
	for (uint64_t i = test_random(seed) % 4; i; i--)
		sched_yield();
	t->content = ~t->item.place;
	if (test_random(seed) % 8 == 0) {
		line_await_front(&c->line, &t->item);
		pass_on(c, &t->item);
	} else if (line_front(&c->line, &t->item)) {
		pass_on(c, &t->item);
	} else {
		line_put(&c->line, &t->item);
	}
	while ((next = line_next(&c->line)))
		pass_on(c, next);
}

static void *member_run(void *arg)
{
	struct member *m = arg;

	for (int i = 0; i < TURNS; i++)
		turn(m, &m->things[i % OWN]);
	/* Others may be passing on the last ones, which are on this stack. */
	for (int i = 0; i < OWN; i++)
		while (atomic_load(&m->things[i].item.waits))
			sched_yield();
	return NULL;
}

/* Also where the numbers of the places begin anew. */
static void all_pass_in_order(void)
{
	static const uint32_t firsts[] = {0, UINT32_MAX - TURNS};

	for (size_t k = 0; k < array_size(firsts); k++) {
		struct crowd c = {.first = firsts[k], .lock = PTHREAD_MUTEX_INITIALIZER};
		struct member members[THREADS] = {0};

		line_init(&c.line);
		c.line.places = c.first;
		atomic_store(&c.line.passed, c.first);
		for (unsigned i = 0; i < THREADS; i++) {
			c.seed[i] = 1 + i;
			members[i].crowd = &c;
			members[i].number = i;
			CHECK_EQ(pthread_create(&members[i].thread, NULL, member_run, &members[i]), 0);
		}
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(members[i].thread, NULL);
		CHECK(!c.wrong);
		CHECK_EQ(c.passed, THREADS * TURNS);
		CHECK(!line_next(&c.line));
	}
}

int main(void)
{
	test_run("what is ready too early waits for what came before it [backlog-order]", waits_for_its_turn);
	test_run("one thread passes on at a time, and sees what others leave there [backlog-order]",
		one_passes_on_at_a_time);
	test_run("of many threads all passes on, in order, and nobody is left waiting [backlog-order]",
		all_pass_in_order);
	return test_done();
}
