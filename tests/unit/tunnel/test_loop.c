#include "tunnel/loop.h"

#include "base/test.h"

#include <errno.h>
#include <sys/eventfd.h>

static struct loop *loop;
static struct ear {
	struct loop_source	 s;
	unsigned		 heard;
	struct ear		*removes;	/* in its callback, or NULL */
	bool			 frees;		/* and makes it unusable */
	bool			 leaves;
} ears[40];

static void ready(struct loop_source *s, uint32_t events)
{
	struct ear *e = container_of(s, struct ear, s);
	uint64_t v;

	e->heard++;
	if (e->leaves)
		loop_leave(loop);
	if (events & EPOLLIN)
		(void)!read(s->fd, &v, sizeof(v));
	if (e->removes) {
		loop_remove(loop, &e->removes->s);
		if (e->frees) {
			close(e->removes->s.fd);
			e->removes->s = (struct loop_source){.fd = -1};
		}
	}
}

static void up(unsigned n)
{
	loop_free(loop);
	CHECK_EQ(loop_new(&loop), 0);
	for (unsigned i = 0; i < n; i++) {
		if (ears[i].s.fd > 0)
			close(ears[i].s.fd);
		ears[i] = (struct ear){.s = {.fd = eventfd(0, EFD_NONBLOCK), .ready = ready}};
		CHECK_EQ(loop_add(loop, &ears[i].s, EPOLLIN), 0);
	}
}

static void ring(unsigned i)
{
	uint64_t one = 1;

	CHECK_EQ(write(ears[i].s.fd, &one, 8), 8);
}

static void calls_what_is_ready(void)
{
	up(3);
	CHECK_EQ(loop_wait(loop, 0), 0);
	ring(1);
	CHECK_EQ(loop_wait(loop, -1), 1);
	CHECK_EQ(ears[0].heard + ears[2].heard, 0);
	CHECK_EQ(ears[1].heard, 1);
	CHECK_EQ(loop_add(loop, &ears[1].s, EPOLLIN), -EEXIST);
}

/* The rest is heard the next time, whichever came first. */
static void leave(void)
{
	up(3);
	for (unsigned i = 0; i < 3; i++) {
		ears[i].leaves = true;
		ring(i);
	}
	for (unsigned n = 1; n <= 3; n++) {
		CHECK_EQ(loop_wait(loop, 0), 1);
		CHECK_EQ(ears[0].heard + ears[1].heard + ears[2].heard, n);
	}
	CHECK_EQ(loop_wait(loop, 0), 0);
}

static void modify(void)
{
	up(1);
	ring(0);
	CHECK_EQ(loop_modify(loop, &ears[0].s, 0), 0);
	CHECK_EQ(loop_wait(loop, 0), 0);
	CHECK_EQ(loop_modify(loop, &ears[0].s, EPOLLOUT), 0);
	CHECK_EQ(loop_wait(loop, 0), 1);
}

static void remove_other(void)
{
	/* Whichever comes first takes the other away, which must not be called: neither order is promised. */
	up(2);
	ears[0].removes = &ears[1];
	ears[1].removes = &ears[0];
	ears[0].frees = ears[1].frees = true;
	ring(0);
	ring(1);
	CHECK_EQ(loop_wait(loop, 0), 1);
	CHECK_EQ(ears[0].heard + ears[1].heard, 1);
	CHECK_EQ(loop_wait(loop, 0), 0);
}

static void remove_self(void)
{
	up(2);
	ears[0].removes = &ears[0];
	ring(0);
	ring(1);
	CHECK_EQ(loop_wait(loop, 0), 2);
	ring(0);
	CHECK_EQ(loop_wait(loop, 0), 0);
	CHECK_EQ(loop_add(loop, &ears[0].s, EPOLLIN), 0);
	CHECK_EQ(loop_wait(loop, 0), 1);
}

static void more_than_a_batch(void)
{
	unsigned calls = 0;

	up(40);
	for (unsigned i = 0; i < 40; i++)
		ring(i);
	for (int i = 0; i < 4; i++)
		calls += (unsigned)loop_wait(loop, 0);
	CHECK_EQ(calls, 40);
	for (unsigned i = 0; i < 40; i++)
		CHECK_EQ(ears[i].heard, 1);
}

int main(void)
{
	test_run("only what is ready is called [loop]", calls_what_is_ready);
	test_run("who leaves has what is ready besides heard the next time [loop-leave]", leave);
	test_run("other events can be waited for [loop]", modify);
	test_run("a source removed and freed by another one's callback is not called [loop-remove]", remove_other);
	test_run("a source may remove itself and come back [loop-remove]", remove_self);
	test_run("more sources than one batch are all served [loop]", more_than_a_batch);
	loop_free(loop);
	return test_done();
}
