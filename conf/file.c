#include "conf/file.h"

#include "base/suggest.h"
#include "conf/array.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define WHY_MAX 1024
#define VALUE_SHOWN 60

FLAGS_DEFINE(conf_left, CONF_LEFT_LIST);

enum section { SECTION_NONE, SECTION_INTERFACE, SECTION_PEER, SECTION_UNKNOWN };

struct reader {
	struct conf_file	*c;
	const char		*file;
	unsigned		 left;
	struct buf		*errors, *warnings;
	size_t			 line;
	const char		*start;			/* of the line */
	enum section		 section;
	size_t			 seen_interface;	/* the line of [Interface]; 0: none yet */
	size_t			 seen[32];		/* per key: its line in this section */
	size_t			 room_addresses, room_peers, room_allowed;
	bool			 bad;
	int			 error;			/* -ENOMEM */
};

struct key;
typedef void take_fn(struct reader *r, const struct key *key, const char *value, size_t len);

struct key {
	const char	*name;
	enum section	 section;
	bool		 list;		/* may come again, and holds several with commas between */
	bool		 secret;	/* its value is not shown */
	unsigned	 left;		/* CONF_LEFT_... */
	take_fn		*take;
};

static void complain(struct reader *r, const char *at, const char *what)
{
	r->bad = true;
	buf_printf(
		r->errors, "%s:%zu:%zu: %s\n", r->file, r->line, (size_t)(at - r->start) + 1, what);
}

/* "KEY: "VALUE" what is wrong", without the value of a secret. */
static void refuse(
	struct reader *r, const struct key *key, const char *value, size_t len, const char *what)
{
	cleanup(buf_done) struct buf why = buf_of_max(WHY_MAX);

	buf_printf(&why, "%s: ", key->name);
	if (!key->secret && len) {
		buf_puts(&why, "\"");
		buf_put_printable(&why, value, min(len, (size_t)VALUE_SHOWN));
		buf_puts(&why, len > VALUE_SHOWN ? "...\" " : "\" ");
	}
	buf_puts(&why, what);
	complain(r, value, buf_str(&why));
}

/* Room for one more element behind ${n}. */
static bool grow(struct reader *r, void *array, size_t *room, size_t n, size_t size)
{
	if (!array_grow(array, room, n, size))
		r->error = -ENOMEM;
	return !r->error;
}

static struct conf_peer *peer_of(const struct reader *r)
{
	return &r->c->peers[r->c->n_peers - 1];
}

static bool is_word(const char *value, size_t len, const char *word)
{
	return strlen(word) == len && !strncasecmp(value, word, len);
}

/* ---- the keys' values ---- */

static void take_key(struct reader *r, const struct key *key, const char *value, size_t len,
	uint8_t ret[KEY_LEN])
{
	if (key_text_parse(value, len, ret) < 0)
		refuse(r, key, value, len,
			"is no key: 44 characters as wg genkey, wg genpsk and wg pubkey print "
			"them");
}

static void take_private_key(struct reader *r, const struct key *key, const char *value, size_t len)
{
	take_key(r, key, value, len, r->c->private_key);
	r->c->has_private_key = true;
}

static void take_public_key(struct reader *r, const struct key *key, const char *value, size_t len)
{
	take_key(r, key, value, len, peer_of(r)->public_key);
	peer_of(r)->has_public_key = true;
}

static void take_psk(struct reader *r, const struct key *key, const char *value, size_t len)
{
	take_key(r, key, value, len, peer_of(r)->psk);
}

static uint64_t take_number(struct reader *r, const struct key *key, const char *value, size_t len,
	uint64_t least, uint64_t most, bool off)
{
	uint64_t v = 0;
	char what[80];

	if (off && is_word(value, len, "off"))
		return 0;
	if (text_number(value, len, most, &v) == 0 && v >= least)
		return v;
	snprintf(what, sizeof(what), "must be a number from %llu to %llu%s",
		(unsigned long long)least, (unsigned long long)most, off ? ", or off" : "");
	refuse(r, key, value, len, what);
	return 0;
}

static void take_listen_port(struct reader *r, const struct key *key, const char *value, size_t len)
{
	r->c->listen_port = (uint16_t)take_number(r, key, value, len, 0, 65535, false);
}

static void take_fwmark(struct reader *r, const struct key *key, const char *value, size_t len)
{
	r->c->fwmark = (uint32_t)take_number(r, key, value, len, 0, UINT32_MAX, true);
}

static void take_mtu(struct reader *r, const struct key *key, const char *value, size_t len)
{
	r->c->mtu = (unsigned)take_number(r, key, value, len, 576, 65535, false);
}

static void take_keepalive(struct reader *r, const struct key *key, const char *value, size_t len)
{
	peer_of(r)->keepalive = (uint16_t)take_number(r, key, value, len, 0, 65535, true);
}

static void take_table(struct reader *r, const struct key *key, const char *value, size_t len)
{
	uint64_t v;

	if (is_word(value, len, "auto"))
		r->c->table = CONF_TABLE_AUTO;
	else if (is_word(value, len, "off"))
		r->c->table = CONF_TABLE_OFF;
	else if (is_word(value, len, "main"))
		r->c->table = 254;
	else if (text_number(value, len, UINT32_MAX - 1, &v) == 0 && v)
		r->c->table = (uint32_t)v;
	else
		refuse(r, key, value, len, "must be auto, off, main or the number of a table");
}

static void take_endpoint(struct reader *r, const struct key *key, const char *value, size_t len)
{
	cleanup(buf_done) struct buf why = buf_of_max(WHY_MAX);

	if (text_endpoint(value, len, &peer_of(r)->endpoint, &why) < 0)
		refuse(r, key, value, len, buf_str(&why));
}

static void take_address(struct reader *r, const struct key *key, const char *value, size_t len)
{
	struct conf_file *c = r->c;
	struct prefix p;

	if (text_prefix(value, len, &p) < 0) {
		refuse(r, key, value, len,
			"must be an address and the bits of its network, as 10.0.0.1/24");
		return;
	}
	for (size_t i = 0; i < c->n_addresses; i++)
		if (!prefix_compare(&c->addresses[i], &p))
			return;
	if (grow(r, &c->addresses, &r->room_addresses, c->n_addresses, sizeof(p)))
		c->addresses[c->n_addresses++] = p;
}

static void take_allowed(struct reader *r, const struct key *key, const char *value, size_t len)
{
	struct conf_peer *peer = peer_of(r);
	struct prefix p;

	if (text_prefix(value, len, &p) < 0) {
		refuse(r, key, value, len, "must be an address or a network, as 10.0.0.0/24");
		return;
	}
	prefix_mask(&p);
	if (grow(r, &peer->allowed, &r->room_allowed, peer->n_allowed, sizeof(p)))
		peer->allowed[peer->n_allowed++] = p;
}

static void take_left(struct reader *r, const struct key *key, const char *value, size_t len)
{
	cleanup(buf_done) struct buf why = buf_of_max(WHY_MAX);

	if (key->left == CONF_LEFT_SAVE && is_word(value, len, "false"))
		return;
	if (r->left & key->left)
		return;
	buf_printf(&why,
		"%s is not done here, which ginnel-conf(8) explains: take the line out, or say "
		"--leave=%s",
		key->name, enum_name(&conf_left_enum, key->left));
	complain(r, value, buf_str(&why));
}

/* clang-format off */
static const struct key keys[] = {
	{"PrivateKey", SECTION_INTERFACE, .secret = true, .take = take_private_key},
	{"ListenPort", SECTION_INTERFACE, .take = take_listen_port},
	{"FwMark", SECTION_INTERFACE, .take = take_fwmark},
	{"Address", SECTION_INTERFACE, .list = true, .take = take_address},
	{"MTU", SECTION_INTERFACE, .take = take_mtu},
	{"Table", SECTION_INTERFACE, .take = take_table},
	{"DNS", SECTION_INTERFACE, .list = true, .left = CONF_LEFT_DNS, .take = take_left},
	{"PreUp", SECTION_INTERFACE, .list = true, .left = CONF_LEFT_HOOKS, .take = take_left},
	{"PostUp", SECTION_INTERFACE, .list = true, .left = CONF_LEFT_HOOKS, .take = take_left},
	{"PreDown", SECTION_INTERFACE, .list = true, .left = CONF_LEFT_HOOKS, .take = take_left},
	{"PostDown", SECTION_INTERFACE, .list = true, .left = CONF_LEFT_HOOKS, .take = take_left},
	{"SaveConfig", SECTION_INTERFACE, .left = CONF_LEFT_SAVE, .take = take_left},
	{"PublicKey", SECTION_PEER, .take = take_public_key},
	{"PresharedKey", SECTION_PEER, .secret = true, .take = take_psk},
	{"AllowedIPs", SECTION_PEER, .list = true, .take = take_allowed},
	{"Endpoint", SECTION_PEER, .take = take_endpoint},
	{"PersistentKeepalive", SECTION_PEER, .take = take_keepalive},
};
/* clang-format on */
_Static_assert(array_size(keys) <= array_size(((struct reader *)0)->seen), "a place for each");

/* ---- lines ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

static const char *drop_blanks(const char *p, const char *end)
{
	while (end > p && is_blank(end[-1]))
		end--;
	return end;
}

static void end_section(struct reader *r)
{
	if (r->section == SECTION_PEER && !peer_of(r)->has_public_key) {
		size_t line = r->line;

		r->line = peer_of(r)->line;
		complain(r, r->start, "this [Peer] has no PublicKey");
		r->line = line;
	}
	memset(r->seen, 0, sizeof(r->seen));
}

static void begin_peer(struct reader *r)
{
	struct conf_file *c = r->c;

	r->section = SECTION_UNKNOWN;
	if (!grow(r, &c->peers, &r->room_peers, c->n_peers, sizeof(*c->peers)))
		return;
	c->peers[c->n_peers++] = (struct conf_peer){.line = r->line};
	r->room_allowed = 0;
	r->section = SECTION_PEER;
}

static void begin_section(struct reader *r, const char *p, const char *end)
{
	end_section(r);
	if (is_word(p, (size_t)(end - p), "[Peer]")) {
		begin_peer(r);
	} else if (is_word(p, (size_t)(end - p), "[Interface]")) {
		r->section = SECTION_INTERFACE;
		if (r->seen_interface) {
			cleanup(buf_done) struct buf why = buf_of_max(WHY_MAX);

			buf_printf(&why, "there is an [Interface] already, in line %zu",
				r->seen_interface);
			complain(r, p, buf_str(&why));
		} else {
			r->seen_interface = r->line;
		}
	} else {
		r->section = SECTION_UNKNOWN;
		complain(r, p, "a section is [Interface] or [Peer]");
	}
}

static const struct key *find_key(struct reader *r, const char *name, size_t len)
{
	cleanup(buf_done) struct buf why = buf_of_max(WHY_MAX);
	struct suggest near = suggest_for(name, len);
	const struct key *elsewhere = NULL;

	for (size_t i = 0; i < array_size(keys); i++) {
		if (is_word(name, len, keys[i].name)) {
			if (keys[i].section == r->section)
				return &keys[i];
			elsewhere = &keys[i];
		}
		if (keys[i].section == r->section)
			suggest_offer(&near, keys[i].name);
	}
	if (elsewhere) {
		buf_printf(&why, "%s belongs into %s", elsewhere->name,
			elsewhere->section == SECTION_PEER ? "a [Peer]" : "the [Interface]");
	} else {
		buf_puts(&why, "unknown key \"");
		buf_put_printable(&why, name, min(len, (size_t)VALUE_SHOWN));
		buf_puts(&why, "\"");
		suggest_say(&near, "", &why);
	}
	complain(r, name, buf_str(&why));
	return NULL;
}

static void take_list(struct reader *r, const struct key *key, const char *p, const char *end)
{
	for (;;) {
		const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;
		const char *from = skip_blanks(p, stop);

		stop = drop_blanks(from, stop);
		if (stop > from)
			key->take(r, key, from, (size_t)(stop - from));
		else
			complain(r, from, "something is missing between commas");
		if (!comma)
			return;
		p = comma + 1;
	}
}

static void read_setting(struct reader *r, const char *p, const char *end)
{
	const char *equals = memchr(p, '=', (size_t)(end - p)), *value;
	const struct key *key;
	size_t *seen;

	if (!equals || equals == p) {
		complain(r, p, "\"Key = value\" is expected, or [Interface] or [Peer]");
		return;
	}
	if (r->section == SECTION_NONE)
		complain(r, p, "[Interface] or [Peer] must come first");
	if (r->section == SECTION_NONE || r->section == SECTION_UNKNOWN)
		return;
	key = find_key(r, p, (size_t)(drop_blanks(p, equals) - p));
	if (!key)
		return;
	seen = &r->seen[key - keys];
	if (*seen && !key->list) {
		cleanup(buf_done) struct buf why = buf_of_max(WHY_MAX);

		buf_printf(&why, "%s was set before, in line %zu", key->name, *seen);
		complain(r, p, buf_str(&why));
		return;
	}
	*seen = r->line;
	value = skip_blanks(equals + 1, end);
	/* No value: wg writes that for a peer without allowed IPs. */
	if (value == end && key->take != take_allowed && key->take != take_left)
		refuse(r, key, value, 0, "the value is missing");
	else if (key->list && key->take != take_left && value < end)
		take_list(r, key, value, end);
	else if (value < end || key->take == take_left)
		key->take(r, key, value, (size_t)(end - value));
}

static void read_line(struct reader *r, const char *p, const char *end)
{
	const char *comment = memchr(p, '#', (size_t)(end - p));

	for (const char *c = p; c < end; c++) {
		if (((unsigned char)*c < ' ' && !is_blank(*c)) || *c == 0x7f) {
			complain(r, c, "a control character");
			return;
		}
	}
	end = drop_blanks(p, comment ? comment : end);
	p = skip_blanks(p, end);
	if (p == end)
		return;
	if (*p == '[')
		begin_section(r, p, end);
	else
		read_setting(r, p, end);
}

/* ---- the file as a whole ---- */

static int compare_peers(const void *a, const void *b)
{
	const struct conf_peer *x = a, *y = b;
	int d = memcmp(x->public_key, y->public_key, KEY_LEN);

	return d ? d : (x->line > y->line) - (x->line < y->line);
}

static int compare_prefixes(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

static void sort_allowed(struct conf_peer *p)
{
	size_t n = 0;

	if (p->n_allowed)
		qsort(p->allowed, p->n_allowed, sizeof(*p->allowed), compare_prefixes);
	for (size_t i = 0; i < p->n_allowed; i++)
		if (!n || prefix_compare(&p->allowed[n - 1], &p->allowed[i]))
			p->allowed[n++] = p->allowed[i];
	p->n_allowed = n;
}

/* A prefix and whose it is. */
struct claim {
	const struct prefix	*prefix;
	struct conf_peer	*peer;
};

static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int d = prefix_compare(x->prefix, y->prefix);

	return d ? d : (x->peer->line > y->peer->line) - (x->peer->line < y->peer->line);
}

/* Of two peers that claim one prefix the one that stands last has it; elsewhere that goes unsaid.
 */
static int settle_claims(struct reader *r)
{
	cleanup(free_ptr) struct claim *claims = NULL;
	size_t n = 0, at = 0;

	for (size_t i = 0; i < r->c->n_peers; i++)
		n += r->c->peers[i].n_allowed;
	claims = calloc(max(n, (size_t)1), sizeof(*claims));
	if (!claims)
		return -ENOMEM;
	for (size_t i = 0; i < r->c->n_peers; i++)
		for (size_t j = 0; j < r->c->peers[i].n_allowed; j++)
			claims[at++] = (struct claim){&r->c->peers[i].allowed[j], &r->c->peers[i]};
	if (n)
		qsort(claims, n, sizeof(*claims), compare_claims);
	for (size_t i = 0; i + 1 < n; i++) {
		if (!prefix_compare(claims[i].prefix, claims[i + 1].prefix)) {
			buf_printf(r->errors, "%s:%zu:1: ", r->file, claims[i + 1].peer->line);
			text_put_prefix(claims[i].prefix, r->errors);
			buf_printf(r->errors,
				" is among the AllowedIPs of this peer and of the one in line %zu: "
				"one can have it\n",
				claims[i].peer->line);
			r->bad = true;
		}
	}
	return 0;
}

static int check_whole(struct reader *r)
{
	struct conf_file *c = r->c;

	if (!r->seen_interface) {
		buf_printf(r->errors, "%s:1:1: there is no [Interface]\n", r->file);
		r->bad = true;
	} else if (!c->has_private_key) {
		buf_printf(r->errors, "%s:%zu:1: the [Interface] has no PrivateKey\n", r->file,
			r->seen_interface);
		r->bad = true;
	}
	if (c->n_peers)
		qsort(c->peers, c->n_peers, sizeof(*c->peers), compare_peers);
	for (size_t i = 0; i < c->n_peers; i++) {
		struct conf_peer *p = &c->peers[i];

		sort_allowed(p);
		if (i && p->has_public_key && p[-1].has_public_key &&
			!memcmp(p->public_key, p[-1].public_key, KEY_LEN)) {
			buf_printf(r->errors, "%s:%zu:1: this peer was given before, in line %zu\n",
				r->file, p->line, p[-1].line);
			r->bad = true;
		}
	}
	if (c->mtu && c->mtu < 1280)
		for (size_t i = 0; i < c->n_addresses; i++)
			if (c->addresses[i].family == AF_INET6) {
				buf_printf(r->warnings, "%s: IPv6 takes an MTU of at least 1280\n",
					r->file);
				break;
			}
	return settle_claims(r);
}

int conf_read(const char *file, const char *text, size_t len, unsigned left, struct conf_file **ret,
	struct buf *errors, struct buf *warnings)
{
	cleanup(conf_freep) struct conf_file *c = calloc(1, sizeof(*c));
	struct reader r = {
		.c = c, .file = file, .left = left, .errors = errors, .warnings = warnings};
	const char *end = text + len;
	int error;

	if (!c)
		return -ENOMEM;
	c->table = CONF_TABLE_AUTO;
	for (const char *p = text; p < end && !r.error;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p)),
			   *stop = newline ? newline : end;

		r.line++;
		r.start = p;
		read_line(&r, p, stop);
		p = newline ? newline + 1 : end;
	}
	end_section(&r);
	if (r.error)
		return r.error;
	error = check_whole(&r);
	if (error < 0)
		return error;
	if (r.bad)
		return -EINVAL;
	*ret = steal(c);
	return 0;
}

void conf_free(struct conf_file *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_peers; i++) {
		explicit_bzero(c->peers[i].psk, KEY_LEN);
		free(c->peers[i].allowed);
	}
	explicit_bzero(c->private_key, KEY_LEN);
	free(c->addresses);
	free(c->peers);
	free(c);
}

bool conf_takes_all(const struct conf_file *c, int family)
{
	for (size_t i = 0; i < c->n_peers; i++)
		for (size_t j = 0; j < c->peers[i].n_allowed; j++)
			if (c->peers[i].allowed[j].family == family && !c->peers[i].allowed[j].bits)
				return true;
	return false;
}
