#include "base/test.h"
#include "wg/messages.h"
#include "wg/ratelimiter.h"

#include <errno.h>

/* The linker sends every calloc() of ours here (--wrap): the one in ${fail_in} steps fails. */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
static unsigned fail_in;

void *__wrap_calloc(size_t n, size_t size)
{
	if (fail_in && !--fail_in)
		return NULL;
	return __real_calloc(n, size);
}

#define MS NS_PER_MS
#define S NS_PER_S
#define START (1000 * S)
#define MAX RATELIMITER_ENTRIES_MAX

static const uint8_t seed[32] = {1, 2, 3};
static struct ratelimiter *r;

static void setup(void)
{
	CHECK_EQ(ratelimiter_new(seed, &r), 0);
}

static void teardown(void)
{
	ratelimiter_free(r);
	r = NULL;
}

static struct wg_addr v4(uint32_t host, uint16_t port)
{
	uint8_t bytes[4];

	put_be32(bytes, host);
	return wg_addr_v4(bytes, port);
}

static struct wg_addr v6(uint64_t net, uint64_t host, uint16_t port)
{
	uint8_t bytes[16];

	put_be64(bytes, net);
	put_be64(bytes + 8, host);
	return wg_addr_v6(bytes, port, 0);
}

static bool allow(struct wg_addr src, uint64_t boot_ns)
{
	return ratelimiter_allow(r, &src, boot_ns);
}

struct step {
	bool	 allowed;
	unsigned wait_ms; /* before it */
};

static void play(struct wg_addr src, const struct step steps[], size_t n, uint64_t from)
{
	for (size_t i = 0; i < n; i++) {
		from += steps[i].wait_ms * MS;
		if (allow(src, from) != steps[i].allowed)
			test_fail(__FILE__, __LINE__, "step %zu must be %s", i,
				steps[i].allowed ? "allowed" : "refused");
	}
	test_checked();
}

static void burst(void)
{
	/* Five at once, then one every 50 ms and not a millisecond sooner, then five again. */
	static const struct step steps[] = {{true, 0}, {true, 0}, {true, 0}, {true, 0}, {true, 0},
		{false, 0}, {true, 51}, {false, 1}, {true, 49}, {false, 0}, {false, 48}, {true, 1},
		{false, 0}, {true, 101}, {true, 0}, {false, 0}, {true, 1000}, {true, 0}, {true, 0},
		{true, 0}, {true, 0}, {false, 0}};

	setup();
	play(v4(0xc0000207, 1), steps, array_size(steps), START);
	play(v6(0x20010db800000000, 7, 1), steps, array_size(steps), START);
	CHECK_EQ(ratelimiter_n_entries(r), 2);
	teardown();
}

static void exact_edge(void)
{
	struct wg_addr src = v4(1, 1);

	setup();
	for (unsigned i = 0; i < 5; i++)
		CHECK(allow(src, START));
	CHECK(!allow(src, START + 50 * MS - 1));
	CHECK(allow(src, START + 50 * MS)); /* exactly what it costs is enough */
	CHECK(!allow(src, START + 50 * MS));
	/* Refused messages cost nothing: however often one asks, 20 a second come through. */
	for (uint64_t t = 1; t <= 1000; t++)
		CHECK_EQ(allow(src, START + 50 * MS + t * MS), t % 50 == 0);
	teardown();
}

static void no_more_than_full(void)
{
	struct wg_addr src = v4(1, 1);

	setup();
	for (uint64_t wait = 250 * MS; wait < UINT64_MAX / 64; wait *= 3) {
		uint64_t t = START + wait;
		unsigned n = 0;

		CHECK(allow(src, t));
		for (unsigned i = 0; i < 20; i++)
			n += allow(src, t);
		CHECK_EQ(n, 4);
	}
	teardown();
}

static void long_run(void)
{
	struct wg_addr src = v4(1, 1);
	uint64_t state = 3;

	setup();
	for (unsigned round = 0; round < 50; round++) {
		uint64_t t = START + round * 100 * S, from = t;
		unsigned n = 0;

		while (t - from < 10 * S) {
			n += allow(src, t);
			t += test_random(&state) % (round % 2 ? 20 * MS : 2 * MS);
		}
		CHECK(n >= 200 && n <= 205);
	}
	teardown();
}

static void exhaust(struct wg_addr src)
{
	for (unsigned i = 0; i < 5; i++)
		CHECK(allow(src, START));
	CHECK(!allow(src, START));
}

static void grouping(void)
{
	setup();
	exhaust(v4(0xc0000207, 1));
	CHECK(!allow(v4(0xc0000207, 2), START));	/* the port does not matter */
	CHECK(allow(v4(0xc0000206, 1), START));		/* every host by itself */
	CHECK(allow(v4(0xc0000107, 1), START));
	CHECK_EQ(ratelimiter_n_entries(r), 3);
	exhaust(v6(0x20010db800010000, 1, 1));
	CHECK(!allow(v6(0x20010db800010000, 2, 2), START)); /* the whole /64 together */
	CHECK(!allow(v6(0x20010db800010000, UINT64_MAX, 1), START));
	CHECK(allow(v6(0x20010db800010001, 1, 1), START));  /* the next one by itself */
	CHECK(allow(v6(0x20010db800000000, 1, 1), START));
	CHECK_EQ(ratelimiter_n_entries(r), 6);
	/* The same first bytes in the other family are somebody else. */
	exhaust(v6(0xc000020700000000, 0, 1));
	exhaust(v6(0, 0, 1));
	exhaust(v4(0, 1));
	CHECK_EQ(ratelimiter_n_entries(r), 9);
	teardown();
}

/* Two families with the same first bytes, so that they meet in the table. */
static struct wg_addr source(uint32_t i)
{
	return i % 2 ? v4(i / 2, 1) : v6((uint64_t)(i / 2) << 32, i, 1);
}

static void full(void)
{
	size_t memory;

	setup();
	exhaust(source(0));
	for (uint32_t i = 1; i < MAX; i++)
		if (!allow(source(i), START))
			test_fail(__FILE__, __LINE__, "source %" PRIu32 " was refused", i);
	CHECK_EQ(ratelimiter_n_entries(r), MAX);
	memory = ratelimiter_memory(r);
	for (uint32_t i = 0; i < 1000; i++) {
		CHECK(!allow(v4(0x10000000 + i, 1), START));
		CHECK(!allow(v6(~(uint64_t)i, 0, 1), START + 900 * MS));
	}
	CHECK_EQ(ratelimiter_n_entries(r), MAX);
	CHECK_EQ(ratelimiter_memory(r), memory);
	CHECK(memory <= 8 << 20);
	/* Who is known is served, and held to its rate. */
	CHECK(!allow(source(0), START + 49 * MS));
	for (uint32_t i = 1; i < MAX; i += 97) {
		struct wg_addr src = source(i);

		for (unsigned j = 0; j < 4; j++)
			CHECK(allow(src, START));
		CHECK(!allow(src, START));
	}
	/* And the door opens again. */
	CHECK_EQ(ratelimiter_collect(r, START + 2 * S), UINT64_MAX);
	CHECK(allow(v4(0x10000000, 1), START + 2 * S));
	CHECK_EQ(ratelimiter_n_entries(r), 1);
	teardown();
}

static void collected(void)
{
	setup();
	CHECK_EQ(ratelimiter_collect(r, START), UINT64_MAX);
	CHECK_EQ(ratelimiter_memory(r), 0);
	CHECK(allow(v4(1, 1), START));
	CHECK(allow(v4(2, 1), START + 500 * MS));
	CHECK_EQ(ratelimiter_collect(r, START + 500 * MS), START + 1500 * MS);
	CHECK_EQ(ratelimiter_n_entries(r), 2);
	ratelimiter_collect(r, START + 1 * S); /* a second, not more */
	CHECK_EQ(ratelimiter_n_entries(r), 2);
	ratelimiter_collect(r, START + 1 * S + 1);
	CHECK_EQ(ratelimiter_n_entries(r), 1);
	CHECK(ratelimiter_collect(r, START + 1500 * MS) != UINT64_MAX);
	CHECK_EQ(ratelimiter_collect(r, START + 1500 * MS + 1), UINT64_MAX);
	CHECK_EQ(ratelimiter_n_entries(r), 0);
	CHECK_EQ(ratelimiter_memory(r), 0);
	teardown();
}

/* An attacker who never pauses is never forgotten: messages that are refused count as a sign of life. */
static void busy_is_not_idle(void)
{
	struct wg_addr src = v4(1, 1);
	unsigned n = 0;

	setup();
	for (uint64_t t = 0; t < 5 * S; t += 10 * MS) {
		n += allow(src, START + t);
		ratelimiter_collect(r, START + t);
		CHECK_EQ(ratelimiter_n_entries(r), 1);
	}
	CHECK(n >= 100 && n <= 105);
	teardown();
}

static void memory(void)
{
	size_t few, many, half;

	setup();
	for (uint32_t i = 0; i < 10; i++)
		CHECK(allow(v4(i, 1), START));
	few = ratelimiter_memory(r);
	CHECK(few > 0 && few <= 8192);
	for (uint32_t i = 0; i < 40000; i++)
		CHECK(allow(v4(i, 1), START));
	many = ratelimiter_memory(r);
	CHECK(many > 100 * few);
	for (uint32_t i = 0; i < 400; i++) /* who stays keeps its state, wherever it is moved */
		for (unsigned j = 0; j < 5; j++)
			allow(v4(i * 100, 1), START + 900 * MS);
	CHECK(ratelimiter_collect(r, START + 1100 * MS) != UINT64_MAX);
	CHECK_EQ(ratelimiter_n_entries(r), 400);
	half = ratelimiter_memory(r);
	CHECK(half < many / 10);
	for (uint32_t i = 0; i < 400; i++)
		CHECK(!allow(v4(i * 100, 1), START + 900 * MS));
	CHECK_EQ(ratelimiter_n_entries(r), 400);
	CHECK_EQ(ratelimiter_collect(r, START + 10 * S), UINT64_MAX);
	CHECK_EQ(ratelimiter_memory(r), 0);
	teardown();
}

static void clock_stands(void)
{
	setup();
	exhaust(v4(1, 1));
	for (unsigned i = 0; i < 1000; i++) {
		CHECK(!allow(v4(1, 1), START));
		ratelimiter_collect(r, START);
	}
	CHECK_EQ(ratelimiter_n_entries(r), 1);
	teardown();
	/* Even at zero. */
	setup();
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(allow(v4(1, 1), 0), i < 5);
	CHECK(allow(v4(1, 1), 50 * MS));
	teardown();
}

static void clock_jumps(void)
{
	setup();
	exhaust(v4(1, 1));
	/* Back: nothing is earned by it, and from there on it is earned as ever. */
	CHECK(!allow(v4(1, 1), START - 500 * S));
	CHECK(!allow(v4(1, 1), START - 500 * S + 49 * MS));
	CHECK(allow(v4(1, 1), START - 500 * S + 50 * MS));
	/* Forwards: a full bucket and no more. */
	CHECK(allow(v4(1, 1), START + 1000000 * S));
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(allow(v4(1, 1), START + 1000000 * S), i < 4);
	/* Back again while nobody asks: entries from the future do not stay for ever. */
	CHECK_EQ(ratelimiter_collect(r, START), START + S);
	ratelimiter_collect(r, START + S + 1);
	ratelimiter_collect(r, START + 3 * S);
	CHECK_EQ(ratelimiter_n_entries(r), 0);
	teardown();
}

static void no_memory(void)
{
	struct ratelimiter *none = NULL;

	fail_in = 1;
	CHECK_EQ(ratelimiter_new(seed, &none), -ENOMEM);
	CHECK(!none);
	setup();
	CHECK(allow(v4(0, 1), START));
	ratelimiter_collect(r, START + 2 * S);
	fail_in = 1;
	CHECK(!allow(v4(1, 1), START)); /* refused rather than unlimited */
	CHECK_EQ(ratelimiter_n_entries(r), 0);
	fail_in = 0;
	for (uint32_t i = 0; i < 1000; i++)
		CHECK(allow(v4(i, 1), START));
	/* No memory to grow, and none to move to a smaller table: those who are known are known still. */
	for (uint32_t i = 1000; i < 10000; i++) {
		fail_in = 1;
		allow(v4(i, 1), START);
	}
	fail_in = 0;
	CHECK(ratelimiter_n_entries(r) >= 1000 && ratelimiter_n_entries(r) < 2048);
	CHECK(allow(v4(1, 1), START + 900 * MS));
	fail_in = 1;
	CHECK(ratelimiter_collect(r, START + 1500 * MS) != UINT64_MAX);
	fail_in = 0;
	for (unsigned i = 0; i < 4; i++)
		CHECK(allow(v4(1, 1), START + 900 * MS));
	CHECK(!allow(v4(1, 1), START + 900 * MS));
	ratelimiter_collect(r, START + 1500 * MS);
	CHECK_EQ(ratelimiter_n_entries(r), 1);
	CHECK(!allow(v4(1, 1), START + 900 * MS));
	ratelimiter_free(r);
	ratelimiter_free(NULL);
}

/* Against a model of one bucket per source, with sources that come, go and collide. */
static void against_model(void)
{
	enum { N = 300 };
	static struct { uint64_t last; uint64_t tokens; bool known; } m[N];
	uint64_t state = 9, now = START, allowed = 0, refused = 0;

	setup();
	for (unsigned step = 0; step < 100000; step++) {
		uint64_t x = test_random(&state);
		unsigned i = (unsigned)((x >> 8) % (step / 5000 % 3 ? 20 : N));
		struct wg_addr src = i % 2 ? v4(i, (uint16_t)x) : v6(i, x, (uint16_t)x);
		bool want = true;

		now += (x >> 40) % (step / 10000 % 2 ? 4 * MS : 400000);
		if (m[i].known) {
			m[i].tokens = min(250 * MS, m[i].tokens + (now - m[i].last));
			want = m[i].tokens >= 50 * MS;
		} else {
			m[i].tokens = 250 * MS;
			m[i].known = true;
		}
		m[i].tokens -= want ? 50 * MS : 0;
		m[i].last = now;
		if (allow(src, now) != want)
			test_fail(__FILE__, __LINE__, "step %u source %u", step, i);
		allowed += want;
		refused += !want;
		/* Collecting changes nothing that anybody can see. */
		if ((x >> 20) % 500 == 0)
			ratelimiter_collect(r, now);
	}
	CHECK(allowed > 10000 && refused > 10000);
	teardown();
}

int main(void)
{
	test_run("five at once, then 20 a second [limiter-burst]", burst);
	test_run("a message costs 50 ms exactly, and nothing when refused [limiter-exact-cost]", exact_edge);
	test_run("nobody saves up more than five [limiter-burst]", no_more_than_full);
	test_run("whoever floods gets 20 a second in the long run [limiter-rate]", long_run);
	test_run("IPv4 counts by host, IPv6 by /64, no port counts [limiter-v4-32] [limiter-v6-64]", grouping);
	test_run("a full table refuses new sources and serves the known ones [limiter-bounded]", full);
	test_run("who is idle for more than a second is forgotten [limiter-collect]", collected);
	test_run("a flood that is refused is not idle [limiter-collect]", busy_is_not_idle);
	test_run("memory grows with the sources and shrinks with them [limiter-bounded]", memory);
	test_run("a clock that stands still earns nothing [limiter-rate]", clock_stands);
	test_run("a clock that jumps neither locks out nor lets through [limiter-rate]", clock_jumps);
	test_run("without memory new sources are refused, known ones kept [limiter-bounded]", no_memory);
	test_run("many sources agree with one bucket each [limiter-rate]", against_model);
	return test_done();
}
