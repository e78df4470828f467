#include "office/learn.h"

#include "base/log.h"
#include "office/accept.h"
#include "office/engine.h"
#include "office/lan.h"
#include "office/probe.h"
#include "office/store.h"

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

	buf_printf(&text, "%s return %s\n", m->name, enum_name(&return_mode_enum, m->learnt_mode));
	if (m->learnt_mtu)
		buf_printf(&text, "%s mtu %u\n", m->name, m->learnt_mtu);
	if (r == 0)
		r = text.error ? text.error : store_write(path, 0600, &text);
	if (r < 0)
		log_error("cannot keep in %s what was found: %s; the next ginnel up asks again", path, strerror(-r));
	return r < 0 ? r : 0;
}

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
	r = ret_lan->own.family ? probe_gateway(ret_lan->device, &ret_lan->own, &ret_lan->gateway, target, PROBE_TIMEOUT_MS, ret)
				: -EADDRNOTAVAIL;
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
