/*
 * Raw bytes as datagrams for a host with a session and a handshake under way.  Three flag bits of each message repair what
 * no fuzzer guesses: the type, the receiver's index, mac1.
 */
#include "tests/unit/wg/sim.h"
#include "wg/peer.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void repair(struct sim *s, uint8_t flags, uint8_t *msg, size_t len)
{
	struct wg_peer *p = sim_peer(s, 1, 0);
	struct cookie_maker maker;
	uint32_t type = 1 + (flags & 3);

	if (flags & 4)
		put_le32(msg, type);
	if (flags & 8 && p->current)
		put_le32(msg + (type == WG_MESSAGE_RESPONSE ? 8 : 4), p->current->entry.index);
	if (flags & 16 && p->handshake)
		put_le32(msg + (type == WG_MESSAGE_RESPONSE ? 8 : 4), p->handshake->entry.index);
	if (flags & 32 && (type == WG_MESSAGE_INITIATION || type == WG_MESSAGE_RESPONSE)) {
		cookie_maker_init(&maker, s->hosts[1].public_key);
		cookie_add_macs(&maker, s->now.boot_ns, msg, len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const size_t lens[] = {148, 92, 64};
	struct wg_endpoint src = {.dst = {.bytes = {203, 0, 113, 9}, .port = 9, .family = AF_INET}};
	struct sim *s = sim_session(1);
	struct wg_peer_info before, after;

	wg_peer_info(sim_peer(s, 1, 0), &before);

	s->lose[1] = SIM_TYPE(WG_MESSAGE_INITIATION);
	sim_advance(s, S(6));
	handshake_initiate(sim_peer(s, 1, 0), false);
	sim_settle(s);
	while (len >= 3) {
		uint8_t flags = data[0], msg[1600] = {0};
		size_t n = data[1] | (size_t)(data[2] & 3) << 8, have;

		if (flags & 64 && (flags & 3) < 3)
			n = lens[flags & 3];
		have = min(n, len - 3);
		memcpy(msg, data + 3, have);
		if (n >= 92)
			repair(s, flags, msg, n);
		sim_receive(s, 1, &src, msg, n);
		if (flags & 128)
			sim_settle(s);
		data += 3 + have;
		len -= 3 + have;
	}
	sim_settle(s);
	/* Nobody without a key got a session, moved the endpoint or was delivered; and the session still works. */
	wg_peer_info(sim_peer(s, 1, 0), &after);
	if (s->hosts[1].n_delivered != 1 || !wg_addr_equal(&before.endpoint.dst, &after.endpoint.dst) ||
		index_count(&s->hosts[1].device->index) > 2)
		abort();
	if (sim_send(s, 0, 1, 100) || sim_send(s, 1, 0, 100))
		abort();
	sim_settle(s);
	if (s->hosts[1].n_delivered != 2 || s->hosts[0].n_delivered != 2)
		abort();
	sim_free(s);
	return 0;
}
