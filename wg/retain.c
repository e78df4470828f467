#include "wg/retain.h"
#include "wg/peer.h"

struct wg_retained *retain_new(const struct wg_peer *p, const struct x25519 *ephemeral)
{
	const struct wg_device *d = p->device;
	struct wg_retained *r = d->config.retain ? calloc(1, sizeof(*r)) : NULL;

	if (!r)
		return NULL;
	memcpy(r->local_static, d->private_key, WG_KEY_LEN);
	memcpy(r->preshared, p->preshared_key, WG_KEY_LEN);
	if (x25519_private(ephemeral, r->ephemeral) < 0) {
		retain_free(r);
		return NULL;
	}
	return r;
}

void retain_free(struct wg_retained *r)
{
	if (!r)
		return;
	explicit_bzero(r, sizeof(*r));
	free(r);
}

static void show_message(const struct wg_retained *r, struct wg_peer *p, const struct wg_tap *to,
	bool ours, uint64_t real_ns, const void *msg, size_t len)
{
	struct wg_tap_packet what = {.point = ours ? WG_TAP_OUTER_OUT : WG_TAP_OUTER_IN,
		.n = 1,
		.peer = p,
		.endpoint = &r->at,
		.tos = ours ? WG_TOS_HANDSHAKE : 0,
		.data = msg,
		.len = len,
		.real_ns = real_ns};

	to->packet(to->arg, p->device->config.workers, &what);
	if (ours)
		return;
	what = (struct wg_tap_packet){
		.point = WG_TAP_INNER_IN, .n = 1, .verdict = true, .peer = p, .real_ns = real_ns};
	to->packet(to->arg, p->device->config.workers, &what);
}

void retain_show(const struct wg_retained *r, struct wg_peer *p, const struct wg_tap *to)
{
	to->keys(to->arg,
		&(struct wg_tap_keys){.peer = p,
			.real_ns = r->initiation_ns,
			.local_static = r->local_static,
			.ephemeral = r->ephemeral,
			.preshared = r->preshared});
	show_message(r, p, to, r->initiator, r->initiation_ns, &r->initiation, sizeof(r->initiation));
	show_message(r, p, to, !r->initiator, r->response_ns, &r->response, sizeof(r->response));
}
