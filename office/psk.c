#include "office/psk.h"

#include "office/read.h"

#include <errno.h>
#include <sys/random.h>

static bool shares(const struct member *m)
{
	return !m->gone && (m->kind == MEMBER_NODE || m->kind == MEMBER_PERSON);
}

/* The secret of a name is not for somebody else who is called so later. */
static bool is_same(const struct member *m, const struct office *lock)
{
	const struct member *old = lock ? office_find(lock, m->name) : m;

	return old && old->id == m->id;
}

static struct member *find(struct office *o, const struct office *lock, const struct token *name)
{
	char text[OFFICE_NAME_MAX + 1] = "";
	const struct member *m;

	if (name->len >= sizeof(text))
		return NULL;
	memcpy(text, name->at, name->len);
	m = office_find(o, text);
	return m && shares(m) && is_same(m, lock) ? &o->members[m - o->members] : NULL;
}

static void read_line(struct reader *r, const struct office *lock)
{
	static const uint8_t none[KEY_LEN];
	struct token name, value, more;
	uint8_t key[KEY_LEN];
	struct member *m;

	if (!reader_token(r, &name) || *name.at == '#')
		return;
	if (!reader_token(r, &value) || reader_token(r, &more)) {
		reader_complain(r, r->line, reader_column(r, &name), "must be NAME KEY");
		return;
	}
	m = find(r->o, lock, &name);
	if (key_text_parse(value.at, value.len, key) < 0 || !memcmp(key, none, KEY_LEN))
		reader_complain(r, r->line, reader_column(r, &value),
			"is no pre-shared key: 44 characters as wg genpsk prints them; without the line a new one is made");
	else if (m && m->psk)
		reader_complain(r, r->line, reader_column(r, &name), "%s: has one already, in a line above", m->name);
	else if (m && member_set_psk(m, key) < 0)
		r->error = -ENOMEM;
	explicit_bzero(key, sizeof(key));
}

int psk_read(struct office *o, const struct office *lock, const char *file, const char *text, size_t len,
	struct buf *errors)
{
	struct reader r = {.o = o, .file = file, .errors = errors};
	const char *p = len ? text : "";
	const char *end = p + len;

	while (p < end && !r.error) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));

		r.line++;
		r.start = r.p = p;
		r.end = stop ? stop : end;
		p = stop ? stop + 1 : end;
		read_line(&r, lock);
	}
	if (r.error)
		return r.error;
	return r.n_errors ? -EINVAL : 0;
}

int psk_make(struct office *o)
{
	uint8_t key[KEY_LEN];
	bool made = false;
	int r = 0;

	for (struct member *m = o->members; m < o->members + o->n_members && r == 0; m++) {
		if (!shares(m) || m->psk)
			continue;
		r = getrandom(key, sizeof(key), 0) == (ssize_t)sizeof(key) ? member_set_psk(m, key) : -EIO;
		m->given = 0;
		made = true;
	}
	for (struct member *m = o->members; made && m < o->members + o->n_members; m++)
		m->given = m->kind == MEMBER_HUB ? 0 : m->given;
	explicit_bzero(key, sizeof(key));
	return r;
}

int psk_write(const struct office *o, struct buf *ret)
{
	buf_puts(ret, "# Secrets that members share with the hub: for no repository, and for nobody to read.\n"
		      "# Without its line a member gets a new one, and is exported to together with the hub.\n");
	for (const struct member *m = o->members; m < o->members + o->n_members; m++) {
		if (!shares(m) || !m->psk)
			continue;
		buf_printf(ret, "%s ", m->name);
		text_put_key(m->psk, ret);
		buf_puts(ret, "\n");
	}
	return ret->error;
}
