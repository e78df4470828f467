/* What is known of each piece of the fast path. */
#include "base/test.h"
#include "tunnel/fast_path.h"

#include <errno.h>
#include <stdio.h>

/* The piece's state, which is looked up by its bit. */
static struct fast_path_piece piece(enum fast_path which)
{
	struct fast_path_piece all[FAST_PATH_COUNT];

	fast_path_state(all);
	for (unsigned i = 0; i < FAST_PATH_COUNT; i++)
		if (all[i].piece == which)
			return all[i];
	test_fail(__FILE__, __LINE__, "no piece %d", which);
	return all[0];
}

static void at_first(void)
{
	struct fast_path_piece all[FAST_PATH_COUNT];

	fast_path_state(all);
	CHECK_EQ(fast_path_enum.n_members, FAST_PATH_COUNT);
	for (unsigned i = 0; i < FAST_PATH_COUNT; i++) {
		CHECK_EQ(all[i].piece, fast_path_enum.members[i].value);
		CHECK_EQ(all[i].why, FAST_PATH_WORKS);
		CHECK(fast_path_is_on(&all[i]) && !all[i].since_real_ns && !all[i].times);
	}
}

static void reasons(void)
{
	struct fast_path_piece before, now;

	fast_path_fell_back(FAST_PATH_UDP_GSO, FAST_PATH_PATHS, EIO);
	before = piece(FAST_PATH_UDP_GSO);
	CHECK(before.why == FAST_PATH_PATHS && before.error == EIO && before.times == 1);
	CHECK(fast_path_is_on(&before));
	CHECK(before.since_real_ns > 0 && before.last_real_ns == before.since_real_ns);

	fast_path_fell_back(FAST_PATH_UDP_GSO, FAST_PATH_PATHS, EMSGSIZE);
	now = piece(FAST_PATH_UDP_GSO);
	CHECK(now.error == EMSGSIZE && now.times == 2 && now.since_real_ns == before.since_real_ns);

	fast_path_fell_back(FAST_PATH_UDP_GSO | FAST_PATH_UDP_GRO, FAST_PATH_KERNEL, ENOPROTOOPT);
	now = piece(FAST_PATH_UDP_GSO);
	CHECK(now.why == FAST_PATH_KERNEL && now.error == ENOPROTOOPT && now.times == 1);
	CHECK(!fast_path_is_on(&now));
	now = piece(FAST_PATH_UDP_GRO);
	CHECK_EQ(now.why, FAST_PATH_KERNEL);

	/* A weaker one. */
	fast_path_fell_back(FAST_PATH_UDP_GSO, FAST_PATH_PATHS, EIO);
	now = piece(FAST_PATH_UDP_GSO);
	CHECK(now.why == FAST_PATH_KERNEL && now.error == ENOPROTOOPT && now.times == 1);
	now = piece(FAST_PATH_TUN_TSO);
	CHECK_EQ(now.why, FAST_PATH_WORKS);
}

static void again(void)
{
	struct fast_path_piece now;

	fast_path_fell_back(FAST_PATH_UDP_GSO, FAST_PATH_KERNEL, EPERM);
	fast_path_fell_back(FAST_PATH_UDP_GRO, FAST_PATH_EXCLUDED, 0);
	fast_path_tried_again(FAST_PATH_UDP_GSO | FAST_PATH_UDP_GRO);
	now = piece(FAST_PATH_UDP_GSO);
	CHECK(now.why == FAST_PATH_WORKS && !now.since_real_ns);
	now = piece(FAST_PATH_UDP_GRO);
	CHECK(now.why == FAST_PATH_EXCLUDED && !fast_path_is_on(&now));
}

int main(void)
{
	test_run("at first all pieces work [fast-path-state]", at_first);
	test_run("the strongest reason is kept with its time and number [fast-path-state]", reasons);
	test_run("what is made anew is judged anew, what is excluded stays so [fast-path-state]", again);
	return test_done();
}
