/*
 * tests/unit/wg/sim.h - hosts with the real engine, a network between them, and a clock that only the test moves.
 *
 * Each host is a wg_device with one or more workers, used in turn, so that every packet may be another worker's.  Datagrams
 * are delivered in order and at once, unless the test's filter takes them.  Everything that was sent is recorded.
 * Random bytes come from a seeded generator: a run is repeatable.
 */
#pragma once

#include "base/test.h"
#include "wg/tap.h"
#include "wg/worker.h"

#define SIM_HOSTS_MAX 4
#define SIM_TAGS_MAX 65536
#define SIM_DATAGRAM_MAX 2048
#define SIM_RECORDS_MAX 65536
#define SIM_PORT 51820
#define SIM_MTU 1420

struct sim_record {
	uint64_t		at_ns;
	struct wg_endpoint	to;
	uint32_t		len;
	enum wg_message		type;
	uint8_t			from;	/* host */
	uint8_t			tos;
	uint8_t			bytes[160]; /* the first ones */
};

struct sim_event {
	uint64_t		at_ns;
	enum wg_event		event;
	enum wg_drop		drop;
	uint8_t			host;
};

struct sim_host {
	struct sim		*sim;
	struct wg_device	*device;
	struct wg_addr		 addr;		/* 192.0.2.1+number, SIM_PORT; a test may change it: the host moves */
	uint8_t			 private_key[WG_KEY_LEN], public_key[WG_KEY_LEN];
	unsigned		 workers, turn;	/* how many; the next one */
	struct wg_tap		 tap;		/* hears events; packets too for sim_listen() */
	void			 (*packet)(void *arg, unsigned worker, const struct wg_tap_packet *p);
	void			*packet_arg;
	uint64_t		 next_ns;	/* when the device wants to run */
	bool			 woken;
	bool			 prompt;	/* the control half runs in the middle of what the worker does */
	unsigned		 n_woken;	/* times, by workers */
	unsigned		 n_yielded;	/* times, to whoever wants the processor */
	/* What arrived inside. */
	unsigned		 n_delivered;
	uint8_t			 last[2048];
	uint32_t		 last_len;
	uint32_t		*tags;		/* of each inner packet, in order of delivery: what sim_send_tag() put in */
};

/* A datagram that was kept back. */
struct sim_held {
	struct wg_endpoint	 to, src;
	unsigned		 from;
	enum wg_message		 type;
	size_t			 len;
	uint8_t			 bytes[SIM_DATAGRAM_MAX];
};

struct sim {
	unsigned		 workers, n_hosts;
	struct wg_now		 now;
	uint64_t		 random;
	struct sim_host		 hosts[SIM_HOSTS_MAX];
	struct sim_record	*records;
	unsigned		 n_records;
	struct sim_event	*events;
	unsigned		 n_events;
	struct sim_datagram	*first, **last;	/* in flight */
	/* Return false to lose the datagram; may change msg and len (len up to 2,000).  NULL: all pass. */
	bool			 (*filter)(struct sim *s, unsigned from, struct wg_endpoint *to, uint8_t *msg, size_t *len);
	void			*filter_arg;
	/* By sending host, sets of SIM_TYPE(): lost, or kept in ${held} until sim_release(). */
	unsigned		 lose[SIM_HOSTS_MAX], hold[SIM_HOSTS_MAX];
	struct sim_held		*held;
	unsigned		 n_held, held_cap;
};

#define SIM_TYPE(type) (1u << (type))
#define SIM_ALL 0xffffffffu

/* The number of workers a host has in this round of sim_main(). */
extern unsigned sim_workers;
/* What hosts that are made now keep of their handshakes: wg/retain.h. */
extern bool sim_retain;

struct sim_test {
	const char	*name;
	void		(*fn)(void);
};

/* main() of an engine test: every test with one worker a host, then with two. */
int sim_main(const struct sim_test tests[], size_t n);

/* sim_new() with ${sim_workers} and two hosts that know each other; only host 0 knows where the other is unless ${both}. */
struct sim *sim_pair(uint64_t seed, bool both);
/* The same after a handshake that host 0 began, with one packet delivered each way. */
struct sim *sim_session(uint64_t seed);

/* ${workers} a host, ${hosts} hosts with keys, up, knowing nobody. Clocks start at 1,000 s and 2026-01-01. */
struct sim *sim_new(unsigned workers, unsigned hosts, uint64_t seed);
void sim_free(struct sim *s);

/* a gets b as a peer with b's address and allowed IPs 10.0.0.b/32 and fd00::b/128; and the reverse (without endpoint if !both). */
void sim_connect(struct sim *s, unsigned a, unsigned b, bool both);
struct wg_peer *sim_peer(struct sim *s, unsigned at, unsigned of);

/*
 * ${host}'s device is handed over to a new one with ${workers} workers, which goes on in its place; the old one is freed.
 * The stream is what the new one makes again.
 */
void sim_replace(struct sim *s, unsigned host, unsigned workers);

/* Do what is due now on every host and deliver what is in flight, until nothing moves. */
void sim_settle(struct sim *s);
/* Move both clocks by ${ns}, stopping wherever a host has something to do. */
void sim_advance(struct sim *s, uint64_t ns);

/* Send one inner IPv4 packet of ${len} bytes (20..1,500) from host a to 10.0.0.b; returns what wg_tx_reserve said (staged: -EAGAIN). */
int sim_send(struct sim *s, unsigned a, unsigned b, size_t len);
/* The same with a packet of the test's own. */
int sim_send_packet(struct sim *s, unsigned a, const uint8_t *packet, size_t len);
/* An IPv4 header for sim_send_packet(): from 10.0.0.src to 10.0.0.dst. */
void sim_ipv4(uint8_t *packet, size_t len, unsigned src, unsigned dst, uint8_t tos);

/* Hand a datagram to host ${to} as if it came from ${src}; data messages go through a worker. */
void sim_receive(struct sim *s, unsigned to, const struct wg_endpoint *src, const void *msg, size_t len);

/* The same with 4 bytes behind the header that h->tags tells of; ${len} from 24 on. */
int sim_send_tag(struct sim *s, unsigned a, unsigned b, size_t len, uint32_t tag);

/* Deliver held datagram ${i} (it stays held, for the next time), and do what follows. */
void sim_release(struct sim *s, unsigned i);
/* Deliver all that is held in order, and forget it. */
void sim_release_all(struct sim *s);

/* An initiation as host ${from} could make it: with any timestamp and index, mac1 right, mac2 zero. */
void sim_initiation(struct sim *s, unsigned from, unsigned to, const uint8_t timestamp[WG_TIMESTAMP_LEN],
	uint32_t index, struct wg_initiation *ret);
/* ${host}'s packets are shown to ${packet}, with ${arg} as its first argument; NULL: no longer. */
void sim_listen(struct sim *s, unsigned host,
	void (*packet)(void *arg, unsigned worker, const struct wg_tap_packet *p), void *arg);
/* Where host ${i} sends from. */
struct wg_endpoint sim_endpoint(const struct sim *s, unsigned i);
/* Forget all records and events so far. */
void sim_forget(struct sim *s);

/* Records: how many of ${type} did ${from} send since record number ${since}? */
unsigned sim_count(const struct sim *s, unsigned from, enum wg_message type, unsigned since);
/* The newest of ${type} from ${from}, or NULL. */
const struct sim_record *sim_newest(const struct sim *s, unsigned from, enum wg_message type);
unsigned sim_count_events(const struct sim *s, unsigned host, enum wg_event event);
uint64_t sim_drops(const struct sim *s, unsigned host, enum wg_drop why);

#define S(n) ((uint64_t)(n)*NS_PER_S)
#define MS(n) ((uint64_t)(n)*NS_PER_MS)

/* With wg/peer.h: a peer's endpoint as a value that has an address. */
#define ENDPOINT(p) (*(struct wg_endpoint[1]){peer_endpoint(p)})
