#include "base/test.h"
#include "tunnel/balance.h"

#define WORKERS_MAX 8
#define SOURCES_MAX 24

/* Workers that serve sources of constant demand, in thousandths of what one worker can do. */
struct model {
	unsigned	n, n_sources;
	unsigned	had;			/* of a busy worker's time, in thousandths, that it has a processor */
	unsigned	demand[SOURCES_MAX], owner[SOURCES_MAX];
	uint64_t	now_ns, cpu_ns[WORKERS_MAX];
	struct balance	balance[WORKERS_MAX];
	balance_load	loads[WORKERS_MAX];
	unsigned	moves;
};

static unsigned wanted(const struct model *m, unsigned worker)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < m->n_sources; i++)
		if (m->owner[i] == worker)
			sum += m->demand[i];
	return sum;
}

/* One window of one worker. */
static void window(struct model *m, unsigned self)
{
	unsigned sum = wanted(m, self), busy = min(sum, 1000u), own[SOURCES_MAX], n = 0, to = 999;
	uint64_t busy_ns[SOURCES_MAX];
	struct balance *b = &m->balance[self];
	bool give[SOURCES_MAX];
	unsigned chosen;

	if (!sum)
		return; /* it sleeps */
	for (unsigned i = 0; i < m->n_sources; i++) {
		if (m->owner[i] != self)
			continue;
		busy_ns[n] = BALANCE_WINDOW_NS * busy / 1000 * m->demand[i] / sum;
		b->busy_ns += busy_ns[n];
		own[n++] = i;
	}
	m->cpu_ns[self] += b->busy_ns * m->had / 1000;
	CHECK(balance_due(b, m->now_ns));
	chosen = balance_choose(b, m->now_ns, m->cpu_ns[self], m->loads, m->n, self, busy_ns, n,
		give, &to);
	CHECK(!balance_due(b, m->now_ns));
	if (chosen)
		CHECK(to < m->n && to != self);
	m->moves += chosen;
	for (unsigned i = 0; i < n; i++) {
		if (!give[i])
			continue;
		CHECK(chosen-- > 0);
		m->owner[own[i]] = to;
	}
	CHECK_EQ(chosen, 0);
}

static unsigned windows(struct model *m, unsigned count)
{
	m->moves = 0;
	while (count--) {
		m->now_ns += BALANCE_WINDOW_NS;
		for (unsigned w = 0; w < m->n; w++)
			window(m, w);
	}
	return m->moves;
}

static struct model two(unsigned had, unsigned first, unsigned second)
{
	return (struct model){.n = 2,
		.n_sources = 2,
		.had = had,
		.demand = {first, second},
		.now_ns = 1000 * BALANCE_WINDOW_NS};
}

static void little_stays(void)
{
	struct model m = two(1000, 200, 100);

	CHECK_EQ(windows(&m, 50), 0);
	m.owner[1] = 1;
	CHECK_EQ(windows(&m, 50), 1);
	CHECK_EQ(m.owner[1], 0);
	m.owner[0] = m.owner[1] = 1;
	CHECK_EQ(windows(&m, 50), 2); /* both at once */
	CHECK_EQ(wanted(&m, 1), 0);
}

static void one_cannot_be_split(void)
{
	struct model m = two(1000, 3000, 0);

	CHECK_EQ(windows(&m, 50), 0);
}

static void idle_processors_are_used(void)
{
	struct model m = two(1000, 900, 150);

	CHECK_EQ(windows(&m, 50), 1);
	CHECK_EQ(m.owner[0] + m.owner[1], 1);
	CHECK_EQ(windows(&m, 50), 0);
}

static void answers_stay_where_processors_are_scarce(void)
{
	struct model m = two(600, 900, 150);

	CHECK_EQ(windows(&m, 50), 0);
	/* And come back, when others begin to want the processors. */
	m.owner[1] = 1;
	m.demand[0] = 1500;
	CHECK_EQ(windows(&m, 50), 1);
	CHECK_EQ(m.owner[1], 0);
	CHECK_EQ(windows(&m, 50), 0);
}

static void two_ways_split(void)
{
	for (unsigned had = 600; had <= 1000; had += 400) {
		struct model m = two(had, 900, 800);

		CHECK_EQ(windows(&m, 50), 1);
		CHECK_EQ(m.owner[0] + m.owner[1], 1);
		CHECK_EQ(windows(&m, 50), 0);
		/* Half of it would not be worth a change; a quarter is. */
		m.demand[0] = 450;
		m.demand[1] = 400;
		CHECK_EQ(windows(&m, 50), 0);
		m.demand[0] = 225;
		m.demand[1] = 200;
		CHECK_EQ(windows(&m, 50), 1);
		CHECK_EQ(m.owner[0] + m.owner[1], 0);
	}
}

static void who_slept_counts_as_idle(void)
{
	struct model m = two(1000, 800, 700);

	m.n_sources = 3;
	m.demand[2] = 950;
	m.owner[2] = 1;
	windows(&m, 1);
	/* The second was busy, and is silent from now on. */
	m.demand[2] = 0;
	CHECK(windows(&m, 50) >= 1);
	CHECK_EQ(m.owner[0] + m.owner[1], 1);
}

/* With a constant demand it comes to rest, and nobody is left with all while another has time. */
static void comes_to_rest(void)
{
	uint64_t seed = 7;

	for (int round = 0; round < 3000; round++) {
		struct model m = {.n = 1 + (unsigned)(test_random(&seed) % WORKERS_MAX),
			.n_sources = 1 + (unsigned)(test_random(&seed) % SOURCES_MAX),
			.had = test_random(&seed) & 1 ? 1000 : 500,
			.now_ns = 1000 * BALANCE_WINDOW_NS};
		unsigned least = 1000, most = 0;

		for (unsigned i = 0; i < m.n_sources; i++) {
			m.demand[i] = test_random(&seed) % 3 ? 0 : (unsigned)(test_random(&seed) % 900);
			m.owner[i] = (unsigned)(test_random(&seed) % m.n);
		}
		windows(&m, 1000);
		CHECK_EQ(windows(&m, 200), 0);
		for (unsigned w = 0; w < m.n; w++) {
			unsigned heaviest = 0;

			for (unsigned i = 0; i < m.n_sources; i++)
				if (m.owner[i] == w)
					heaviest = max(heaviest, m.demand[i]);
			least = min(least, wanted(&m, w));
			/* What it has beside its heaviest could have gone. */
			most = max(most, wanted(&m, w) - heaviest);
		}
		if (least < 200)
			CHECK(most < 900);
	}
}

/* The one that has least to do helps, who slept long too; a busy one does not. */
static void help_comes_from_who_has_time(void)
{
	struct model m = {.n = 3, .n_sources = 3, .had = 1000, .demand = {950, 700, 300},
		.owner = {0, 1, 2}, .now_ns = 1000 * BALANCE_WINDOW_NS};
	unsigned to = 999;

	windows(&m, 2);
	CHECK(balance_has_time(m.loads, m.n, 0, m.now_ns, &to));
	CHECK_EQ(to, 2);
	CHECK(!balance_has_time(m.loads, m.n, 2, m.now_ns, &to));
	CHECK(!balance_has_time(m.loads, 1, 0, m.now_ns, &to));
	m.demand[2] = 600;
	windows(&m, 2);
	CHECK(!balance_has_time(m.loads, m.n, 0, m.now_ns, &to));
	CHECK(balance_has_time(m.loads, m.n, 0, m.now_ns + 10 * BALANCE_WINDOW_NS, &to));
	/* Who helps others all the time has none left, and whoever does so less is asked before. */
	m.demand[1] = m.demand[2] = 300;
	m.balance[1].help_ns = BALANCE_WINDOW_NS / 5;
	m.balance[2].help_ns = BALANCE_WINDOW_NS / 10;
	windows(&m, 1);
	CHECK(balance_has_time(m.loads, m.n, 0, m.now_ns, &to));
	CHECK_EQ(to, 2);
	m.balance[1].help_ns = m.balance[2].help_ns = BALANCE_WINDOW_NS * 6 / 10;
	windows(&m, 1);
	CHECK(!balance_has_time(m.loads, m.n, 0, m.now_ns, &to));
}

int main(void)
{
	test_run("a little work stays with the first worker, or comes back to it [worker-balance]", little_stays);
	test_run("one source stays where it is, however busy [worker-balance]", one_cannot_be_split);
	test_run("where processors are idle, a busy worker gives what it can [worker-balance]",
		idle_processors_are_used);
	test_run("where they are not, the answers to a flow stay with its data, or come back [worker-balance]",
		answers_stay_where_processors_are_scarce);
	test_run("two heavy sources are two workers', until there is little to do [worker-balance]",
		two_ways_split);
	test_run("help with a backlog comes from the worker that has most time [backlog-shared]",
		help_comes_from_who_has_time);
	test_run("a worker that sleeps is idle, whatever it did before [worker-balance]",
		who_slept_counts_as_idle);
	test_run("under any constant demand nothing goes to and fro, and nobody is left alone with all [worker-balance]",
		comes_to_rest);
	return test_done();
}
