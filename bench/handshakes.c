/*
 * bench/handshakes.c - many peers at once against one daemon, each with its own key and address.
 *
 *	handshakes keys N
 *	handshakes answered  NS ADDRESS PORT PUBLIC-KEY N WINDOW SECONDS [PID...]
 *	handshakes together  NS ADDRESS PORT PUBLIC-KEY N SECONDS
 *	handshakes flood     NS ADDRESS PORT PUBLIC-KEY N KIND RATE SECONDS
 *	handshakes possible  SECONDS
 *
 * keys: the public keys, in hex, to be configured as peers of the daemon.
 * answered: responses per second when WINDOW initiations are always under way, made beforehand.
 *	The window stays below the queue length from which a daemon sends cookies instead.  Each peer
 *	has had one answered before the time begins: with the first a daemon may compute what it keeps
 *	of a peer, a fourth derivation.
 * together: all begin at the same moment and follow the protocol (answer a cookie, try again after
 *	five seconds); the time until each has a session.
 * flood: at a rate, whether or not they are answered.  KIND: valid; broken (right mac1, which
 *	anybody can make who knows the public key, but what is encrypted is noise); forged (wrong
 *	mac1).  Prints "ready" and waits for a line of input.
 * possible: how often per second one core does the three X25519 derivations and makes the one key
 *	that no responder can do without.
 *
 * Peer i sends from 10.1.(1 + i / 250).(1 + i % 250), all of which NS must have as local.  Its key
 * is made of its number: anybody can compute it.  Prints JSON.
 */
#include "bench/net.h"

#include "wg/cookie.h"
#include "wg/noise.h"

#include <poll.h>

#define PORT_OURS 7003
#define BATCH 64
#define MADE_PER_S 16000 /* no daemon answers more on one core */
/* Silence for so long: what was under way is lost.  Sooner, it would only wait in the daemon. */
#define STALL_NS SECOND_NS
#define WARM_SECONDS 30.0
#define PEERS_MAX 32768
#define RETRY_NS (5 * SECOND_NS)
#define JITTER_NS 333000000ull

struct peer {
	struct x25519 *key, *ephemeral;
	uint8_t static_static[X25519_LEN];
	struct cookie_maker cookie;
	struct noise_state state; /* of the newest initiation */
	struct wg_initiation msg;
	uint64_t retry_ns, done_ns;
};

static struct {
	int fd;
	unsigned n;
	struct address to;
	uint64_t real_ns;
	uint8_t public[X25519_LEN]; /* the daemon's */
	struct aead *aead;
	struct peer *peers;
} g;

static struct x25519 *key_of(unsigned i, const char *what)
{
	uint8_t seed[4], private[HASH_LEN];
	struct x25519 *k;

	put_le32(seed, i);
	hash2(private, what, strlen(what), seed, sizeof(seed));
	if (x25519_new(private, &k) < 0)
		die("x25519_new");
	return k;
}

static void *allocate(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		die("calloc");
	return p;
}

static void print_hex(const uint8_t key[X25519_LEN])
{
	for (unsigned i = 0; i < X25519_LEN; i++)
		printf("%02x", key[i]);
	putchar('\n');
}

static void parse_key(const char *hex)
{
	for (unsigned i = 0; i < X25519_LEN; i++) {
		if (sscanf(hex + 2 * i, "%2hhx", &g.public[i]) != 1) {
			fprintf(stderr, "handshakes: the public key is 64 hexadecimal digits\n");
			exit(2);
		}
	}
}

/* NS ADDRESS PORT PUBLIC-KEY N */
static void begin(char *argv[])
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT_OURS)};
	int on = 1;

	g.to = address_of(argv[1], (uint16_t)atoi(argv[2]));
	parse_key(argv[3]);
	g.n = (unsigned)atoi(argv[4]);
	if (!g.n || g.n > PEERS_MAX) {
		fprintf(stderr, "handshakes: 1 to %d peers\n", PEERS_MAX);
		exit(2);
	}
	enter_netns(argv[0]);
	g.fd = udp_socket(AF_INET);
	if (bind(g.fd, (struct sockaddr *)&any, sizeof(any)) < 0 ||
		setsockopt(g.fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) < 0 ||
		fcntl(g.fd, F_SETFL, O_NONBLOCK) < 0)
		die("the generator's socket");
	g.real_ns = clock_read(CLOCK_REALTIME);
	if (aead_new(&g.aead) < 0)
		die("aead_new");
	g.peers = allocate(g.n, sizeof(*g.peers));
	for (unsigned i = 0; i < g.n; i++) {
		struct peer *p = &g.peers[i];

		p->key = key_of(i, "peer");
		p->ephemeral = key_of(i, "ephemeral");
		if (x25519_derive(p->key, g.public, p->static_static) < 0)
			die("x25519_derive");
		cookie_maker_init(&p->cookie, g.public);
	}
}

/*
 * The ${turn}-th initiation of a peer, later than the one before by the responder's reckoning.  Its
 * index says whose it is.
 */
static void make(unsigned i, unsigned turn, struct wg_initiation *ret)
{
	struct peer *p = &g.peers[i];
	struct noise_self self = {.aead = g.aead, .key = p->key};
	uint8_t timestamp[WG_TIMESTAMP_LEN];

	noise_timestamp(g.real_ns + (uint64_t)turn * 20000000, timestamp);
	memset(ret, 0, sizeof(*ret));
	if (noise_initiation_create(&self, g.public, p->static_static, p->ephemeral, timestamp,
		    turn << 16 | i, &p->state, ret) != WG_DROP_NONE)
		die("noise_initiation_create");
	cookie_add_macs(&p->cookie, now_ns(), ret, sizeof(*ret));
}

static struct wg_initiation *make_all(unsigned n)
{
	struct wg_initiation *all = allocate(n, sizeof(*all));

	for (unsigned i = 0; i < n; i++)
		make(i % g.n, i / g.n, &all[i]);
	return all;
}

/* ${n} messages of ${len} bytes, the first from peer ${first}, the others from the peers behind it.
 */
static void send_batch(const void *msgs, size_t len, unsigned n, unsigned first)
{
	struct {
		_Alignas(struct cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control[BATCH];
	struct mmsghdr m[BATCH];
	struct iovec iov[BATCH];
	unsigned at = 0;

	for (unsigned k = 0; k < n; k++) {
		unsigned i = (first + k) % g.n;
		struct in_pktinfo info = {
			.ipi_spec_dst.s_addr =
				htonl(10u << 24 | 1u << 16 | (1 + i / 250) << 8 | (1 + i % 250))};
		struct cmsghdr *c;

		iov[k] = (struct iovec){(uint8_t *)msgs + k * len, len};
		m[k] = (struct mmsghdr){.msg_hdr = {.msg_name = &g.to.sa,
						.msg_namelen = g.to.len,
						.msg_iov = &iov[k],
						.msg_iovlen = 1,
						.msg_control = control[k].bytes,
						.msg_controllen = sizeof(control[k].bytes)}};
		c = CMSG_FIRSTHDR(&m[k].msg_hdr);
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	}
	while (at < n) {
		int r = sendmmsg(g.fd, m + at, n - at, 0);

		if (r < 0 && errno != EINTR && errno != EAGAIN && errno != ENOBUFS)
			die("sendmmsg");
		if (r > 0)
			at += (unsigned)r;
	}
}

struct answers {
	unsigned n;
	uint8_t bytes[BATCH][256];
	size_t len[BATCH];
};

/* What has come; waits for it at most ${ms}. */
static void receive(struct answers *a, int ms)
{
	struct mmsghdr m[BATCH];
	struct iovec iov[BATCH];
	struct pollfd p = {.fd = g.fd, .events = POLLIN};
	int n;

	a->n = 0;
	if (ms && poll(&p, 1, ms) <= 0)
		return;
	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){a->bytes[i], sizeof(a->bytes[i])};
		m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
	}
	n = recvmmsg(g.fd, m, BATCH, 0, NULL);
	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
		die("recvmmsg");
	for (int i = 0; i < n; i++)
		a->len[i] = m[i].msg_len;
	a->n = n < 0 ? 0 : (unsigned)n;
}

/* What was made, and how far it was sent. */
struct supply {
	struct wg_initiation *all;
	unsigned n, sent;
};

struct tally {
	unsigned sent;
	unsigned long long answered, cookies, lost;
	uint64_t ns;
};

/* Keep ${window} initiations under way until ${end} of them are sent, or for so long; what is then still
 * under way counts as neither answered nor lost. */
static struct tally ask(struct supply *s, unsigned end, unsigned window, double seconds)
{
	struct tally t = {0};
	unsigned under_way = 0;
	uint64_t start, now, last;
	static struct answers a;

	start = now = last = now_ns();
	while (now - start < (uint64_t)(seconds * 1e9) && (s->sent < end || under_way)) {
		unsigned k = min(window - under_way, end - s->sent);

		k = min(k, (unsigned)BATCH);
		if (k) {
			send_batch(s->all + s->sent, sizeof(*s->all), k, s->sent % g.n);
			s->sent += k;
			t.sent += k;
			under_way += k;
		}
		receive(&a, 20);
		now = now_ns();
		for (unsigned i = 0; i < a.n; i++) {
			enum wg_message type = wg_message_check(a.bytes[i], a.len[i]);

			if (type != WG_MESSAGE_RESPONSE && type != WG_MESSAGE_COOKIE)
				continue;
			t.answered += type == WG_MESSAGE_RESPONSE;
			t.cookies += type == WG_MESSAGE_COOKIE;
			under_way -= under_way > 0;
			last = now;
		}
		if (now - last > STALL_NS) {
			t.lost += under_way;
			under_way = 0;
			last = now;
		}
	}
	t.ns = now - start;
	return t;
}

static int answered(int argc, char *argv[])
{
	unsigned window = (unsigned)atoi(argv[5]);
	double seconds = atof(argv[6]);
	struct supply s = {0};
	struct tally t;
	uint64_t cpu;

	begin(argv);
	window = min(max(window, 1u), 1024u);
	s.n = g.n + (unsigned)(MADE_PER_S * seconds);
	s.all = make_all(s.n);
	(void)ask(&s, g.n, window, WARM_SECONDS);
	cpu = cpu_ns(argc - 7, argv + 7);
	t = ask(&s, s.n, window, seconds);
	cpu = cpu_ns(argc - 7, argv + 7) - cpu;
	printf("{\"sent\": %u, \"answered\": %llu, \"cookies\": %llu, \"lost\": %llu, \"seconds\": "
	       "%.6f, "
	       "\"per_s\": %.1f, \"cpu_s\": %.6f}\n",
		t.sent, t.answered, t.cookies, t.lost, (double)t.ns / 1e9,
		(double)t.answered / ((double)t.ns / 1e9), (double)cpu / 1e9);
	free(s.all);
	return 0;
}

/* A response is believed when it decrypts; a peer that has one says so with a keepalive. */
static bool take_response(struct peer *p, const struct wg_response *msg)
{
	static const uint8_t no_psk[WG_KEY_LEN];
	struct noise_self self = {.aead = g.aead, .key = p->key};
	uint8_t keepalive[WG_KEEPALIVE_LEN] = {WG_MESSAGE_DATA};
	struct noise_keys keys;

	if (p->done_ns || noise_response_read(&self, &p->state, p->ephemeral, no_psk, msg, &keys) !=
				  WG_DROP_NONE)
		return false;
	memcpy(keepalive + 4, msg->sender, 4);
	aead_seal(g.aead, keys.send, 0, NULL, 0, "", 0, keepalive + sizeof(struct wg_data));
	send_batch(keepalive, sizeof(keepalive), 1, (unsigned)(p - g.peers));
	return true;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int together(char *argv[])
{
	uint64_t start, now, end, *took, seed = 1;
	unsigned n = 0, cookies = 0, tries = 0;
	static struct answers a;

	begin(argv);
	for (unsigned i = 0; i < g.n; i++)
		make(i, 0, &g.peers[i].msg);
	took = allocate(g.n, sizeof(*took));
	start = now = now_ns();
	end = start + (uint64_t)(atof(argv[5]) * 1e9);
	for (unsigned turn = 1; n < g.n && now < end;) {
		for (unsigned i = 0; i < g.n; i++) {
			struct peer *p = &g.peers[i];

			if (p->done_ns || p->retry_ns > now)
				continue;
			if (p->retry_ns) {
				turn = (unsigned)((now - start) / RETRY_NS);
				make(i, turn, &p->msg);
			}
			send_batch(&p->msg, sizeof(p->msg), 1, i);
			tries++;
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			p->retry_ns = now + RETRY_NS + (seed >> 33) % JITTER_NS;
			if (i % 32 == 31)
				now = now_ns();
		}
		receive(&a, 5);
		now = now_ns();
		for (unsigned k = 0; k < a.n; k++) {
			enum wg_message type = wg_message_check(a.bytes[k], a.len[k]);
			const struct wg_response *r = (const void *)a.bytes[k];
			const struct wg_cookie_reply *c = (const void *)a.bytes[k];
			unsigned i;

			if (type == WG_MESSAGE_RESPONSE) {
				i = get_le32(r->receiver) & 0xffff;
				if (i < g.n && take_response(&g.peers[i], r)) {
					g.peers[i].done_ns = now;
					took[n++] = now - start;
				}
			} else if (type == WG_MESSAGE_COOKIE) {
				i = get_le32(c->receiver) & 0xffff;
				if (i < g.n && !cookie_consume(&g.peers[i].cookie, now, c))
					cookies++;
			}
		}
	}
	qsort(took, n, sizeof(*took), compare);
	printf("{\"peers\": %u, \"sessions\": %u, \"tries\": %u, \"cookies\": %u, \"half_s\": "
	       "%.6f, \"all_s\": %.6f}\n",
		g.n, n, tries, cookies, n ? (double)took[n / 2] / 1e9 : 0,
		n == g.n ? (double)took[n - 1] / 1e9 : atof(argv[5]));
	free(took);
	return 0;
}

static int flood(char *argv[])
{
	double rate = atof(argv[6]), seconds = atof(argv[7]), forgiven = 0;
	unsigned total = (unsigned)(rate * seconds), sent = 0, n_made;
	unsigned long long n = 0, cookies = 0;
	struct wg_initiation *all;
	uint64_t start, now;
	static struct answers a;
	bool valid = !strcmp(argv[5], "valid"), forged = !strcmp(argv[5], "forged");

	if (!valid && !forged && strcmp(argv[5], "broken")) {
		fprintf(stderr, "handshakes: a flood is valid, broken or forged\n");
		return 2;
	}
	begin(argv);
	n_made = valid ? total : g.n; /* what is refused anyway may come again */
	all = make_all(n_made);
	for (unsigned i = 0; !valid && i < n_made; i++) {
		struct cookie_maker m;

		all[i].static_[0] ^= 1;
		cookie_maker_init(&m, g.public);
		cookie_add_macs(&m, 1, &all[i], sizeof(all[i]));
		all[i].macs.mac1[0] ^= forged;
	}
	puts("ready");
	fflush(stdout);
	while (getchar() != '\n' && !feof(stdin))
		;
	exact_sleeps();
	start = now = now_ns();
	while (sent < total && now - start < (uint64_t)(seconds * 1e9)) {
		double due = rate * (double)(now - start) / 1e9 - forgiven - sent;

		if (due > BATCH) {
			forgiven += due - BATCH;
			due = BATCH;
		}
		if (due >= 1) {
			unsigned at = sent % n_made, k = min((unsigned)due, total - sent);

			k = min(k, n_made - at);
			send_batch(all + at, sizeof(*all), k, at % g.n);
			sent += k;
		} else {
			sleep_until(now + 500000);
		}
		receive(&a, 0);
		now = now_ns();
		for (unsigned i = 0; i < a.n; i++) {
			enum wg_message type = wg_message_check(a.bytes[i], a.len[i]);

			n += type == WG_MESSAGE_RESPONSE;
			cookies += type == WG_MESSAGE_COOKIE;
		}
	}
	printf("{\"sent\": %u, \"per_s\": %.1f, \"answered\": %llu, \"cookies\": %llu, "
	       "\"seconds\": %.6f}\n",
		sent, sent / ((double)(now - start) / 1e9), n, cookies,
		(double)(now - start) / 1e9);
	return 0;
}

static int possible(double seconds)
{
	struct x25519 *ours = key_of(0, "ours"), *theirs = key_of(0, "theirs");
	uint8_t out[X25519_LEN];
	uint64_t start = now_ns(), now = start, cpu = clock_read(CLOCK_PROCESS_CPUTIME_ID);
	unsigned long n = 0;

	for (; now - start < (uint64_t)(seconds * 1e9); n++) {
		struct x25519 *ephemeral = key_of((unsigned)n, "ephemeral");

		/* e and s with ours, s with the one just made. */
		if (x25519_derive(ours, x25519_public(theirs), out) < 0 ||
			x25519_derive(ephemeral, x25519_public(theirs), out) < 0 ||
			x25519_derive(ephemeral, x25519_public(ours), out) < 0)
			die("x25519_derive");
		x25519_free(ephemeral);
		now = now_ns();
	}
	cpu = clock_read(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("{\"per_s\": %.1f, \"per_cpu_s\": %.1f}\n",
		(double)n / ((double)(now - start) / 1e9), (double)n / ((double)cpu / 1e9));
	x25519_free(ours);
	x25519_free(theirs);
	return 0;
}

int main(int argc, char *argv[])
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (!strcmp(mode, "keys") && argc == 3) {
		for (unsigned i = 0; i < (unsigned)atoi(argv[2]); i++) {
			struct x25519 *k = key_of(i, "peer");

			print_hex(x25519_public(k));
			x25519_free(k);
		}
		return 0;
	}
	if (!strcmp(mode, "possible") && argc == 3)
		return possible(atof(argv[2]));
	if (!strcmp(mode, "answered") && argc >= 9)
		return answered(argc - 2, argv + 2);
	if (!strcmp(mode, "together") && argc == 8)
		return together(argv + 2);
	if (!strcmp(mode, "flood") && argc == 10)
		return flood(argv + 2);
	fprintf(stderr, "usage: handshakes keys|answered|together|flood|possible ...; see "
			"bench/handshakes.c\n");
	return 2;
}
