/* Sessions from the first packet through whole days, with one and with two workers. */
#include "sim.h"

#include <errno.h>

static unsigned workers = 1;

static void first_packet(void)
{
	struct sim *s = sim_new(workers, 2, 1);

	sim_connect(s, 0, 1, false);
	CHECK_EQ(sim_send(s, 0, 1, 100), -EAGAIN);
	sim_settle(s);
	CHECK_EQ(s->hosts[1].n_delivered, 1);
	CHECK_EQ(s->hosts[1].last_len, 100);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_INITIATION, 0), 1);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_RESPONSE, 0), 1);
	CHECK_EQ(sim_count(s, 0, WG_MESSAGE_DATA, 0), 1);
	CHECK_EQ(sim_send(s, 1, 0, 64), 0);
	sim_settle(s);
	CHECK_EQ(s->hosts[0].n_delivered, 1);
	sim_free(s);
}

static void a_day(void)
{
	struct sim *s = sim_new(workers, 2, 2);
	unsigned sent = 0;

	sim_connect(s, 0, 1, true);
	for (unsigned t = 0; t < 86400; t += 7, sent += 2) {
		sim_send(s, 0, 1, 100);
		sim_settle(s);
		sim_send(s, 1, 0, 100);
		sim_advance(s, S(7));
	}
	CHECK_EQ(s->hosts[0].n_delivered + s->hosts[1].n_delivered, sent);
	CHECK(sim_count(s, 0, WG_MESSAGE_INITIATION, 0) >= 86400 / 128);
	CHECK(sim_count(s, 0, WG_MESSAGE_INITIATION, 0) <= 86400 / 120 + 1);
	CHECK_EQ(sim_count(s, 1, WG_MESSAGE_INITIATION, 0), 0);
	sim_free(s);
}

int main(void)
{
	for (workers = 1; workers <= 2; workers++) {
		test_note("%u worker(s)", workers);
		test_run("the first packet makes a session and arrives", first_packet);
		test_run("a day of traffic loses nothing and rekeys every two minutes", a_day);
	}
	return test_done();
}
