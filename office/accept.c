#include "office/accept.h"

#include "base/suggest.h"
#include "crypto/x25519.h"

#include <errno.h>

#define WORDS 3
#define BOM "\xef\xbb\xbf"
#define SUGGESTING_ERRORS 50	/* looking for neighbours among thousands of names takes time */

struct word {
	const char	*at;
	size_t		 len;
};

struct acceptor {
	struct office	*o;
	const char	*source;
	const struct member *from;	/* who sends them; NULL: somebody who is believed */
	struct x25519	*key;		/* any, to try others with */
	unsigned	 line, n_errors;
	struct buf	*said, *errors;
	bool		 own_notes;	/* no keys, and a port */
	int		 error;		/* -ENOMEM */
};

static bool is(const struct word *w, const char *text)
{
	return strlen(text) == w->len && !memcmp(w->at, text, w->len);
}

static void refuse(struct acceptor *a)
{
	a->n_errors++;
	buf_printf(a->errors, "%s:%u: ", a->source, a->line);
}

/* How many words there are, one more than fit at most. */
static size_t split(const char *line, size_t len, struct word ret[WORDS])
{
	size_t n = 0;

	while (len) {
		size_t blank = 0, word = 0;

		while (blank < len && strchr(" \t\r", line[blank]))
			blank++;
		line += blank;
		len -= blank;
		while (word < len && !strchr(" \t\r", line[word]))
			word++;
		if (word && n < WORDS)
			ret[n] = (struct word){line, word};
		n += word > 0;
		line += word;
		len -= word;
	}
	return n;
}

static struct member *find(struct acceptor *a, const struct word *name)
{
	struct suggest s = suggest_for(name->at, name->len);
	char text[OFFICE_NAME_MAX + 1] = "";
	const struct member *m = NULL;

	if (name->len < sizeof(text) && !memchr(name->at, '\0', name->len)) {
		memcpy(text, name->at, name->len);
		m = office_find(a->o, text);
	}
	if (m && m->kind != MEMBER_HOST && (!a->from || a->from == m))
		return &a->o->members[m - a->o->members];
	refuse(a);
	if (m && m->kind != MEMBER_HOST) {
		buf_printf(a->errors, "speaks of %s, and only %s was to be listened to\n", text, a->from->name);
		return NULL;
	}
	if (m) {
		buf_printf(a->errors, "%s is a host, on which nothing of ours runs\n", text);
		return NULL;
	}
	buf_puts(a->errors, "there is no member ");
	buf_put_printable(a->errors, name->at, min(name->len, (size_t)OFFICE_NAME_MAX));
	for (size_t i = 0; i < a->o->n_members && a->n_errors < SUGGESTING_ERRORS; i++)
		if (!a->o->members[i].gone && a->o->members[i].kind != MEMBER_HOST)
			suggest_offer(&s, a->o->members[i].name);
	suggest_say(&s, "", a->errors);
	buf_puts(a->errors, "\n");
	return NULL;
}

static const struct member *owner_of(const struct office *o, const uint8_t key[KEY_LEN])
{
	for (size_t i = 0; i < o->n_members; i++)
		if (!o->members[i].gone &&
			((o->members[i].has_key &&
				 !memcmp(o->members[i].public_key, key, KEY_LEN)) ||
				(o->members[i].has_next_key &&
					!memcmp(o->members[i].next_key, key, KEY_LEN))))
			return &o->members[i];
	return NULL;
}

/* One with which there is a secret: of some that are no keys all the world knows what comes out. */
static bool is_key(struct acceptor *a, const struct word *value, uint8_t key[KEY_LEN])
{
	static const uint8_t any[KEY_LEN] = {1};
	uint8_t secret[KEY_LEN];
	int r = key_text_parse(value->at, value->len, key);

	if (r == 0 && !a->key)
		r = x25519_new(any, &a->key);
	if (r == 0)
		r = x25519_derive(a->key, key, secret);
	if (r == -ENOMEM)
		a->error = r;
	return r == 0;
}

/* A key that nobody else has; false after a line of errors. */
static bool read_key(struct acceptor *a, const struct member *m, const char *what,
	const struct word *value, uint8_t ret[KEY_LEN])
{
	const struct member *owner;

	if (!is_key(a, value, ret)) {
		refuse(a);
		buf_printf(a->errors,
			"%s of %s: is no key: 44 characters of base64, as ginnel key prints them\n",
			what, m->name);
		return false;
	}
	owner = owner_of(a->o, ret);
	if (!owner || owner == m)
		return true;
	refuse(a);
	buf_printf(a->errors, "%s of %s: is the key of %s already\n", what, m->name, owner->name);
	return false;
}

/* Who must know its keys. */
static const char *peers_of(const struct office *o, const struct member *m)
{
	return m->kind == MEMBER_HUB || !o->hub ? "all others" : o->hub->name;
}

static void accept_key(struct acceptor *a, struct member *m, const struct word *value)
{
	uint8_t key[KEY_LEN];

	if (!read_key(a, m, "key", value, key) ||
		(m->has_key && !memcmp(m->public_key, key, KEY_LEN)))
		return;
	if (m->has_next_key && !memcmp(m->next_key, key, KEY_LEN))
		buf_printf(a->said,
			"%s: its next key is its key now, and the old one is none any more: export "
			"to %s\n",
			m->name, peers_of(a->o, m));
	else
		buf_printf(a->said, "%s: %s\n", m->name,
			m->has_key ? "another key takes the old one's place" : "has its key");
	m->has_key = true;
	memcpy(m->public_key, key, KEY_LEN);
	/* Another key than the one that was to come: whoever made it knows nothing of that one. */
	m->has_next_key = false;
}

static void accept_next_key(struct acceptor *a, struct member *m, const struct word *value)
{
	uint8_t key[KEY_LEN];

	if (!read_key(a, m, "next-key", value, key))
		return;
	if (!m->has_key) {
		refuse(a);
		buf_printf(a->errors,
			"next-key of %s: it has no key yet beside which this one could stand\n",
			m->name);
		return;
	}
	/* The line comes once more, also when it has become the key meanwhile. */
	if (!memcmp(m->public_key, key, KEY_LEN) ||
		(m->has_next_key && !memcmp(m->next_key, key, KEY_LEN)))
		return;
	buf_printf(a->said, "%s: a next key stands beside its key: export to %s, then to %s\n",
		m->name, peers_of(a->o, m), m->name);
	m->has_next_key = true;
	memcpy(m->next_key, key, KEY_LEN);
}

static void accept_mode(struct acceptor *a, struct member *m, const struct word *value)
{
	char text[16] = "";
	int64_t mode = RETURN_AUTO;

	if (value->len < sizeof(text))
		memcpy(text, value->at, value->len);
	if (m->kind != MEMBER_NODE || enum_value(&return_mode_enum, text, &mode) < 0 || mode == RETURN_AUTO) {
		refuse(a);
		buf_printf(a->errors, "return of %s: %s\n", m->name,
			m->kind == MEMBER_NODE ? "must be route, route+gw or snat" : "is for nodes only");
		return;
	}
	if (m->learnt_mode != (enum return_mode)mode)
		buf_printf(a->said, "%s: return mode %s\n", m->name, text);
	m->learnt_mode = (enum return_mode)mode;
}

static void accept_mtu(struct acceptor *a, struct member *m, const struct word *value)
{
	uint64_t mtu;

	if (text_number(value->at, value->len, ACCEPT_MTU_MOST, &mtu) < 0 || mtu < ACCEPT_MTU_LEAST) {
		refuse(a);
		buf_printf(a->errors, "mtu of %s: must be %u..%u\n", m->name, ACCEPT_MTU_LEAST, ACCEPT_MTU_MOST);
		return;
	}
	if (m->learnt_mtu != mtu)
		buf_printf(a->said, "%s: MTU %u\n", m->name, (unsigned)mtu);
	m->learnt_mtu = (unsigned)mtu;
}

static void accept_port(struct member *m, const struct word *value)
{
	uint64_t port;

	if (text_number(value->at, value->len, UINT16_MAX, &port) == 0)
		m->learnt_port = (uint16_t)port;
}

static void accept_line(struct acceptor *a, const char *line, size_t len)
{
	struct word words[WORDS] = {{NULL, 0}};
	size_t n = split(line, len, words);
	struct member *m;

	if (!n || *words[0].at == '#')
		return;
	if (n != WORDS) {
		refuse(a);
		buf_puts(a->errors, "must be NAME key KEY, NAME next-key KEY, NAME return MODE or "
				    "NAME mtu N\n");
		return;
	}
	m = find(a, &words[0]);
	if (!m)
		return;
	if (is(&words[1], "key") && !a->own_notes) {
		accept_key(a, m, &words[2]);
	} else if (is(&words[1], "next-key") && !a->own_notes) {
		accept_next_key(a, m, &words[2]);
	} else if (is(&words[1], "return")) {
		accept_mode(a, m, &words[2]);
	} else if (is(&words[1], "mtu")) {
		accept_mtu(a, m, &words[2]);
	} else if (is(&words[1], "port") && a->own_notes) {
		accept_port(m, &words[2]);
	} else {
		refuse(a);
		buf_printf(a->errors, "behind %s stands key, next-key, return or mtu\n", m->name);
	}
}

static void accept_all(struct acceptor *a, const char *text, size_t len)
{
	if (len >= strlen(BOM) && !memcmp(text, BOM, strlen(BOM))) {
		text += strlen(BOM);
		len -= strlen(BOM);
	}
	while (len && !a->error) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		a->line++;
		if (a->n_errors == OFFICE_ERRORS_MAX && !a->own_notes) {
			refuse(a);
			buf_printf(a->errors, "more may be wrong: these are the first %d errors\n", OFFICE_ERRORS_MAX);
			return;
		}
		accept_line(a, text, line);
		line += end != NULL;
		text += line;
		len -= line;
	}
}

static void acceptor_done(struct acceptor *a)
{
	x25519_free(a->key);
}

int accept_lines(struct office *o, const char *source, const struct member *from, const char *text, size_t len,
	struct buf *said, struct buf *errors)
{
	cleanup(acceptor_done) struct acceptor a = {.o = o, .source = source, .from = from, .said = said, .errors = errors};

	accept_all(&a, text, len);
	return a.error ? a.error : a.n_errors ? -EINVAL : 0;
}

void accept_learnt(struct office *o, const char *text, size_t len)
{
	cleanup(buf_done) struct buf unsaid = buf_of_max(OFFICE_TEXT_MAX);
	struct acceptor a = {.o = o, .source = "", .said = &unsaid, .errors = &unsaid, .own_notes = true};

	accept_all(&a, text, len);
}
