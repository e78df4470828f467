#include "base/test.h"
#include "wg/replay.h"

#define WINDOW WG_REPLAY_WINDOW
#define REJECT WG_REJECT_AFTER_MESSAGES

static struct replay_window w;

/* Counters that must all be taken, or all be refused. */
static void take(const uint64_t counters[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!replay_commit(&w, counters[i]))
			test_fail(__FILE__, __LINE__, "%" PRIu64 " was refused", counters[i]);
	test_checked();
}

static void refuse(const uint64_t counters[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (replay_commit(&w, counters[i]))
			test_fail(__FILE__, __LINE__, "%" PRIu64 " was taken", counters[i]);
	test_checked();
}

#define LIST(...) (const uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)
#define TAKE(...) take(LIST(__VA_ARGS__))
#define REFUSE(...) refuse(LIST(__VA_ARGS__))

static void in_order(void)
{
	replay_init(&w);
	for (uint64_t c = 0; c < 3 * WINDOW; c++) {
		CHECK(replay_commit(&w, c));
		CHECK(!replay_commit(&w, c));
	}
}

static void any_order_of_three(void)
{
	static const uint8_t order[6][3] = {
		{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	for (uint64_t from = 0; from < 200; from++)
		for (size_t i = 0; i < 6; i++) {
			replay_init(&w);
			for (size_t j = 0; j < 3; j++)
				TAKE(from + order[i][j]);
			REFUSE(from, from + 1, from + 2);
		}
}

static void backwards(void)
{
	replay_init(&w);
	/* From the first counter that leaves zero in the window, down to zero. */
	for (uint64_t c = WINDOW + 1; c-- > 0;)
		TAKE(c);
	for (uint64_t c = 0; c <= WINDOW; c++)
		REFUSE(c);
}

static void edge(void)
{
	/* Whatever the place in the ring. */
	for (uint64_t top = WINDOW; top < WINDOW + 3 * 64; top++) {
		replay_init(&w);
		TAKE(top, top - WINDOW);
		REFUSE(top, top - WINDOW);
		if (top > WINDOW)
			REFUSE(top - WINDOW - 1, 0);
		TAKE(top - 1, top - WINDOW + 1);
		/* One step on, the oldest falls out, and the next oldest is still known. */
		TAKE(top + 1);
		REFUSE(top - WINDOW, top - WINDOW + 1, top - 1, top, top + 1);
	}
}

static void behind(void)
{
	replay_init(&w);
	TAKE(100000);
	REFUSE(0, 1, 100000 - 8192, 100000 - 8191, 100000 - WINDOW - 1);
	TAKE(100000 - WINDOW);
}

static void jumps_by_window(void)
{
	/* After a jump of any of these lengths nothing old may pass for new, nor anything new for old. */
	static const uint64_t jumps[] = {1, 63, 64, 65, 127, 128, WINDOW - 1, WINDOW, WINDOW + 1, 8191,
		8192, 8193, 2 * 8192 - 1, 2 * 8192, 2 * 8192 + 1, 1 << 20, 1ULL << 32, 1ULL << 40};

	for (size_t i = 0; i < array_size(jumps); i++)
		for (uint64_t start = 0; start < 130; start += 13) {
			uint64_t top = start + 8192 + jumps[i];

			replay_init(&w);
			for (uint64_t c = start; c <= start + 8192; c++)
				TAKE(c);
			TAKE(top);
			for (uint64_t c = top; c-- > 0 && c + 8300 > top;) {
				bool fresh = top - c <= WINDOW && c > start + 8192;

				if (replay_commit(&w, c) != fresh)
					test_fail(__FILE__, __LINE__,
						"jump %" PRIu64 " from %" PRIu64 ": %" PRIu64, jumps[i],
						start + 8192, c);
			}
			REFUSE(start + 8192);
		}
}

static void limit(void)
{
	replay_init(&w);
	REFUSE(REJECT, REJECT + 1, UINT64_MAX - 1, UINT64_MAX);
	TAKE(0, REJECT - 1);
	REFUSE(REJECT - 1, REJECT, 0, UINT64_MAX);
	TAKE(REJECT - 2, REJECT - 1 - WINDOW);
	REFUSE(REJECT - 2, REJECT - 1 - WINDOW, REJECT - 2 - WINDOW);
}

static void refusal_changes_nothing(void)
{
	struct replay_window before;

	replay_init(&w);
	TAKE(5, 20000, 19999, 20000 - WINDOW);
	before = w;
	REFUSE(20000, 19999, 5, 6, 20000 - WINDOW - 1, REJECT, UINT64_MAX, 0);
	CHECK_MEM(&w, &before, sizeof(w));
}

/* The model: everything that was ever taken, and the greatest of it. */
#define MODEL (1 << 21)
static uint8_t taken[MODEL / 8];

static void against_model(void)
{
	uint64_t seed = 20, fresh = 0, old = 0;

	for (unsigned walk = 0; walk < 12; walk++) {
		uint64_t greatest = 0, base = walk & 1 ? REJECT - MODEL / 2 : test_random(&seed) >> 2;
		uint64_t at = 0;
		bool any = false;

		memset(taken, 0, sizeof(taken));
		replay_init(&w);
		for (unsigned step = 0; step < 60000; step++) {
			uint64_t r = test_random(&seed), c;
			bool want;

			switch (r % 64) {
			case 0: /* far ahead */
				at += (r >> 8) % (walk < 6 ? 9000 : 100);
				break;
			case 1: /* about the window's end */
				at = greatest > 8200 ? greatest - WINDOW + 40 - (r >> 8) % 80 : at;
				break;
			case 2: /* anywhere in it */
				at = greatest > 8200 ? greatest - (r >> 8) % 8200 : at;
				break;
			case 3:
				at = greatest;
				break;
			default: /* about here */
				at += (r >> 8) % 6;
				at -= min(at, (r >> 16) % 5);
				break;
			}
			if (at >= MODEL || at > UINT64_MAX - base)
				break;
			c = base + at;
			want = c < REJECT && (!any || at > greatest ||
				(greatest - at <= WINDOW && !(taken[at / 8] & 1 << at % 8)));
			if (replay_commit(&w, c) != want)
				test_fail(__FILE__, __LINE__, "walk %u step %u: %" PRIu64 ", greatest %" PRIu64
					", must be %s", walk, step, c, base + greatest, want ? "taken" : "refused");
			if (!want) {
				old++;
				continue;
			}
			fresh++;
			any = true;
			greatest = max(greatest, at);
			taken[at / 8] |= (uint8_t)(1 << at % 8);
		}
	}
	test_note("%" PRIu64 " taken, %" PRIu64 " refused", fresh, old);
	CHECK(fresh > 50000 && old > 50000);
}

/*
 * The sequences by which the Linux module tests its window, in this order, each with what it expects: a counter and whether it is taken.
 * There, too, the window is 8,128, and the limit is checked by the caller.
 */
static void published(void)
{
	static const uint64_t lim = WINDOW + 1;
	const struct {
		uint64_t counter;
		bool	 taken;
	} sequence[] = {
		{0, true}, {1, true}, {1, false}, {9, true}, {8, true}, {7, true}, {7, false},
		{lim, true}, {lim - 1, true}, {lim - 1, false}, {lim - 2, true}, {2, true},
		{2, false}, {lim + 16, true}, {3, false}, {lim + 16, false}, {lim * 4, true},
		{lim * 4 - (lim - 1), true}, {10, false}, {lim * 4 - lim, false},
		{lim * 4 - (lim + 1), false}, {lim * 4 - (lim - 2), true},
		{lim * 4 + 1 - lim, false}, {0, false}, {REJECT, false}, {REJECT - 1, true},
		{REJECT, false}, {REJECT - 1, false}, {REJECT - 2, true}, {REJECT + 1, false},
		{REJECT + 2, false}, {REJECT - 2, false}, {REJECT - 3, true}, {0, false},
	};

	replay_init(&w);
	for (size_t i = 0; i < sizeof(sequence) / sizeof(sequence[0]); i++)
		if (replay_commit(&w, sequence[i].counter) != sequence[i].taken)
			test_fail(__FILE__, __LINE__, "number %zu, counter %" PRIu64 ", must be %s", i + 1,
				sequence[i].counter, sequence[i].taken ? "taken" : "refused");

	replay_init(&w);
	for (uint64_t c = 1; c <= WINDOW; c++)
		TAKE(c);
	TAKE(0);
	REFUSE(0);

	replay_init(&w);
	for (uint64_t c = 2; c <= WINDOW + 1; c++)
		TAKE(c);
	TAKE(1);
	REFUSE(0);

	replay_init(&w);
	for (uint64_t c = WINDOW + 1; c-- > 0;)
		TAKE(c);

	replay_init(&w);
	for (uint64_t c = WINDOW + 2; c-- > 1;)
		TAKE(c);
	REFUSE(0);

	replay_init(&w);
	for (uint64_t c = WINDOW + 1; c-- > 1;)
		TAKE(c);
	TAKE(WINDOW + 1);
	REFUSE(0);

	replay_init(&w);
	for (uint64_t c = WINDOW + 1; c-- > 1;)
		TAKE(c);
	TAKE(0, WINDOW + 1);
}

int main(void)
{
	test_run("the sequences of the Linux module are judged as there [replay-vectors]", published);
	test_run("counters in order are taken once each [replay-window]", in_order);
	test_run("three counters are taken in any order, once each [replay-window]", any_order_of_three);
	test_run("a whole window may arrive backwards [replay-window]", backwards);
	test_run("the window reaches 8,128 behind the greatest, wherever in the ring [replay-window]", edge);
	test_run("a counter behind the window is refused though never seen [replay-window]", behind);
	test_run("a jump clears what it passes, whatever its length [replay-window]", jumps_by_window);
	test_run("the last counter before the limit is taken, the limit refused [rx-counter-limit]", limit);
	test_run("a refused counter leaves the window as it was [replay-window]", refusal_changes_nothing);
	test_run("random walks agree with a set of all seen counters [replay-window]", against_model);
	return test_done();
}
