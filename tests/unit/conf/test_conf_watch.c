#include "conf/watch.h"

#include "base/test.h"

#include <arpa/inet.h>
#include <stdio.h>

static struct watch_peer p;
static struct running_peer have;
static uint64_t now_ms, wall_s;

static void begin(const char *endpoint)
{
	p = (struct watch_peer){.row = {.endpoint = {.host = "name", .port = 9, .is_name = true}}};
	have = (struct running_peer){.tx_bytes = 0};
	snprintf(have.endpoint, sizeof(have.endpoint), "%s", endpoint);
	now_ms = 1000000;
	wall_s = 1700000000;
}

/* Time passes, in which the peer sends so much. */
static enum watch_action after(uint64_t ms, unsigned sent)
{
	now_ms += ms;
	wall_s += ms / 1000;
	have.tx_bytes += sent;
	return watch_look(&p, now_ms, wall_s, &have);
}

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in *v4 = (void *)&a;
	struct sockaddr_in6 *v6 = (void *)&a;

	if (strchr(text, ':')) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(9);
		CHECK_EQ(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
	} else {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(9);
		CHECK_EQ(inet_pton(AF_INET, text, &v4->sin_addr), 1);
	}
	return a;
}

static enum watch_action resolved(const char *a, const char *b, const char *c)
{
	struct sockaddr_storage list[3] = {0};
	size_t n = 0;

	if (a)
		list[n++] = address(a);
	if (b)
		list[n++] = address(b);
	if (c)
		list[n++] = address(c);
	return watch_resolved(&p, now_ms, &have, list, n);
}

/* Set what is to be set, as the daemon shows it. */
static const char *set_now(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(100);

	text_put_address(&p.addresses[p.at], &b);
	snprintf(have.endpoint, sizeof(have.endpoint), "%s", buf_str(&b));
	return have.endpoint;
}

static void both_families(void)
{
	begin("[fd00::1]:9");
	CHECK_EQ(after(0, 0), WATCH_NOTHING);
	CHECK_EQ(after(60000, 0), WATCH_NOTHING); /* it wants nothing */
	CHECK_EQ(after(2000, 148), WATCH_NOTHING);
	CHECK_EQ(after(2000, 0), WATCH_NOTHING);
	CHECK_EQ(after(4000, 148), WATCH_RESOLVE);
	CHECK_EQ(resolved("fd00::1", "192.0.2.1", NULL), WATCH_SET);
	CHECK_STR(set_now(), "192.0.2.1:9"); /* the other one, for that was tried */
	CHECK_EQ(after(2000, 148), WATCH_NOTHING);
	have.handshake_s = wall_s;
	CHECK_EQ(after(2000, 148), WATCH_NOTHING);
	CHECK_EQ(after(100000, 100000), WATCH_NOTHING);
	CHECK(!p.seeking);
}

static void silence(void)
{
	begin("192.0.2.1:9");
	have.handshake_s = wall_s;
	CHECK_EQ(after(0, 0), WATCH_NOTHING);
	CHECK_EQ(after(179000, 1000), WATCH_NOTHING);
	CHECK_EQ(after(10000, 0), WATCH_NOTHING); /* silent, and wants nothing */
	CHECK_EQ(after(10000, 148), WATCH_RESOLVE);
	CHECK_EQ(resolved("192.0.2.2", "fd00::2", NULL), WATCH_SET);
	CHECK_STR(set_now(), "192.0.2.2:9");
	CHECK_EQ(after(WATCH_TRY_MS - 1, 148), WATCH_NOTHING);
	CHECK_EQ(after(1, 0), WATCH_SET);
	CHECK_STR(set_now(), "[fd00::2]:9");
	/* All were tried: once more from the first, and in time the name is looked up again. */
	CHECK_EQ(after(WATCH_TRY_MS, 148), WATCH_SET);
	CHECK_STR(set_now(), "192.0.2.2:9");
	CHECK_EQ(after(WATCH_TRY_MS, 148), WATCH_SET);
	CHECK_EQ(after(WATCH_RESOLVE_MS, 148), WATCH_RESOLVE);
	CHECK_EQ(resolved("192.0.2.3", NULL, NULL), WATCH_SET);
	CHECK_STR(set_now(), "192.0.2.3:9");
}

static void no_servers(void)
{
	begin("");
	CHECK_EQ(after(0, 0), WATCH_RESOLVE); /* nothing can be sent to nowhere */
	CHECK_EQ(resolved(NULL, NULL, NULL), WATCH_NOTHING);
	CHECK_EQ(after(WATCH_TRY_MS - 1, 0), WATCH_NOTHING);
	CHECK_EQ(after(1, 0), WATCH_RESOLVE);
	CHECK_EQ(resolved("fd00::1", NULL, NULL), WATCH_SET);
	CHECK_STR(set_now(), "[fd00::1]:9");
	/* The servers are gone again: what was known is tried. */
	CHECK_EQ(after(WATCH_RESOLVE_MS, 148), WATCH_RESOLVE);
	CHECK_EQ(resolved(NULL, NULL, NULL), WATCH_SET);
	CHECK_STR(set_now(), "[fd00::1]:9");
}

static void clocks(void)
{
	begin("192.0.2.1:9");
	have.handshake_s = wall_s + 100000;
	CHECK_EQ(after(0, 0), WATCH_NOTHING);
	CHECK_EQ(after(10000, 148), WATCH_NOTHING);
	/* A daemon that started again counts from zero. */
	have.handshake_s = 0;
	have.tx_bytes = 0;
	CHECK_EQ(after(10000, 0), WATCH_NOTHING);
	CHECK_EQ(watch_look(&p, now_ms, wall_s, NULL), WATCH_NOTHING);
	have.tx_bytes = 1 << 20;
	CHECK_EQ(after(10000, 0), WATCH_NOTHING); /* sent, but nobody knows when */
	CHECK_EQ(after(10000, 0), WATCH_NOTHING);
	CHECK_EQ(after(10000, 148), WATCH_NOTHING);
	CHECK_EQ(after(10000, 148), WATCH_RESOLVE);
}

static void order(void)
{
	struct sockaddr_storage a[5] = {address("fd00::1"), address("fd00::2"), address("fd00::3"), address("192.0.2.1"), address("192.0.2.2")};
	static const char *const want[] = {"[fd00::1]:9", "192.0.2.1:9", "[fd00::2]:9", "192.0.2.2:9", "[fd00::3]:9"};

	resolve_order(a, array_size(a));
	for (size_t i = 0; i < array_size(a); i++) {
		cleanup(buf_done) struct buf b = buf_of_max(100);

		text_put_address(&a[i], &b);
		CHECK_STR(buf_str(&b), want[i]);
	}
}

int main(void)
{
	test_run("where the first address is silent the other family is tried, and who answers stays [conf-names]", both_families);
	test_run("a peer that fell silent is looked up again, and its addresses tried in turn [conf-names]", silence);
	test_run("a name that cannot be resolved is tried again [conf-names]", no_servers);
	test_run("clocks that jump and daemons that start again start no search [conf-names]", clocks);
	test_run("addresses are tried by turns of their families [conf-names]", order);
	return test_done();
}
