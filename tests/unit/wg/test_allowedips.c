#include "base/test.h"
#include "wg/allowedips.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

/* The linker sends every malloc() of ours here (--wrap): none succeeds while ${memory_is_gone}. */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
static bool memory_is_gone;

void *__wrap_malloc(size_t size)
{
	return memory_is_gone ? NULL : __real_malloc(size);
}

static struct reclaim r;
static struct allowedips t;
static struct allowedips_owner a, b, c, d, e, f, g, h;
static struct allowedips_owner *const owners[] = {&a, &b, &c, &d, &e, &f, &g, &h};
#define N_OWNERS array_size(owners)

static void setup(void)
{
	CHECK_EQ(reclaim_init(&r, 2), 0);
	allowedips_init(&t, &r);
	for (size_t i = 0; i < N_OWNERS; i++)
		allowedips_owner_init(owners[i]);
}

/* Nothing is left of it, in the trie or on the way to free(). */
static void teardown(void)
{
	for (size_t i = 0; i < N_OWNERS; i++)
		allowedips_remove_owner(&t, owners[i]);
	CHECK_EQ(allowedips_n_nodes(&t), 0);
	CHECK(!reclaim_poll(&r));
	allowedips_done(&t);
	reclaim_done(&r);
}

/* "10.0.0.0/8" or "fd00::/8" */
static int parse(const char *text, uint8_t addr[16], unsigned *cidr)
{
	char s[INET6_ADDRSTRLEN + 4];
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	char *slash;

	snprintf(s, sizeof(s), "%s", text);
	slash = strchr(s, '/');
	*cidr = slash ? (unsigned)atoi(slash + 1) : 0;
	if (slash)
		*slash = '\0';
	memset(addr, 0, 16);
	if (inet_pton(family, s, addr) != 1)
		abort();
	return family;
}

static int insert(const char *prefix, struct allowedips_owner *owner)
{
	uint8_t addr[16];
	unsigned cidr;
	int family = parse(prefix, addr, &cidr);

	return allowedips_insert(&t, family, addr, cidr, owner);
}

static void removal(const char *prefix, struct allowedips_owner *owner)
{
	uint8_t addr[16];
	unsigned cidr;
	int family = parse(prefix, addr, &cidr);

	allowedips_remove(&t, family, addr, cidr, owner);
}

static struct allowedips_owner *lookup(const char *address)
{
	uint8_t unaligned[17];
	unsigned cidr;
	int family = parse(address, unaligned + 1, &cidr);

	return family == AF_INET ? allowedips_lookup4(&t, unaligned + 1) :
				   allowedips_lookup6(&t, unaligned + 1);
}

/* "10.0.0.0/8 fd00::/8", in the order of the list. */
static const char *listing(const struct allowedips_owner *owner)
{
	static char text[4096];
	struct allowedips_node *n = NULL;
	uint8_t addr[16];
	unsigned cidr;
	int family;
	size_t len = 0;

	text[0] = '\0';
	while ((n = allowedips_next(owner, n, &family, addr, &cidr))) {
		char s[INET6_ADDRSTRLEN];

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s/%u", len ? " " : "",
			inet_ntop(family, addr, s, sizeof(s)), cidr);
	}
	return text;
}

/* ---- single cases ---- */

static void empty(void)
{
	setup();
	CHECK(!lookup("1.2.3.4"));
	CHECK(!lookup("::1"));
	CHECK_EQ(allowedips_n_nodes(&t), 0);
	CHECK(!allowedips_next(&a, NULL, NULL, NULL, NULL));
	allowedips_remove_owner(&t, &a);
	removal("1.2.3.4/32", &a);
	teardown();
}

static void longest(void)
{
	setup();
	insert("192.168.4.0/24", &a);
	insert("192.168.4.4/32", &b);
	insert("192.168.0.0/16", &c);
	insert("192.95.5.64/27", &d);
	insert("192.95.5.65/27", &c); /* host bits: the same prefix, moves */
	insert("0.0.0.0/0", &e);
	insert("64.15.112.0/20", &g);
	insert("64.15.123.211/25", &h);
	insert("10.0.0.0/25", &a);
	insert("10.0.0.128/25", &b);
	insert("10.1.0.0/30", &a);
	insert("10.1.0.4/30", &b);
	insert("10.1.0.8/29", &c);
	insert("10.1.0.16/29", &d);
	CHECK(lookup("192.168.4.20") == &a);
	CHECK(lookup("192.168.4.0") == &a);
	CHECK(lookup("192.168.4.255") == &a);
	CHECK(lookup("192.168.4.4") == &b);
	CHECK(lookup("192.168.200.182") == &c);
	CHECK(lookup("192.95.5.68") == &c);
	CHECK(lookup("192.95.5.96") == &e);
	CHECK(lookup("192.95.5.63") == &e);
	CHECK(lookup("64.15.116.26") == &g);
	CHECK(lookup("64.15.127.255") == &g);
	CHECK(lookup("64.15.128.0") == &e);
	CHECK(lookup("64.15.123.128") == &h);
	CHECK(lookup("64.15.123.127") == &g);
	CHECK(lookup("10.0.0.127") == &a);
	CHECK(lookup("10.0.0.128") == &b);
	CHECK(lookup("10.1.0.3") == &a);
	CHECK(lookup("10.1.0.6") == &b);
	CHECK(lookup("10.1.0.15") == &c);
	CHECK(lookup("10.1.0.20") == &d);
	CHECK(lookup("10.1.0.24") == &e);
	CHECK(lookup("0.0.0.0") == &e);
	CHECK(lookup("255.255.255.255") == &e);
	CHECK(!lookup("::"));
	CHECK(!lookup("c0a8:414::")); /* 192.168.4.20 as the start of an IPv6 address */
	removal("192.168.4.0/24", &a);
	CHECK(lookup("192.168.4.20") == &c);
	removal("192.168.0.0/16", &c);
	CHECK(lookup("192.168.4.20") == &e);
	CHECK(lookup("192.168.4.4") == &b);
	removal("0.0.0.0/0", &e);
	CHECK(!lookup("192.168.4.20"));
	teardown();
}

static void longest6(void)
{
	setup();
	insert("2607:5300:6006:b0::c05f:543/128", &d);
	insert("2607:5300:6006:b0::/64", &c);
	insert("::/0", &e);
	insert("::/1", &f);
	insert("2404:6800:4004:800::/64", &g);
	insert("2404:6800:4004:800:dead:beef:dead:beef/65", &h); /* the other half of it */
	insert("2404:6800:4004:800:dead:beef:dead:beef/128", &a);
	insert("2404:6800:4004:806::1006/127", &b);
	CHECK(lookup("2607:5300:6006:b0::c05f:543") == &d);
	CHECK(lookup("2607:5300:6006:b0::c02e:1ee") == &c);
	CHECK(lookup("2607:5300:6006:b1::") == &f);
	CHECK(lookup("8000::") == &e);
	CHECK(lookup("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == &e);
	CHECK(lookup("7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == &f);
	CHECK(lookup("2404:6800:4004:800:7fff::") == &g);
	CHECK(lookup("2404:6800:4004:800:8000::") == &h);
	CHECK(lookup("2404:6800:4004:800:dead:beef:dead:beef") == &a);
	CHECK(lookup("2404:6800:4004:800:dead:beef:dead:beee") == &h);
	CHECK(lookup("2404:6800:4004:806::1006") == &b);
	CHECK(lookup("2404:6800:4004:806::1007") == &b);
	CHECK(lookup("2404:6800:4004:806::1008") == &f);
	CHECK(!lookup("36.4.104.0")); /* the first bytes of 2404:6800:: */
	teardown();
}

static void moves(void)
{
	setup();
	CHECK_EQ(insert("10.0.0.0/8", &a), 0);
	CHECK_EQ(insert("10.1.0.0/16", &a), 0);
	CHECK_EQ(insert("fd00::/8", &a), 0);
	CHECK_EQ(insert("10.2.0.0/16", &b), 0);
	CHECK_STR(listing(&a), "10.0.0.0/8 10.1.0.0/16 fd00::/8");
	CHECK_EQ(insert("10.1.255.255/16", &a), 0); /* ours already: keeps its place */
	CHECK_STR(listing(&a), "10.0.0.0/8 10.1.0.0/16 fd00::/8");
	CHECK_EQ(insert("10.1.2.3/16", &b), 0);
	CHECK_STR(listing(&a), "10.0.0.0/8 fd00::/8");
	CHECK_STR(listing(&b), "10.2.0.0/16 10.1.0.0/16");
	CHECK(lookup("10.1.2.3") == &b);
	CHECK_EQ(insert("10.1.2.3/16", &a), 0); /* back again: at the end */
	CHECK_STR(listing(&a), "10.0.0.0/8 fd00::/8 10.1.0.0/16");
	CHECK_STR(listing(&b), "10.2.0.0/16");
	/* Without the old owner the prefix stays with the new one. */
	CHECK_EQ(insert("fd00::/8", &b), 0);
	allowedips_remove_owner(&t, &a);
	CHECK(lookup("fd12::1") == &b);
	CHECK(!lookup("10.1.2.3"));
	CHECK(lookup("10.2.2.3") == &b);
	CHECK_STR(listing(&a), "");
	teardown();
}

static void order(void)
{
	setup();
	CHECK_EQ(insert("192.168.0.0/16", &a), 0);
	CHECK_EQ(insert("fd00:2::/32", &a), 0);
	CHECK_EQ(insert("10.255.255.255/8", &a), 0);
	CHECK_EQ(insert("0.0.0.0/0", &a), 0);
	CHECK_EQ(insert("fd00:1:ffff::/32", &a), 0);
	CHECK_EQ(insert("1.2.3.4/32", &a), 0);
	CHECK_EQ(insert("::/0", &a), 0);
	CHECK_STR(listing(&a),
		"192.168.0.0/16 fd00:2::/32 10.0.0.0/8 0.0.0.0/0 fd00:1::/32 1.2.3.4/32 ::/0");
	removal("0.0.0.0/0", &a);
	CHECK_EQ(insert("0.0.0.0/0", &a), 0);
	CHECK_STR(listing(&a),
		"192.168.0.0/16 fd00:2::/32 10.0.0.0/8 fd00:1::/32 1.2.3.4/32 ::/0 0.0.0.0/0");
	teardown();
}

static void foreign_removal(void)
{
	setup();
	insert("10.0.0.0/8", &a);
	insert("10.128.0.0/9", &a);
	insert("10.0.0.0/9", &b);
	removal("10.0.0.0/8", &b);	/* another's */
	removal("10.0.0.0/10", &a);	/* not there */
	removal("10.0.0.0/7", &a);
	removal("0.0.0.0/0", &a);
	removal("10.0.0.1/32", &a);
	removal("::/8", &a);
	allowedips_remove(&t, AF_INET, (uint8_t[4]){10}, 33, &a);
	allowedips_remove(&t, AF_UNIX, (uint8_t[16]){10}, 8, &a);
	CHECK_STR(listing(&a), "10.0.0.0/8 10.128.0.0/9");
	CHECK(lookup("10.200.0.1") == &a);
	removal("10.255.1.2/9", &a); /* host bits do not matter */
	CHECK_STR(listing(&a), "10.0.0.0/8");
	removal("10.0.0.0/8", &a);
	CHECK(!lookup("10.200.0.1"));
	CHECK(lookup("10.2.0.1") == &b);
	/* A node that only parts its children is nobody's to remove. */
	insert("10.64.0.0/11", &b);
	insert("11.0.0.0/11", &b);
	removal("10.0.0.0/7", &b);
	removal("10.0.0.0/7", NULL);
	CHECK(lookup("11.0.0.1") == &b);
	teardown();
}

static void bad_arguments(void)
{
	uint8_t addr[16] = {1};

	setup();
	CHECK_EQ(allowedips_insert(&t, AF_INET, addr, 33, &a), -EINVAL);
	CHECK_EQ(allowedips_insert(&t, AF_INET, addr, 128, &a), -EINVAL);
	CHECK_EQ(allowedips_insert(&t, AF_INET, addr, 255, &a), -EINVAL);
	CHECK_EQ(allowedips_insert(&t, AF_INET, addr, 256, &a), -EINVAL);
	CHECK_EQ(allowedips_insert(&t, AF_INET, addr, UINT32_MAX, &a), -EINVAL);
	CHECK_EQ(allowedips_insert(&t, AF_INET6, addr, 129, &a), -EINVAL);
	CHECK_EQ(allowedips_insert(&t, AF_INET6, addr, 256 + 64, &a), -EINVAL);
	CHECK_EQ(allowedips_insert(&t, 0, addr, 8, &a), -EINVAL);
	CHECK_EQ(allowedips_insert(&t, AF_UNIX, addr, 8, &a), -EINVAL);
	CHECK_EQ(allowedips_n_nodes(&t), 0);
	CHECK_STR(listing(&a), "");
	teardown();
}

static void intermediate_nodes(void)
{
	setup();
	insert("10.0.0.1/32", &a);
	CHECK_EQ(allowedips_n_nodes(&t), 1);
	insert("10.0.0.2/32", &b);
	CHECK_EQ(allowedips_n_nodes(&t), 3);
	insert("10.0.0.3/32", &b);
	CHECK_EQ(allowedips_n_nodes(&t), 5);
	removal("10.0.0.3/32", &b);
	CHECK_EQ(allowedips_n_nodes(&t), 3);
	insert("10.0.0.0/30", &c); /* where they part */
	CHECK_EQ(allowedips_n_nodes(&t), 3);
	removal("10.0.0.0/30", &c);
	CHECK_EQ(allowedips_n_nodes(&t), 3);
	CHECK(lookup("10.0.0.1") == &a && lookup("10.0.0.2") == &b && !lookup("10.0.0.3"));
	insert("10.0.0.0/8", &c);
	CHECK_EQ(allowedips_n_nodes(&t), 4);
	allowedips_remove_owner(&t, &b);
	CHECK_EQ(allowedips_n_nodes(&t), 2);
	allowedips_remove_owner(&t, &c);
	CHECK_EQ(allowedips_n_nodes(&t), 1);
	teardown();
}

static void every_length(void)
{
	uint8_t addr[16];

	memset(addr, 0xa5, sizeof(addr));
	setup();
	/* One on top of another, from the longest up and then from the shortest down. */
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i <= 128; i++) {
			unsigned cidr = pass ? i : 128 - i;

			if (cidr <= 32)
				CHECK_EQ(allowedips_insert(&t, AF_INET, addr, cidr, owners[cidr % 8]), 0);
			CHECK_EQ(allowedips_insert(&t, AF_INET6, addr, cidr, owners[cidr % 8]), 0);
		}
		CHECK_EQ(allowedips_n_nodes(&t), 33 + 129);
		/* An address that agrees in exactly ${n} bits. */
		for (unsigned n = 0; n <= 128; n++) {
			uint8_t other[16];

			memcpy(other, addr, sizeof(other));
			if (n < 128)
				other[n / 8] ^= (uint8_t)(0x80 >> n % 8);
			if (n < 32)
				CHECK(allowedips_lookup4(&t, other) == owners[n % 8]);
			CHECK(allowedips_lookup6(&t, other) == owners[n % 8]);
		}
		CHECK(allowedips_lookup4(&t, addr) == owners[32 % 8]);
		for (size_t i = 0; i < N_OWNERS; i++)
			allowedips_remove_owner(&t, owners[(i * 5) % N_OWNERS]);
		CHECK_EQ(allowedips_n_nodes(&t), 0);
	}
	teardown();
}

static int insert_host(unsigned i, struct allowedips_owner *owner)
{
	return allowedips_insert(&t, AF_INET, (uint8_t[4]){11, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i},
		32, owner);
}

static struct allowedips_owner *lookup_host(unsigned i)
{
	return allowedips_lookup4(&t, (uint8_t[4]){11, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i});
}

/*
 * Memory comes in blocks.  Each host takes a node for itself and one for where it parts from another:
 * with an even number of nodes before them the last one fails at one of the two, with an odd number at
 * the other.
 */
static void no_memory_after(unsigned n_before)
{
	unsigned n = 0;
	size_t nodes;

	setup();
	for (unsigned i = 0; i < n_before; i++)
		CHECK_EQ(allowedips_insert(&t, AF_INET, (uint8_t[4]){11}, 8 + i, &a), 0);
	memory_is_gone = true;
	while (n < 1000000 && !insert_host(n, &b))
		n++;
	CHECK_EQ(insert_host(n, &b), -ENOMEM);
	nodes = allowedips_n_nodes(&t);
	CHECK_EQ(allowedips_insert(&t, AF_INET, (uint8_t[4]){11}, 8, &c), 0); /* needs none */
	CHECK_EQ(allowedips_insert(&t, AF_INET, (uint8_t[4]){11}, 8, &a), 0);
	CHECK_EQ(allowedips_n_nodes(&t), nodes);
	for (unsigned i = 0; i < n; i++)
		CHECK(lookup_host(i) == &b);
	CHECK(lookup_host(n) == &a);
	allowedips_remove_owner(&t, &a); /* cannot fail */
	CHECK(!lookup_host(n));
	memory_is_gone = false;
	CHECK_EQ(insert_host(n, &b), 0);
	CHECK(lookup_host(n) == &b);
	allowedips_remove_owner(&t, &b);
	CHECK_EQ(allowedips_n_nodes(&t), 0);
	teardown();
}

static void no_memory(void)
{
	setup();
	memory_is_gone = true;
	CHECK_EQ(insert("10.0.0.0/8", &a), -ENOMEM);
	CHECK_EQ(insert("fd00::/8", &a), -ENOMEM);
	CHECK_EQ(allowedips_n_nodes(&t), 0);
	CHECK_STR(listing(&a), "");
	memory_is_gone = false;
	CHECK_EQ(insert("10.0.0.0/8", &a), 0);
	teardown();
	no_memory_after(1);
	no_memory_after(2);
}

/* ---- many ---- */

static void big_peer(void)
{
	size_t n = 0;
	unsigned cidr;
	uint8_t addr[16];
	struct allowedips_node *at = NULL;

	setup();
	/* 255 x 512 = 130,560 host addresses for one owner, in an order that is not the trie's. */
	for (unsigned i = 0; i < 130560; i++) {
		unsigned x = (unsigned)(i * 7919ull % 130560);
		uint8_t v4[4] = {10, (uint8_t)(x >> 16), (uint8_t)(x >> 8), (uint8_t)x};

		if (allowedips_insert(&t, AF_INET, v4, 32, &a) < 0)
			test_fail(__FILE__, __LINE__, "insert %u", i);
	}
	CHECK_EQ(allowedips_n_nodes(&t), 2 * 130560 - 1);
	while ((at = allowedips_next(&a, at, NULL, addr, &cidr))) {
		unsigned x = (unsigned)(n * 7919ull % 130560);

		if (cidr != 32 || addr[3] != (uint8_t)x || allowedips_lookup4(&t, addr) != &a)
			test_fail(__FILE__, __LINE__, "entry %zu", n);
		n++;
	}
	CHECK_EQ(n, 130560);
	insert("10.0.0.77/32", &b);
	allowedips_remove_owner(&t, &a);
	CHECK_EQ(allowedips_n_nodes(&t), 1);
	CHECK(lookup("10.0.0.77") == &b);
	CHECK(!lookup("10.0.0.78"));
	teardown();
}

static void many_peers(void)
{
	enum { N = 30000 };
	struct allowedips_owner *peers = calloc(N, sizeof(*peers));

	CHECK(peers != NULL);
	setup();
	for (unsigned i = 0; i < N; i++) {
		uint8_t v4[4] = {10, (uint8_t)(i >> 14), (uint8_t)(i >> 6), (uint8_t)(i << 2)};
		uint8_t v6[16] = {0xfd, [6] = (uint8_t)(i >> 8), (uint8_t)i};

		allowedips_owner_init(&peers[i]);
		if (allowedips_insert(&t, AF_INET, v4, 30, &peers[i]) < 0 ||
			allowedips_insert(&t, AF_INET6, v6, 64, &peers[i]) < 0)
			test_fail(__FILE__, __LINE__, "insert %u", i);
	}
	CHECK_EQ(allowedips_n_nodes(&t), 2 * (2 * N - 1));
	for (unsigned i = 0; i < N; i++) {
		unsigned x = (unsigned)(i * 7919ull % N);
		uint8_t v4[4] = {10, (uint8_t)(x >> 14), (uint8_t)(x >> 6), (uint8_t)(x << 2 | 3)};
		uint8_t v6[16] = {0xfd, [6] = (uint8_t)(x >> 8), (uint8_t)x, [15] = 1};

		if (allowedips_lookup4(&t, v4) != &peers[x] || allowedips_lookup6(&t, v6) != &peers[x])
			test_fail(__FILE__, __LINE__, "look up %u", x);
		allowedips_remove_owner(&t, &peers[x]);
		if (allowedips_lookup4(&t, v4) || allowedips_lookup6(&t, v6))
			test_fail(__FILE__, __LINE__, "%u is still there", x);
	}
	free(peers);
	teardown();
}

/* ---- against a list of prefixes that is searched from end to end ---- */

#define MODEL_MAX 400
struct entry {
	uint8_t				 addr[16];
	int				 family;
	unsigned			 cidr;
	struct allowedips_owner		*owner;
	uint64_t			 since;
};
static struct entry model[MODEL_MAX];
static size_t n_model;

static bool within(const uint8_t addr[16], const struct entry *m)
{
	for (unsigned i = 0; i < m->cidr; i++)
		if ((addr[i / 8] ^ m->addr[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

static struct allowedips_owner *model_lookup(int family, const uint8_t addr[16])
{
	const struct entry *best = NULL;

	for (size_t i = 0; i < n_model; i++)
		if (model[i].family == family && within(addr, &model[i]) &&
			(!best || model[i].cidr > best->cidr))
			best = &model[i];
	return best ? best->owner : NULL;
}

static struct entry *model_find(int family, const uint8_t addr[16], unsigned cidr)
{
	for (size_t i = 0; i < n_model; i++)
		if (model[i].family == family && model[i].cidr == cidr && within(addr, &model[i]))
			return &model[i];
	return NULL;
}

static void model_check_lists(void)
{
	for (size_t i = 0; i < N_OWNERS; i++) {
		struct allowedips_node *n = NULL;
		uint64_t last = 0;
		size_t have = 0, want = 0;
		uint8_t addr[16];
		unsigned cidr;
		int family;

		while ((n = allowedips_next(owners[i], n, &family, addr, &cidr))) {
			const struct entry *m = model_find(family, addr, cidr);

			if (!m || m->owner != owners[i] || m->since <= last)
				test_fail(__FILE__, __LINE__, "list of owner %zu at %zu", i, have);
			for (unsigned bit = cidr; bit < 128; bit++)
				if (addr[bit / 8] & 0x80 >> bit % 8)
					test_fail(__FILE__, __LINE__, "host bits in the list");
			last = m->since;
			have++;
		}
		for (size_t j = 0; j < n_model; j++)
			want += model[j].owner == owners[i];
		CHECK_EQ(have, want);
	}
}

/* Addresses that like to agree in their first bits. */
static void random_addr(uint64_t *seed, int family, uint8_t addr[16])
{
	static const uint8_t bases[4][16] = {{0}, {10, 77, 1, 2}, {10, 77, 1, 3, 9, 9, 9, 9, 9, 9},
		{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
	uint64_t x = test_random(seed);
	unsigned bits = family == AF_INET ? 32 : 128;

	memset(addr, 0, 16);
	memcpy(addr, bases[x % 4], bits / 8);
	for (unsigned i = 0; i < (x >> 8) % 4; i++) {
		unsigned bit = (unsigned)(test_random(seed) >> 5) % bits;

		addr[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
	}
}

static void against_model(void)
{
	uint64_t seed = 77, clock = 0;
	size_t most = 0;

	setup();
	n_model = 0;
	for (unsigned step = 0; step < 40000; step++) {
		uint64_t x = test_random(&seed);
		int family = x & 1 ? AF_INET : AF_INET6;
		unsigned cidr = (unsigned)(x >> 8) % (family == AF_INET ? 33 : 129);
		struct allowedips_owner *owner = owners[(x >> 20) % N_OWNERS];
		/* Times of growth, and times of decay. */
		bool grow = (x >> 32) % 100 < (step / 2000 % 2 ? 35 : 80);
		struct entry *m;
		uint8_t addr[16];

		random_addr(&seed, family, addr);
		m = model_find(family, addr, cidr);
		if ((x >> 40) % 500 == 0) {
			allowedips_remove_owner(&t, owner);
			for (size_t i = n_model; i-- > 0;)
				if (model[i].owner == owner)
					model[i] = model[--n_model];
		} else if (grow && (m || n_model < MODEL_MAX)) {
			CHECK_EQ(allowedips_insert(&t, family, addr, cidr, owner), 0);
			if (!m) {
				m = &model[n_model++];
				*m = (struct entry){.family = family, .cidr = cidr};
				memcpy(m->addr, addr, 16);
			}
			if (m->owner != owner) {
				m->owner = owner;
				m->since = ++clock;
			}
		} else {
			if (n_model && (x >> 50) % 8) { /* one that is there */
				m = &model[(x >> 10) % n_model];
				family = m->family;
				cidr = m->cidr;
				memcpy(addr, m->addr, 16);
				if ((x >> 53) % 8)
					owner = m->owner;
			}
			allowedips_remove(&t, family, addr, cidr, owner);
			if (m && m->owner == owner)
				*m = model[--n_model];
		}
		most = max(most, n_model);
		for (unsigned i = 0; i < 6; i++) {
			family = i & 1 ? AF_INET : AF_INET6;
			random_addr(&seed, family, addr);
			if ((family == AF_INET ? allowedips_lookup4(&t, addr) :
						 allowedips_lookup6(&t, addr)) !=
				model_lookup(family, addr))
				test_fail(__FILE__, __LINE__, "step %u: wrong owner", step);
		}
		if (step % 64 == 0) {
			size_t nodes = allowedips_n_nodes(&t);

			model_check_lists();
			CHECK(nodes >= n_model && nodes <= 2 * n_model);
			reclaim_poll(&r);
		}
	}
	CHECK(most > 200);
	/* And all of it one by one. */
	while (n_model) {
		struct entry *m = &model[test_random(&seed) % n_model];

		allowedips_remove(&t, m->family, m->addr, m->cidr, m->owner);
		*m = model[--n_model];
		CHECK(allowedips_n_nodes(&t) <= 2 * n_model);
	}
	CHECK_EQ(allowedips_n_nodes(&t), 0);
	teardown();
}

/* ---- readers beside the writer ---- */

static atomic_uint started, stop, wrong;
static atomic_bool found[N_OWNERS];

/* The readers have met every state, which takes as long as it takes them to run. */
static bool all_found(void)
{
	for (unsigned i = 0; i < 6; i++)
		if (!atomic_load_explicit(&found[i], memory_order_relaxed))
			return false;
	return true;
}

/*
 * a: 0.0.0.0/0 and ::/0, for ever.  b and c: 10.1.0.0/16 and fd01::/16, moved to and fro.  d: 10.2.0.0/16 and fd02::/16, comes and goes.
 * e: everything around them.  f: a prefix below a forking node, for ever.
 */
static void *reader(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uint64_t seed = me + 1;

	atomic_fetch_add(&started, 1);
	reclaim_online(&r, me);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		uint64_t x = test_random(&seed);
		uint8_t low = (uint8_t)(x >> 8), lower = (uint8_t)(x >> 16);
		uint8_t v4[4][4] = {{10, 1, low, lower}, {10, 2, low, lower}, {10, 3, 7, 7}, {192, 0, 2, low}};
		uint8_t v6[4][16] = {{0xfd, 1, low, lower, [15] = low}, {0xfd, 2, low, lower, [15] = low},
			{0xfd, 3, 7, 7}, {0x20, 1, low, lower}};

		for (unsigned i = 0; i < 8; i++) {
			const struct allowedips_owner *o = i < 4 ? allowedips_lookup4(&t, v4[i]) :
								   allowedips_lookup6(&t, v6[i - 4]);
			bool ok = false;

			switch (i % 4) {
			case 0:
				ok = o == &b || o == &c;
				break;
			case 1:
				ok = o == &a || o == &d || o == &e;
				break;
			case 2:
				ok = o == &f;
				break;
			default:
				ok = o == &a;
			}
			if (!ok)
				atomic_fetch_add(&wrong, 1);
			for (unsigned j = 0; j < N_OWNERS; j++)
				if (o == owners[j])
					atomic_store_explicit(&found[j], true, memory_order_relaxed);
		}
		if (x % 16 == 0) {
			reclaim_offline(&r, me);
			if (x % 64 == 0)
				sched_yield();
			reclaim_online(&r, me);
		} else if (x % 4) {
			reclaim_quiescent(&r, me);
		}
	}
	reclaim_offline(&r, me);
	return NULL;
}

static void threads(void)
{
	static const char *const churn[] = {"10.0.0.0/8", "10.0.0.0/14", "10.0.0.0/15", "10.3.0.0/16",
		"10.3.7.0/24", "10.3.7.6/32", "10.3.7.8/29", "10.4.0.0/14", "10.128.0.0/9", "10.2.128.0/17",
		"11.0.0.0/8", "10.2.3.0/24", "128.0.0.0/2", "192.0.3.0/24", "192.0.0.0/23",
		"fd00::/8", "fd00::/14", "fd02:8000::/17", "fd03::/16", "fd03:707::/32", "fd03:706::/32",
		"fd03:707:8000::/34", "fd80::/9", "fe00::/7", "2002::/16", "2000::/16", "4000::/2"};
	bool there[array_size(churn)] = {false}, d_there = false;
	uint64_t seed = 5;
	pthread_t th[2];

	setup();
	insert("0.0.0.0/0", &a);
	insert("::/0", &a);
	insert("10.1.0.0/16", &b);
	insert("fd01::/16", &b);
	insert("10.3.7.7/32", &f);
	insert("fd03:707::/40", &f);
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&th[i], NULL, reader, (void *)(uintptr_t)i), 0);
	while (atomic_load(&started) < 2)
		sched_yield();
	for (unsigned step = 0; step < 120000 || !all_found(); step++) {
		uint64_t x = test_random(&seed);
		size_t i = (x >> 8) % array_size(churn);

		switch (x % 8) {
		case 0:
			insert("10.1.0.0/16", x & 16 ? &b : &c);
			break;
		case 1:
			insert("fd01::/16", x & 16 ? &b : &c);
			break;
		case 2:
			if (d_there) {
				removal("10.2.0.0/16", &d);
				removal("fd02::/16", &d);
			} else {
				insert("10.2.0.0/16", &d);
				insert("fd02::/16", &d);
			}
			d_there = !d_there;
			break;
		default:
			if (there[i])
				removal(churn[i], &e);
			else
				insert(churn[i], &e);
			there[i] = !there[i];
		}
		if (x >> 40 == 0 || (x >> 32) % 2000 == 0) {
			allowedips_remove_owner(&t, &e);
			memset(there, 0, sizeof(there));
		}
		if ((x >> 24) % 4 == 0)
			reclaim_poll(&r);
		if (step % 512 == 0)
			sched_yield();
	}
	while (reclaim_poll(&r))
		sched_yield();
	atomic_store(&stop, 1);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
	CHECK_EQ(atomic_load(&wrong), 0);
	teardown();
}

int main(void)
{
	test_run("an empty table holds nobody [trie-longest]", empty);
	test_run("the longest IPv4 prefix wins [trie-longest]", longest);
	test_run("the longest IPv6 prefix wins, /0 to /128 [trie-longest] [trie-families] [trie-default]", longest6);
	test_run("one prefix of each length, one in another, parts at the right bit [trie-longest]",
		every_length);
	test_run("a prefix that exists moves to its new owner [trie-move-prefix]", moves);
	test_run("an owner's prefixes are listed as they came, masked [trie-order] [trie-mask]", order);
	test_run("only the owner's exact prefix is removed [trie-remove-exact]", foreign_removal);
	test_run("nodes that serve nobody go [trie-remove-peer]", intermediate_nodes);
	test_run("a wrong family or length is refused [trie-bad-cidr]", bad_arguments);
	test_run("without memory nothing is changed [trie-memory]", no_memory);
	test_run("130,560 prefixes of one owner come and go [trie-many-prefixes]", big_peer);
	test_run("30,000 owners come and go [trie-many-peers]", many_peers);
	test_run("random changes agree with a search of the whole list [trie-longest]",
		against_model);
	test_run("readers beside the writer see the old owner or the new one, never none "
		 "[trie-readers]", threads);
	return test_done();
}
