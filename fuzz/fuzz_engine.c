/*
 * The engine as a state machine: the input drives clocks, packets, a network that loses, delays, repeats and corrupts, and
 * the configuration of two hosts.  What must hold whatever happens is checked after every step.
 */
#include "fuzz/fuzz.h"
#include "tests/unit/wg/sim.h"
#include "wg/peer.h"

#include <stdio.h>


#define TAGS 4096
#define NONCES (1u << 15)

struct fuzz {
	struct sim	*s;
	unsigned	 n_seen[2];	/* deliveries that were checked */
	unsigned	 n_records;	/* records that were checked */
	uint32_t	 n_tags;
	bool		 delivered[TAGS];
	struct nonce {
		uint64_t counter;
		uint32_t receiver;
		uint8_t	 from, used;
	}		 nonces[NONCES];
	unsigned	 n_nonces;
};

static void check_nonce(struct fuzz *f, const struct sim_record *r)
{
	struct nonce n = {.counter = get_le64(r->bytes + 8), .receiver = get_le32(r->bytes + 4), .from = r->from, .used = 1};
	size_t i = (size_t)((n.counter * 0x9e3779b97f4a7c15ULL) >> 32) ^ n.receiver;

	if (f->n_nonces > NONCES / 2)
		return;
	for (i %= NONCES; f->nonces[i].used; i = (i + 1) % NONCES)
		MUST(f->nonces[i].counter != n.counter || f->nonces[i].receiver != n.receiver || f->nonces[i].from != n.from);
	f->nonces[i] = n;
	f->n_nonces++;
}

static void check(struct fuzz *f)
{
	struct sim *s = f->s;

	for (unsigned h = 0; h < 2; h++) {
		struct wg_device *d = s->hosts[h].device;
		struct wg_peer *p = wg_device_first_peer(d);

		for (; f->n_seen[h] < s->hosts[h].n_delivered; f->n_seen[h]++) {
			uint32_t tag = s->hosts[h].tags[f->n_seen[h] % SIM_TAGS_MAX];

			/* An even tag was sent by host 0, an odd one by host 1; each arrives once, at the other. */
			MUST(tag < f->n_tags && (tag & 1) != h);
			MUST(!f->delivered[tag]);
			f->delivered[tag] = true;
		}
		MUST(index_count(&d->index) <= (p ? 4 : 0));
		MUST(!p || p->n_staged <= WG_STAGED_MAX);
		MUST(d->staged_bytes <= WG_STAGED_BYTES_MAX);
		MUST(d->effect_bytes.len <= 2u << 20);
		MUST(d->queue_n <= WG_HANDSHAKE_QUEUE);
		MUST(d->timers.n <= d->n_peers);
		MUST(!p || !device_is_up(d) || !p->next || p->next->entry.type == INDEX_KEYPAIR);
	}
	for (; f->n_records < s->n_records; f->n_records++) {
		MUST(s->records[f->n_records].type);
		if (s->records[f->n_records].type == WG_MESSAGE_DATA)
			check_nonce(f, &s->records[f->n_records]);
	}
	if (s->n_records > SIM_RECORDS_MAX / 2) {
		sim_forget(s);
		f->n_records = 0;
	}
}

static void packet(struct fuzz *f, unsigned from, size_t len)
{
	uint32_t tag;

	if (f->n_tags + 2 >= TAGS)
		return;
	tag = (f->n_tags & ~1u) + 2 + from; /* 0 and 1 are nobody's */
	f->n_tags = tag + 1;
	sim_send_tag(f->s, from, !from, 24 + len, tag);
}

static void reconnect(struct sim *s, unsigned at)
{
	struct wg_device *d = s->hosts[at].device;
	uint8_t ip[4] = {10, 0, 0, (uint8_t)(!at + 1)};
	struct wg_peer *p = wg_device_first_peer(d);

	if (p)
		wg_device_remove_peer(d, p);
	if (wg_device_add_peer(d, s->hosts[!at].public_key, &p) < 0 ||
		wg_peer_allow(d, p, AF_INET, ip, 32) < 0)
		abort();
	wg_peer_set_endpoint(d, p, &s->hosts[!at].addr);
	wg_peer_configured(d, p, s->now);
}

static void new_key(struct sim *s, unsigned at, uint8_t seed)
{
	cleanup(x25519_freep) struct x25519 *k = NULL;

	memset(s->hosts[at].private_key, (seed & 0x3f) | 0x40, WG_KEY_LEN);
	s->hosts[at].private_key[5] = (uint8_t)at; /* the two never have one key */
	if (x25519_new(s->hosts[at].private_key, &k) < 0)
		abort();
	memcpy(s->hosts[at].public_key, x25519_public(k), WG_KEY_LEN);
	wg_device_set_private_key(s->hosts[at].device, s->now, s->hosts[at].private_key);
	reconnect(s, !at);
}

static void hostile(struct sim *s, unsigned to, const uint8_t *data, size_t len)
{
	struct wg_endpoint src = {.dst = {.bytes = {203, 0, 113, 9}, .port = 9, .family = AF_INET}};

	sim_receive(s, to, &src, data, len);
}

static void step(struct fuzz *f, const uint8_t **data, size_t *len)
{
	struct sim *s = f->s;
	uint8_t op = (*data)[0], v = (*data)[1];
	unsigned host = op >> 7;
	struct wg_peer *p = sim_peer(s, host, !host);
	uint8_t psk[WG_KEY_LEN] = {v};
	struct sim_held h;

	*data += 2;
	*len -= 2;
	switch (op & 31) {
	case 0: case 1: case 2: case 3:
		packet(f, host, v * 5u);
		break;
	case 4:
		for (unsigned i = 0; i < v; i++)
			packet(f, host, i);
		break;
	case 5: case 6:
		sim_advance(s, MS(v * 20u));
		break;
	case 7:
		sim_advance(s, S(v));
		break;
	case 8: /* slept */
		s->now.boot_ns += S(v * 60u);
		s->now.real_ns += S(v * 60u);
		break;
	case 9:
		s->hold[host] = v;
		break;
	case 10:
		s->lose[host] = v;
		break;
	case 11: case 12: case 13:
		if (s->n_held)
			sim_release(s, v % s->n_held);
		break;
	case 14: /* corrupted, truncated or from elsewhere */
		if (!s->n_held || *len < 2)
			break;
		h = s->held[v % s->n_held];
		h.bytes[(*data)[0] % h.len] ^= (*data)[1];
		if ((*data)[1] & 1)
			h.len -= (*data)[0] % h.len;
		*data += 2;
		*len -= 2;
		hostile(s, !h.from, h.bytes, h.len);
		break;
	case 15:
		sim_release_all(s);
		break;
	case 16:
		wg_peer_set_preshared_key(p, psk);
		break;
	case 17:
		wg_peer_set_keepalive(p, v);
		wg_peer_configured(s->hosts[host].device, p, s->now);
		break;
	case 18:
		reconnect(s, host);
		break;
	case 19:
		wg_device_down(s->hosts[host].device);
		break;
	case 20:
		wg_device_up(s->hosts[host].device, s->now);
		break;
	case 21:
		new_key(s, host, v);
		break;
	case 22:
		s->hosts[host].addr.port = (uint16_t)(1000 + v);
		break;
	case 23:
		for (unsigned i = 0; i < v * 8u; i++)
			hostile(s, host, (const uint8_t[148]){1}, 148);
		break;
	case 24:
		hostile(s, host, *data, min(*len, (size_t)v));
		*data += min(*len, (size_t)v);
		*len -= min(*len, (size_t)v);
		break;
	case 25:
		wg_peer_clear_source(s->hosts[host].device, v & 1 ? p : NULL);
		break;
	case 26:
		wg_device_set_mtu(s->hosts[host].device, v * 16u);
		break;
	case 27: /* hold what was held no longer */
		s->n_held = 0;
		break;
	default:
		sim_settle(s);
	}
}

/* Whatever happened: when the network and the configuration are good again, packets arrive. */
static void recover(struct fuzz *f)
{
	static const uint8_t none[WG_KEY_LEN];
	struct sim *s = f->s;
	unsigned before[2];

	for (unsigned h = 0; h < 2; h++) {
		struct wg_peer *p = sim_peer(s, h, !h);

		s->hold[h] = s->lose[h] = 0;
		wg_device_set_mtu(s->hosts[h].device, SIM_MTU);
		wg_peer_set_preshared_key(p, none);
		wg_peer_set_endpoint(s->hosts[h].device, p, &s->hosts[!h].addr);
		wg_device_up(s->hosts[h].device, s->now);
	}
	sim_advance(s, S(200)); /* sessions of other keys, cookies and floods pass */
	check(f);
	f->n_tags = min(f->n_tags, TAGS - 64u);
	for (unsigned h = 0; h < 2; h++)
		before[h] = s->hosts[h].n_delivered;
	memset(f->delivered, 0, sizeof(f->delivered));
	packet(f, 0, 10);
	packet(f, 1, 10);
	sim_advance(s, S(20));
	check(f);
	MUST(s->hosts[0].n_delivered > before[0]);
	MUST(s->hosts[1].n_delivered > before[1]);
	for (unsigned h = 0; h < 2; h++) {
		wg_device_remove_peer(s->hosts[h].device, wg_device_first_peer(s->hosts[h].device));
		sim_settle(s);
		MUST(!s->hosts[h].device->reclaim.first);
		MUST(!s->hosts[h].device->staged_bytes);
		MUST(!index_count(&s->hosts[h].device->index));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz *f;
	unsigned steps = 0;

	if (len < 3)
		return 0;
	f = calloc(1, sizeof(*f));
	if (!f)
		abort();
	f->s = sim_new(1 + (data[0] & 1), 2, 1 + (data[0] >> 1));
	f->n_tags = 2;
	sim_connect(f->s, 0, 1, true);
	data++;
	len--;
	while (len >= 2 && steps++ < 300) {
		step(f, &data, &len);
		sim_settle(f->s);
		check(f);
	}
	recover(f);
	sim_free(f->s);
	free(f);
	return 0;
}
