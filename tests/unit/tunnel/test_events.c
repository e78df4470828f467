/* What is kept of events, told by hand. */
#include "tunnel/events.h"

#include "base/test.h"

static struct events events;

static void tell(enum wg_event event, enum wg_drop drop)
{
	events.tap.event(events.tap.arg, &(struct wg_tap_event){.event = event, .drop = drop});
}

static void in_order(void)
{
	events_init(&events);
	for (int i = 0; i < 3 * EVENTS_KEPT; i++)
		tell(WG_EVENT_REFUSED, (enum wg_drop)(1 + i % 20));
	CHECK_EQ(events.total, 3 * EVENTS_KEPT);
	for (uint64_t i = events.total - EVENTS_KEPT; i < events.total; i++) {
		const struct event *e = &events.kept[i % EVENTS_KEPT];

		CHECK(e->event == WG_EVENT_REFUSED && e->drop == 1 + i % 20 && e->n == 1);
		CHECK(e->real_ns && !e->has_peer && !e->at.family);
	}
}

static void repeated(void)
{
	struct wg_endpoint at = {.dst = wg_addr_v4("\xc0\0\2\1", 5)};

	events_init(&events);
	tell(WG_EVENT_UP, WG_DROP_NONE);
	for (int i = 0; i < 100000; i++) {
		tell(WG_EVENT_REFUSED, WG_DROP_BAD_MAC1);
		tell(WG_EVENT_REFUSED, WG_DROP_OLD_TIMESTAMP);
		tell(WG_EVENT_COOKIE_SENT, WG_DROP_COOKIE_SENT);
	}
	CHECK_EQ(events.total, 4);
	CHECK_EQ(events.kept[0].event, WG_EVENT_UP);
	CHECK_EQ(events.kept[0].n, 1);
	CHECK_EQ(events.kept[1].n, 100000);
	CHECK_EQ(events.kept[2].n, 100000);
	/* The address is the last one's. */
	events.tap.event(events.tap.arg,
		&(struct wg_tap_event){
			.event = WG_EVENT_REFUSED, .drop = WG_DROP_BAD_MAC1, .at = &at});
	CHECK_EQ(events.kept[1].n, 100001);
	CHECK(wg_addr_equal(&events.kept[1].at, &at.dst));
}

int main(void)
{
	test_run("the last 256 are kept in order [events-kept]", in_order);
	test_run("a flood of equal ones takes a place each and pushes nothing out [events-kept]",
		repeated);
	return test_done();
}
