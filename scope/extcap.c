#include "scope/extcap.h"

#include "ctl/capture.h"
#include "ctl/client.h"
#include "scope/pcapng.h"
#include "scope/target.h"
#include "scope/verbs.h"

#include <errno.h>
#include <stdio.h>

/* What Wireshark shows and hands back: a prefix tells our interfaces from the system's. */
#define PREFIX "ginnel-"
#define CLIENT_OPTION "--"

enum view { VIEW_INNER, VIEW_KEYS, VIEW_OUTER };

static const struct {
	const char *value, *display;
} views[] = {
	[VIEW_INNER] = {"inner", "packets inside the tunnel"},
	[VIEW_KEYS] = {"keys", "messages outside, decrypted (the capture will hold private keys)"},
	[VIEW_OUTER] = {"outer", "messages outside, encrypted"},
};

struct request {
	bool		 interfaces, dlts, config, capture;
	const char	*interface, *fifo, *view, *peer, *snap;
};

/* Sentences of the protocol have braces around values, and no way to write one in a value. */
static void put_value(const char *text, size_t len, struct buf *ret)
{
	for (size_t i = 0; i < len; i++) {
		bool bad = text[i] == '{' || text[i] == '}' || text[i] < ' ' || text[i] > '~';

		buf_put(ret, bad ? "?" : text + i, 1);
	}
}

static int put_interface(void *arg, const char *name)
{
	struct buf *out = arg;

	buf_puts(out, "interface {value=" PREFIX);
	put_value(name, strlen(name), out);
	buf_puts(out, "}{display=Ginnel tunnel ");
	put_value(name, strlen(name), out);
	buf_puts(out, "}\n");
	return 0;
}

static int interfaces(struct buf *out)
{
	buf_puts(out, "extcap {version=" GINNEL_VERSION "}{display=Ginnel}\n");
	return ctl_tunnels(CTL_DIR, put_interface, out);
}

static const char *tunnel_of(const struct request *r)
{
	size_t n = strlen(PREFIX);

	return r->interface && !strncmp(r->interface, PREFIX, n) ? r->interface + n : NULL;
}

struct peers {
	struct buf		*out;
	const struct names	*names;
};

/* One that the daemon has, by its key and its name. */
static void put_peer(const struct peers *p, const uint8_t key[KEY_LEN])
{
	char text[KEY_TEXT_LEN + 1], name[NAME_MAX_LEN + 1];

	key_text_format(key, text);
	buf_printf(p->out, "value {arg=1}{value=%s}{display=", text);
	if (names_of(p->names, key, name)) {
		put_value(name, strlen(name), p->out);
		buf_puts(p->out, ", ");
	}
	buf_printf(p->out, "%s}{default=false}\n", text);
}

static int put_peers(const char *tunnel, const struct peers *p, struct buf *why)
{
	cleanup(ctl_client_done) struct ctl_client c = CTL_CLIENT_NONE;
	struct rd fields;
	struct ctl_field f;
	uint16_t type;
	int r = ctl_client_connect(&c, tunnel, why);

	if (r >= 0)
		r = ctl_client_request(&c, CTL_MESSAGE_STATS, why);
	while (r >= 0 && (r = ctl_client_next(&c, &type, &fields, why)) > 0)
		while (type == CTL_MESSAGE_PEER && ctl_next(&fields, &f))
			if (f.tag == CTL_ITEM_PUBLIC_KEY && f.kind == CTL_BYTES && f.len == KEY_LEN)
				put_peer(p, f.data);
	return r;
}

/* Who may not ask the daemon gets the options all the same, without peers. */
static void config(const char *tunnel, struct buf *out)
{
	cleanup(buf_done) struct buf why = buf_of_max(1024);
	struct target t = {.names = NULL};
	struct peers p = {.out = out};

	buf_puts(out, "arg {number=0}{call=" CLIENT_OPTION "view}{display=What to show}{type=selector}"
		"{tooltip=Inside or outside the tunnel}\n");
	buf_puts(out, "arg {number=1}{call=" CLIENT_OPTION "peer}{display=Peer}{type=selector}"
		"{tooltip=Everything, or what one peer sends and gets}\n");
	buf_printf(out, "arg {number=2}{call=" CLIENT_OPTION "snap}{display=Bytes of a packet to keep}{type=integer}"
		"{range=64,%d}{default=%d}\n", CAPTURE_SNAP_MAX, CAPTURE_SNAP_MAX);
	for (size_t i = 0; i < array_size(views); i++)
		buf_printf(out, "value {arg=0}{value=%s}{display=%s}{default=%s}\n", views[i].value,
			views[i].display, i ? "false" : "true");
	buf_puts(out, "value {arg=1}{value=}{display=all}{default=true}\n");
	if (target_find(tunnel, "", &t, &why) == 0) {
		p.names = t.names;
		(void)put_peers(tunnel, &p, &why);
	}
	target_done(&t);
}

static int capture(const char *tunnel, const struct request *r)
{
	struct scope_settings s = {.snap = CAPTURE_SNAP_MAX, .for_wireshark = true};
	char *end;

	if (!r->fifo) {
		fprintf(stderr, "ginnel: --fifo says where to write\n");
		return 2;
	}
	if (r->view && *r->view && strcmp(r->view, views[VIEW_INNER].value)) {
		s.keys = !strcmp(r->view, views[VIEW_KEYS].value);
		s.outer = !s.keys;
		if (s.outer && strcmp(r->view, views[VIEW_OUTER].value)) {
			fprintf(stderr, "ginnel: --view is inner, keys or outer\n");
			return 2;
		}
	}
	if (r->snap && *r->snap) {
		errno = 0;
		s.snap = strtol(r->snap, &end, 10);
		if (errno || *end || s.snap < 64 || s.snap > CAPTURE_SNAP_MAX) {
			fprintf(stderr, "ginnel: --snap must be 64..%d\n", CAPTURE_SNAP_MAX);
			return 2;
		}
	}
	if (snprintf(s.file, sizeof(s.file), "%s", r->fifo) >= (int)sizeof(s.file) ||
		snprintf(s.peer, sizeof(s.peer), "%s", r->peer ? r->peer : "") >= (int)sizeof(s.peer)) {
		fprintf(stderr, "ginnel: too long an argument\n");
		return 2;
	}
	return capture_run(tunnel, &s);
}

/* "--NAME=VALUE", "--NAME VALUE" or "--NAME".  What is not known, a later Wireshark may say: it is skipped. */
static void parse(int argc, char **argv, struct request *ret)
{
	const struct {
		const char	*name;
		bool		*flag;
		const char	**value;
	} options[] = {
		{"--extcap-interfaces", &ret->interfaces, NULL},
		{"--extcap-dlts", &ret->dlts, NULL},
		{"--extcap-config", &ret->config, NULL},
		{"--capture", &ret->capture, NULL},
		{"--extcap-interface", NULL, &ret->interface},
		{"--fifo", NULL, &ret->fifo},
		{CLIENT_OPTION "view", NULL, &ret->view},
		{CLIENT_OPTION "peer", NULL, &ret->peer},
		{CLIENT_OPTION "snap", NULL, &ret->snap},
	};

	*ret = (struct request){.interface = NULL};
	for (int i = 1; i < argc; i++) {
		size_t n = strcspn(argv[i], "=");

		for (size_t o = 0; o < array_size(options); o++) {
			if (strlen(options[o].name) != n || strncmp(argv[i], options[o].name, n))
				continue;
			if (options[o].flag)
				*options[o].flag = true;
			else if (argv[i][n])
				*options[o].value = argv[i] + n + 1;
			else if (i + 1 < argc)
				*options[o].value = argv[++i];
			break;
		}
	}
}

int extcap_main(int argc, char **argv)
{
	cleanup(buf_done) struct buf out = buf_of_max(1 << 20);
	struct request r;
	const char *tunnel;
	int error;

	cmd_standard_descriptors();
	parse(argc, argv, &r);
	if (r.interfaces) {
		error = interfaces(&out);
		if (error < 0)
			fprintf(stderr, "ginnel: cannot look into " CTL_DIR ": %s\n", strerror(-error));
		return cmd_print(&out);
	}
	tunnel = tunnel_of(&r);
	if (!tunnel) {
		fprintf(stderr, "ginnel: this is for Wireshark, which calls it with --extcap-interfaces and with "
			"--extcap-interface=" PREFIX "TUNNEL; see ginnel-scope(1)\n");
		return 2;
	}
	if (r.dlts) {
		buf_printf(&out, "dlt {number=%d}{name=RAW}{display=Raw IP}\n", PCAPNG_LINK_RAW);
		return cmd_print(&out);
	}
	if (r.config) {
		config(tunnel, &out);
		return cmd_print(&out);
	}
	return r.capture ? capture(tunnel, &r) : 2;
}
