#include "office/learn.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/client.h"
#include "conf/resolve.h"
#include "office/accept.h"
#include "office/engine.h"
#include "office/lan.h"
#include "office/mtu.h"
#include "office/plan.h"
#include "office/probe.h"
#include "office/status.h"
#include "office/stay.h"
#include "office/store.h"
#include "office/waiting.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static int path_of(const char *interface, char ret[LEARN_PATH_MAX])
{
	int n = snprintf(ret, LEARN_PATH_MAX, "%s/%s.learnt", ENGINE_STATE_DIR, interface);

	return n >= LEARN_PATH_MAX ? -ENAMETOOLONG : 0;
}

void learn_recall(const char *interface, struct office *o)
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX);
	char path[LEARN_PATH_MAX];

	if (path_of(interface, path) == 0 && store_read(path, &text) == 0)
		accept_learnt(o, (const char *)text.data, text.len);
}

static int keep(const char *interface, const struct member *m)
{
	cleanup(buf_done) struct buf text = buf_of_max(512);
	char path[LEARN_PATH_MAX];
	int r = path_of(interface, path);

	if (m->learnt_mode != RETURN_AUTO)
		buf_printf(&text, "%s return %s\n", m->name, enum_name(&return_mode_enum, m->learnt_mode));
	if (m->learnt_mtu)
		buf_printf(&text, "%s mtu %u\n", m->name, m->learnt_mtu);
	if (m->learnt_port)
		buf_printf(&text, "%s port %u\n", m->name, m->learnt_port);
	if (r == 0)
		r = text.error ? text.error : store_write(path, 0600, &text);
	if (r < 0)
		log_error("cannot keep in %s what was found: %s; the next ginnel up asks again", path, strerror(-r));
	return r < 0 ? r : 0;
}

/* ---- the return mode ---- */

static void say(const struct member *m, const struct lan *lan, enum return_mode mode)
{
	char gateway[INET_ADDRSTRLEN] = "";
	static const char *const found[] = {
		[RETURN_ROUTE] = "has routes to this node",
		[RETURN_ROUTE_GW] = "has routes to this node and drops flows of which it sees one side",
		[RETURN_SNAT] = "has no routes to this node: LAN hosts see the node instead of who calls, and call "
				"nobody; once it has them: ginnel up --probe",
	};

	inet_ntop(AF_INET, lan->gateway.bytes, gateway, sizeof(gateway));
	log_info("the gateway %s %s", gateway, found[mode]);
	log_info("for the office's lock: ginnel accept %s return %s", m->name, enum_name(&return_mode_enum, mode));
}

static int ask(const struct member *m, const struct prefix *target, struct lan *ret_lan, enum return_mode *ret)
{
	cleanup(net_closep) struct net *n = NULL;
	int r = net_open(NULL, &n);

	if (r == 0)
		r = lan_find(m, n, ret_lan);
	if (r == 0)
		r = lan_find_gateway(m, n, ret_lan);
	if (r < 0)
		return r;
	waiting_say("asking the gateway of %s", m->name);
	r = ret_lan->own.family ? probe_gateway(ret_lan->device, &ret_lan->own, &ret_lan->gateway, target, PROBE_TIMEOUT_MS, ret)
				: -EADDRNOTAVAIL;
	waiting_over();
	if (r < 0)
		log_error("cannot ask the gateway of %s for its return mode: %s", m->name,
			r == -EHOSTUNREACH ? "it does not answer" : strerror(-r));
	return r;
}

int learn_mode(struct member *m, const char *interface, const struct prefix *target)
{
	enum return_mode mode = RETURN_AUTO;
	struct lan lan = {.device = ""};
	int r = ask(m, target, &lan, &mode);

	if (r < 0)
		return r;
	say(m, &lan, mode);
	if (m->learnt_mode == mode)
		return 0;
	m->learnt_mode = mode;
	return keep(interface, m);
}

/* ---- the hub ---- */

#define STEP_MS 100

/* Whether the hub has answered and still does; ${ret}, unless it is NULL, becomes where it is. */
static bool hub_answers(const struct member *hub, const char *interface, struct endpoint *ret)
{
	cleanup(running_freep) struct running *running = NULL;
	cleanup(buf_done) struct buf why = buf_of_max(256);
	const uint64_t now_s = (uint64_t)time(NULL);
	const struct running_peer *peer, *next = NULL;

	if (client_get(interface, &running) < 0)
		return false;
	peer = running_peer(running, hub->public_key);
	if (hub->has_next_key)
		next = running_peer(running, hub->next_key);
	if (next && next->handshake_s)
		peer = next;
	if (!peer || !peer->handshake_s || now_s > peer->handshake_s + STATUS_SILENT_S)
		return false;
	return !ret || text_endpoint(peer->endpoint, strlen(peer->endpoint), ret, &why) == 0;
}

static bool wait_for_hub(const struct member *hub, const char *interface)
{
	const uint64_t end_ns = clock_ns(CLOCK_MONOTONIC) + LEARN_HUB_MS * (uint64_t)1000000;
	const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
	uint64_t now;
	bool answers;

	while (!(answers = hub_answers(hub, interface, NULL)) && (now = clock_ns(CLOCK_MONOTONIC)) < end_ns && !stay_is_to_end()) {
		waiting_say("waiting for an answer of the hub %s, %u s at most", hub->name, waiting_s(end_ns - now));
		nanosleep(&step, NULL);
	}
	waiting_over();
	return answers;
}

/* call_at(o, m, interface, key, port): have the tunnel go to that port of the hub. */
static int call_at(const struct office *o, struct member *m, const char *interface, const uint8_t key[KEY_LEN],
	uint16_t port)
{
	cleanup(plan_freep) struct plan *p = NULL;
	struct audit a = {.repair = false};
	int r;

	m->learnt_port = port;
	r = plan_make(o, m, &p);
	return r < 0 ? r : engine_configure(p, interface, key, &a);
}

static bool try_ports(const struct office *o, struct member *m, const char *interface, const uint8_t key[KEY_LEN])
{
	const struct member *hub = office_hub(o);
	const uint16_t before = m->learnt_port, used = plan_port(hub, before);
	uint16_t ports[OFFICE_HUB_PORTS_MAX + 1] = {hub->endpoint.port};

	memcpy(ports + 1, hub->ports, sizeof(hub->ports));
	for (size_t i = 0; i < array_size(ports) && ports[i]; i++) {
		if (ports[i] == used || stay_is_to_end())
			continue;
		log_info("the hub %s does not answer at port %u: trying %u", hub->name, plan_port(hub, m->learnt_port), ports[i]);
		if (call_at(o, m, interface, key, ports[i]) < 0)
			break;
		if (!wait_for_hub(hub, interface))
			continue;
		log_info("the hub %s answers at port %u, which is kept", hub->name, ports[i]);
		keep(interface, m);
		return true;
	}
	if (!stay_is_to_end())
		log_error("the hub %s answers at none of its ports: is it up, does it know this member's key, and may UDP leave here?",
			hub->name);
	call_at(o, m, interface, key, used);
	m->learnt_port = before;
	return false;
}

bool learn_hub(const struct office *o, struct member *m, const char *interface, const uint8_t key[KEY_LEN])
{
	const struct member *hub = office_hub(o);

	return wait_for_hub(hub, interface) || (hub->ports[0] && !stay_is_to_end() && try_ports(o, m, interface, key));
}

/* ---- the MTU ---- */

static int echo(const struct member *hub, const struct sockaddr_storage *to, unsigned least, unsigned most, unsigned *ret)
{
	int r;

	waiting_say("measuring how large packets to the hub %s may be", hub->name);
	r = mtu_echo(to, least, most, MTU_TIMEOUT_MS, ret);
	waiting_over();
	return r;
}

/* Packets larger than the interface's MTU never leave: as large as what is asked for. */
static int make_room(const char *interface, unsigned mtu)
{
	cleanup(net_closep) struct net *n = NULL;
	int r = net_open(interface, &n);

	return r < 0 ? r : net_set_up(n, mtu);
}

/* How large packets may be as far as the hub says by the address that all can reach; 0: it does not. */
static int measure_outside(const struct member *hub, const char *interface, unsigned most, unsigned *ret)
{
	struct sockaddr_storage at[RESOLVE_MAX];
	struct endpoint endpoint;
	unsigned overhead, size = 0;
	size_t n = 0;
	int r;

	*ret = 0;
	if (!hub_answers(hub, interface, &endpoint) || resolve(&endpoint, at, &n) != 0)
		return -ENOTCONN;
	overhead = mtu_overhead(at[0].ss_family);
	r = echo(hub, &at[0], MTU_LEAST + overhead, most + overhead, &size);
	/* Where no large echo is answered, they may be forbidden: the tunnel itself will tell. */
	if (r == 0 && size)
		*ret = size - overhead;
	return r == -ETIMEDOUT ? 0 : r;
}

static int measure_inside(const struct member *hub, unsigned most, unsigned *ret)
{
	struct sockaddr_storage to = {.ss_family = AF_INET};

	memcpy(&((struct sockaddr_in *)(void *)&to)->sin_addr, hub->address.bytes, 4);
	return echo(hub, &to, MTU_LEAST, most, ret);
}

static int measure(const struct office *o, const char *interface, unsigned most, unsigned *ret)
{
	const struct member *hub = office_hub(o);
	unsigned outside, inside = 0;
	int r = measure_outside(hub, interface, most, &outside);

	if (r == 0)
		r = make_room(interface, outside ? outside : most);
	if (r < 0)
		return r;
	r = measure_inside(hub, outside ? outside : most, &inside);
	/* A hub whose firewall answers nobody inside. */
	if (r == -ETIMEDOUT && outside) {
		inside = outside;
		r = 0;
	}
	if (r == 0 && !inside)
		log_error("packets of %u bytes do not get through the tunnel to the hub %s: something on the way carries less "
			  "than IPv6 needs",
			MTU_LEAST, hub->name);
	if (r == 0)
		*ret = max(inside, (unsigned)MTU_LEAST);
	return r;
}

int learn_mtu(const struct office *o, struct member *m, const char *interface)
{
	unsigned mtu = 0;
	int r = measure(o, interface, o->mtu, &mtu);

	if (r < 0) {
		log_error("cannot measure the MTU of the path to the hub: %s; %u stays",
			r == -ETIMEDOUT ? "it answers no echo" : strerror(-r), plan_mtu(o, m));
		return r;
	}
	log_info("the path to the hub carries packets of %u bytes in the tunnel%s", mtu,
		mtu < o->mtu ? ", no larger ones" : ", which is what the office has");
	if (mtu < o->mtu || (m->learnt_mtu && m->learnt_mtu != mtu))
		log_info("for the office's lock: ginnel accept %s mtu %u", m->name, mtu);
	if (m->learnt_mtu == mtu)
		return 0;
	m->learnt_mtu = mtu;
	return keep(interface, m);
}
