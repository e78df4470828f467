#include "tunnel/ctl_stats.h"

#include "base/clock.h"
#include "tunnel/addr_text.h"
#include "tunnel/fast_path.h"

#include <errno.h>
#include <sys/queue.h>

/* An answer under way. */
struct answer {
	TAILQ_ENTRY(answer)	 entry;
	struct ctl_stats	*stats;
	unsigned		 part;		/* of parts[] */
	uint64_t		 at;		/* which of its frames comes next */
	bool			 peers_begun;
	struct wg_peer		*peer;		/* that comes next; NULL: none */
};

struct ctl_stats {
	struct ctl_stats_config	 config;
	uint64_t		 started_real_ns;
	TAILQ_HEAD(, answer)	 answers;	/* to STATS */
};

static void put_addr(struct buf *frame, const struct wg_addr *a)
{
	cleanup(buf_done) struct buf text = buf_of_max(128);

	if (!a->family)
		return;
	addr_put(a, &text);
	ctl_put_text(frame, CTL_ITEM_ENDPOINT, buf_str(&text));
}

/* ---- one frame each: 1, or 0 when there is none left ---- */

static unsigned count_peers(struct wg_device *d)
{
	unsigned n = 0;

	for (struct wg_peer *p = wg_device_first_peer(d); p; p = wg_peer_next(p))
		n++;
	return n;
}

static void put_bind_address(const struct bind_address *a, struct buf *frame)
{
	cleanup(buf_done) struct buf text = buf_of_max(128);

	if (!a->family)
		return;
	bind_address_format(a, &text);
	ctl_put_text(frame, CTL_ITEM_BIND_ADDRESS, buf_str(&text));
}

static int put_device(struct answer *a, struct buf *frame)
{
	const struct ctl_stats *s = a->stats;
	struct ctl_facts facts = {.up = false};

	if (a->at)
		return 0;
	s->config.facts(s->config.arg, &facts);
	ctl_begin(frame, CTL_MESSAGE_DEVICE);
	ctl_put_text(frame, CTL_ITEM_NAME, s->config.name);
	ctl_put_text(frame, CTL_ITEM_VERSION, GINNEL_VERSION);
	ctl_put_number(frame, CTL_ITEM_PID, (uint64_t)getpid());
	ctl_put_number(frame, CTL_ITEM_STARTED, s->started_real_ns);
	ctl_put_number(frame, CTL_ITEM_UP, facts.up);
	ctl_put_number(frame, CTL_ITEM_PORT, facts.port);
	ctl_put_number(frame, CTL_ITEM_FWMARK, facts.fwmark);
	put_bind_address(&facts.bind.v4, frame);
	put_bind_address(&facts.bind.v6, frame);
	if (facts.bind.device[0])
		ctl_put_text(frame, CTL_ITEM_BIND_DEVICE, facts.bind.device);
	ctl_put_number(frame, CTL_ITEM_PEERS, count_peers(s->config.device));
	ctl_put_number(frame, CTL_ITEM_WORKERS, s->config.tun->n_queues);
	ctl_put_number(frame, CTL_ITEM_RETAIN, s->config.retain);
	ctl_put_text(frame, CTL_ITEM_CIPHER,
		wg_worker_cipher(wg_device_worker(s->config.device, 0)));
	return 1;
}

static void put_why(const struct fast_path_piece *p, struct buf *frame)
{
	cleanup(buf_done) struct buf text = buf_of_max(256);

	for (size_t i = 0; i < fast_path_why_enum.n_members; i++)
		if (fast_path_why_enum.members[i].value == p->why)
			buf_puts(&text, fast_path_why_enum.members[i].doc);
	if (p->error)
		buf_printf(&text, ": %s", strerror(p->error));
	ctl_put_text(frame, CTL_ITEM_REASON, enum_name(&fast_path_why_enum, p->why));
	ctl_put_text(frame, CTL_ITEM_WHY, buf_str(&text));
	ctl_put_number(frame, CTL_ITEM_COUNT, p->times);
	ctl_put_number(frame, CTL_ITEM_TIME, p->last_real_ns);
}

static int put_piece(struct answer *a, struct buf *frame)
{
	struct fast_path_piece pieces[FAST_PATH_COUNT];
	const struct fast_path_piece *p;

	if (a->at >= FAST_PATH_COUNT)
		return 0;
	fast_path_state(pieces);
	p = &pieces[a->at];
	ctl_begin(frame, CTL_MESSAGE_PIECE);
	ctl_put_text(frame, CTL_ITEM_NAME, enum_name(&fast_path_enum, p->piece));
	ctl_put_number(frame, CTL_ITEM_ON, fast_path_is_on(p));
	if (p->why != FAST_PATH_WORKS)
		put_why(p, frame);
	return 1;
}

static int put_drop(struct answer *a, struct buf *frame)
{
	uint64_t drops[WG_DROP_COUNT];
	/* The first member is NONE. */
	uint64_t i = a->at + 1;

	if (i >= wg_drop_enum.n_members)
		return 0;
	wg_device_drops(a->stats->config.device, drops);
	ctl_begin(frame, CTL_MESSAGE_DROP);
	ctl_put_text(frame, CTL_ITEM_NAME, wg_drop_enum.members[i].name);
	ctl_put_number(frame, CTL_ITEM_COUNT, drops[wg_drop_enum.members[i].value]);
	return 1;
}

static int put_event_count(struct answer *a, struct buf *frame)
{
	uint64_t events[WG_EVENT_COUNT];

	if (a->at >= wg_event_enum.n_members)
		return 0;
	wg_device_events(a->stats->config.device, events);
	ctl_begin(frame, CTL_MESSAGE_EVENT_COUNT);
	ctl_put_text(frame, CTL_ITEM_NAME, wg_event_enum.members[a->at].name);
	ctl_put_number(frame, CTL_ITEM_COUNT, events[wg_event_enum.members[a->at].value]);
	return 1;
}

static int put_peer(struct answer *a, struct buf *frame)
{
	uint64_t allowed = 0, now = clock_ns(CLOCK_BOOTTIME);
	struct wg_peer_info info;
	struct wg_prefix prefix;
	void *at = NULL;

	if (!a->peers_begun)
		a->peer = wg_device_first_peer(a->stats->config.device);
	a->peers_begun = true;
	if (!a->peer)
		return 0;
	wg_peer_info(a->peer, &info);
	explicit_bzero(info.preshared_key, sizeof(info.preshared_key));
	while (wg_peer_prefix(a->peer, &at, &prefix))
		allowed++;
	ctl_begin(frame, CTL_MESSAGE_PEER);
	ctl_put_bytes(frame, CTL_ITEM_PUBLIC_KEY, info.public_key, WG_KEY_LEN);
	put_addr(frame, &info.endpoint.dst);
	ctl_put_number(frame, CTL_ITEM_RX_BYTES, info.rx_bytes);
	ctl_put_number(frame, CTL_ITEM_TX_BYTES, info.tx_bytes);
	if (info.last_handshake_real_ns)
		ctl_put_number(frame, CTL_ITEM_HANDSHAKE, info.last_handshake_real_ns);
	if (info.session_boot_ns)
		ctl_put_number(frame, CTL_ITEM_SESSION_AGE,
			now > info.session_boot_ns ? now - info.session_boot_ns : 0);
	ctl_put_number(frame, CTL_ITEM_ALLOWED_IPS, allowed);
	ctl_put_number(frame, CTL_ITEM_KEEPALIVE, info.keepalive_s);
	a->peer = wg_peer_next(a->peer);
	return 1;
}

/* ---- stats ---- */

static int (*const parts[])(struct answer *a, struct buf *frame) = {
	put_device, put_piece, put_drop, put_event_count, put_peer};

static int stats_begin(void *arg, struct rd fields, void **ret)
{
	struct ctl_stats *s = arg;
	struct answer *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->stats = s;
	TAILQ_INSERT_TAIL(&s->answers, a, entry);
	*ret = a;
	return 0;
}

static int stats_next(void *arg, void *answer, struct buf *frame)
{
	struct answer *a = answer;

	for (; a->part < array_size(parts); a->part++, a->at = 0) {
		if (parts[a->part](a, frame)) {
			a->at++;
			return 1;
		}
	}
	return 0;
}

static void stats_end(void *arg, void *answer)
{
	struct ctl_stats *s = arg;
	struct answer *a = answer;

	TAILQ_REMOVE(&s->answers, a, entry);
	free(a);
}

static void peer_removed(void *arg, struct wg_peer *p)
{
	struct ctl_stats *s = arg;
	struct answer *a;

	TAILQ_FOREACH (a, &s->answers, entry)
		if (a->peer == p)
			a->peer = wg_peer_next(p);
}

/* ---- events ---- */

static int events_begin(void *arg, struct rd fields, void **ret)
{
	struct ctl_stats *s = arg;
	uint64_t *at = malloc(sizeof(*at));

	if (!at)
		return -ENOMEM;
	*at = s->config.events->total > EVENTS_KEPT ? s->config.events->total - EVENTS_KEPT : 0;
	*ret = at;
	return 0;
}

static int events_next(void *arg, void *answer, struct buf *frame)
{
	const struct events *events = ((struct ctl_stats *)arg)->config.events;
	uint64_t *at = answer;
	const struct event *e;

	/* What was overwritten meanwhile is gone. */
	if (events->total > EVENTS_KEPT)
		*at = max(*at, events->total - EVENTS_KEPT);
	if (*at == events->total)
		return 0;
	e = &events->kept[(*at)++ % EVENTS_KEPT];
	ctl_begin(frame, CTL_MESSAGE_EVENT);
	ctl_put_number(frame, CTL_ITEM_TIME, e->real_ns);
	ctl_put_text(frame, CTL_ITEM_NAME, enum_name(&wg_event_enum, e->event));
	ctl_put_number(frame, CTL_ITEM_COUNT, e->n);
	if (e->drop != WG_DROP_NONE)
		ctl_put_text(frame, CTL_ITEM_REASON, enum_name(&wg_drop_enum, e->drop));
	if (e->has_peer)
		ctl_put_bytes(frame, CTL_ITEM_PUBLIC_KEY, e->public_key, WG_KEY_LEN);
	put_addr(frame, &e->at);
	return 1;
}

static void events_end(void *arg, void *answer)
{
	free(answer);
}

/* ---- ---- */

void ctl_stats_services(struct ctl_stats *s, struct ctl_service ret[CTL_STATS_SERVICES])
{
	ret[0] = (struct ctl_service){.request = CTL_MESSAGE_STATS,
		.begin = stats_begin,
		.next = stats_next,
		.end = stats_end,
		.arg = s};
	ret[1] = (struct ctl_service){.request = CTL_MESSAGE_EVENTS,
		.begin = events_begin,
		.next = events_next,
		.end = events_end,
		.arg = s};
}

int ctl_stats_new(const struct ctl_stats_config *config, struct ctl_stats **ret)
{
	struct ctl_stats *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->config = *config;
	s->started_real_ns = clock_ns(CLOCK_REALTIME);
	TAILQ_INIT(&s->answers);
	config->events->peer_removed = peer_removed;
	config->events->arg = s;
	*ret = s;
	return 0;
}

void ctl_stats_free(struct ctl_stats *s)
{
	if (!s)
		return;
	s->config.events->peer_removed = NULL;
	free(s);
}
