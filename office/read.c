#include "office/read.h"

#include "base/suggest.h"
#include "conf/array.h"
#include "office/ipv4.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define SHOWN 60
#define SUGGESTING_ERRORS 50	/* looking for neighbours among thousands of names takes time */
#define BOM "\xef\xbb\xbf"

#define ID_(id, word, said, doc) TOP_##id,
#define ROW_(id, word, said, doc) {word, doc, said},
enum { TOP_WORD_LIST(ID_) N_TOP_WORDS };

static const struct {
	const char	*word, *doc;
	bool		 said;
} top_words[] = {TOP_WORD_LIST(ROW_)};

static const char *const later_top_words[] = {LATER_TOP_WORDS};
static const char *const later_member_words[] = {LATER_MEMBER_WORDS};

/* ---- words and complaints ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

bool reader_token(struct reader *r, struct token *ret)
{
	while (r->p < r->end && is_blank(*r->p))
		r->p++;
	ret->at = r->p;
	while (r->p < r->end && !is_blank(*r->p))
		r->p++;
	ret->len = (size_t)(r->p - ret->at);
	return ret->len > 0;
}

bool token_is(const struct token *t, const char *word)
{
	return strlen(word) == t->len && !memcmp(t->at, word, t->len);
}

unsigned reader_column(const struct reader *r, const struct token *t)
{
	return (unsigned)(t->at - r->start) + 1;
}

/* The line's beginning; false: that there is more was said. */
static bool complain_at(struct reader *r, unsigned line, unsigned column)
{
	if (r->n_errors > OFFICE_ERRORS_MAX)
		return false;
	buf_printf(r->errors, "%s:%u:%u: ", r->file, line, column);
	if (++r->n_errors <= OFFICE_ERRORS_MAX)
		return true;
	buf_printf(r->errors, "more is wrong: these are the first %d errors\n", OFFICE_ERRORS_MAX);
	return false;
}

void reader_complain(struct reader *r, unsigned line, unsigned column, const char *fmt, ...)
{
	va_list args;

	if (!complain_at(r, line, column))
		return;
	va_start(args, fmt);
	buf_vprintf(r->errors, fmt, args);
	va_end(args);
	buf_puts(r->errors, "\n");
}

void reader_refuse(struct reader *r, const char *word, const struct token *t, const char *fmt, ...)
{
	va_list args;

	if (!complain_at(r, r->line, reader_column(r, t)))
		return;
	buf_printf(r->errors, "%s: \"", word);
	buf_put_printable(r->errors, t->at, min(t->len, (size_t)SHOWN));
	buf_printf(r->errors, "%s\" ", t->len > SHOWN ? "..." : "");
	va_start(args, fmt);
	buf_vprintf(r->errors, fmt, args);
	va_end(args);
	buf_puts(r->errors, "\n");
}

bool reader_may_suggest(const struct reader *r)
{
	return r->n_errors < SUGGESTING_ERRORS;
}

/* ---- lines ---- */

static int find_top_word(const struct token *t)
{
	for (int i = 0; i < N_TOP_WORDS; i++)
		if (token_is(t, top_words[i].word))
			return i;
	return -1;
}

static bool is_any_of(const struct token *t, const char *const words[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (token_is(t, words[i]))
			return true;
	return false;
}

bool is_later_word(const struct token *t, bool of_members)
{
	return of_members ? is_any_of(t, later_member_words, array_size(later_member_words)) :
			    is_any_of(t, later_top_words, array_size(later_top_words));
}

/* What a line may not begin with, if it is a member's. */
static bool is_reserved(const struct token *t)
{
	return find_top_word(t) >= 0 || is_later_word(t, false) || is_later_word(t, true) || token_is(t, "for");
}

static bool find_kind(const struct token *t, enum member_kind *ret)
{
	enum_each (&member_kind_enum, m) {
		if (token_is(t, m->name)) {
			*ret = (enum member_kind)m->value;
			return true;
		}
	}
	return false;
}

static void end_of_line(struct reader *r)
{
	struct token t;

	if (reader_token(r, &t))
		reader_refuse(r, "end of line", &t, "is too much here");
}

/* ${members}: how many lines of members a bundle says it has. */
static void read_version(struct reader *r, const struct token *t, size_t *members)
{
	uint64_t v;
	struct token word;
	const char *before;

	if (!read_number(r, "version", t, 0, UINT32_MAX, &v))
		return;
	if (v != OFFICE_VERSION) {
		reader_refuse(r, "version", t, "is of another ginnel's format: this one knows %d", OFFICE_VERSION);
		return;
	}
	if (r->dialect != DIALECT_BUNDLE)
		return;
	if (!reader_token(r, &word) || !token_is(&word, "for") || !reader_token(r, &word)) {
		reader_complain(r, r->line, (unsigned)(r->p - r->start) + 1, "version: \"for NAME\" is missing");
		return;
	}
	read_name(r, &word, r->o->self);
	before = r->p;
	if (!reader_token(r, &word) || !token_is(&word, MEMBERS_WORD))
		r->p = before;
	else if (!reader_token(r, &word))
		reader_complain(r, r->line, (unsigned)(r->p - r->start) + 1, "version: how many " MEMBERS_WORD " is missing");
	else if (read_number(r, MEMBERS_WORD, &word, 1, OFFICE_MEMBERS_MAX, &v))
		*members = (size_t)v;
}

/* Whatever stands there may be a secret. */
static void read_psk_on(struct reader *r, const struct token *t)
{
	if (r->dialect == DIALECT_BUNDLE)
		reader_complain(r, r->line, reader_column(r, t), "psk: in a bundle it stands in the lines of members");
	else if (!token_is(t, "on"))
		reader_complain(r, r->line, reader_column(r, t),
			"psk: must be \"on\": without the line there are none; the keys themselves are in the file that ends in .psk");
	else
		r->o->psk = true;
}

struct top_lines {
	unsigned	line[N_TOP_WORDS];	/* 0: not there */
	size_t		members;		/* 0: not said */
};

static void read_top_line(struct reader *r, struct top_lines *seen, int word, const struct token *first)
{
	const char *w = top_words[word].word;
	struct office *o = r->o;
	struct token t;
	uint64_t v;

	if (!reader_token(r, &t)) {
		reader_complain(r, r->line, reader_column(r, first), "%s: a value is missing: %s", w, top_words[word].doc);
		return;
	}
	if (!top_words[word].said && r->dialect == DIALECT_FILE) {
		reader_complain(r, r->line, reader_column(r, first),
			"%s: nobody says this here: it is derived, and kept in the lock", w);
		return;
	}
	if (seen->line[word]) {
		reader_complain(r, r->line, reader_column(r, first), "%s: said before, in line %u", w, seen->line[word]);
		return;
	}
	seen->line[word] = r->line;
	switch (word) {
	case TOP_NET:
		o->net_place = (struct place){r->line, reader_column(r, &t)};
		read_prefix(r, w, &t, &o->net);
		break;
	case TOP_ALIASES:
		o->aliases_place = (struct place){r->line, reader_column(r, &t)};
		read_prefix(r, w, &t, &o->aliases);
		break;
	case TOP_PORT:
		if (read_number(r, w, &t, 1, 65535, &v))
			o->port = (uint16_t)v;
		break;
	case TOP_OFFICE_MTU:
		if (read_number(r, w, &t, 576, 65535, &v))
			o->mtu = (unsigned)v;
		break;
	case TOP_PSK_ON:
		read_psk_on(r, &t);
		break;
	case TOP_VERSION:
		read_version(r, &t, &seen->members);
		break;
	default:
		if (read_number(r, w, &t, 1, OFFICE_ID_MAX + 1, &v))
			o->next_id = (unsigned)v;
		break;
	}
	end_of_line(r);
}

/* What each kind has before the words; false: the line cannot be understood further. */
static bool read_positional(struct reader *r, struct member *m, const struct token *kind)
{
	struct token t;
	const char *before = r->p;

	if (!reader_token(r, &t)) {
		static const char *const missing[] = {[MEMBER_HUB] = "a host, as z.example.com",
			[MEMBER_NODE] = "the prefix of its LAN, as 192.168.201.0/24",
			[MEMBER_HOST] = "its node and its address, as a .55"};

		if (m->kind == MEMBER_PERSON)
			return true;
		reader_complain(r, r->line, reader_column(r, kind), "%s: %s must follow",
			enum_name(&member_kind_enum, m->kind), missing[m->kind]);
		return false;
	}
	switch (m->kind) {
	case MEMBER_HUB:
		m->column.endpoint = reader_column(r, &t);
		read_endpoint(r, "hub", &t, &m->endpoint);
		return true;
	case MEMBER_NODE:
		m->column.lan = reader_column(r, &t);
		read_prefix(r, "node", &t, &m->lan);
		return true;
	case MEMBER_HOST:
		m->column.node = reader_column(r, &t);
		if (!read_name(r, &t, m->node))
			return false;
		if (!reader_token(r, &t)) {
			reader_complain(r, r->line, m->column.node, "host: its address must follow, as .55");
			return false;
		}
		m->column.host = reader_column(r, &t);
		return read_lan_address(r, "host", &t, NULL, &m->host);
	case MEMBER_PERSON:
		if (t.at[0] >= '0' && t.at[0] <= '9') {
			m->column.address = reader_column(r, &t);
			read_address(r, "person", &t, &m->address);
		} else {
			r->p = before;
		}
		return true;
	}
	return false;
}

static struct member *new_member(struct reader *r, size_t *room)
{
	struct office *o = r->o;

	if (!array_grow(&o->members, room, o->n_members, sizeof(*o->members))) {
		r->error = -ENOMEM;
		return NULL;
	}
	return &o->members[o->n_members];
}

/* The word behind the name is no kind: what was meant? */
static void refuse_kind(struct reader *r, const struct token *name, const struct token *kind)
{
	bool suggesting = reader_may_suggest(r);
	struct suggest near = suggest_for(kind->at, suggesting ? kind->len : 0),
		       near_top = suggest_for(name->at, suggesting ? name->len : 0);
	cleanup(buf_done) struct buf hint = buf_of_max(256);

	enum_each (&member_kind_enum, m)
		suggest_offer(&near, m->name);
	for (int i = 0; i < N_TOP_WORDS; i++)
		if (top_words[i].said || r->dialect != DIALECT_FILE)
			suggest_offer(&near_top, top_words[i].word);
	if (near.best) {
		suggest_say(&near, "", &hint);
	} else if (near_top.best) {
		reader_refuse(r, "line", name, "is no word that begins one: did you mean %s?", near_top.best);
		return;
	}
	reader_refuse(r, "kind", kind, "is neither hub, node, host nor person%s", buf_str(&hint));
}

static bool fits(struct reader *r, const struct member *m, size_t *n_living)
{
	if (m->gone || ++*n_living <= OFFICE_MEMBERS_MAX)
		return true;
	if (*n_living == OFFICE_MEMBERS_MAX + 1)
		reader_complain(r, r->line, m->place.column, "more than %d members", OFFICE_MEMBERS_MAX);
	return false;
}

static void read_member(struct reader *r, const struct token *name, size_t *room, size_t *n_living)
{
	struct member *m = new_member(r, room);
	struct token kind;
	bool named;

	if (!m)
		return;
	memset(m, 0, sizeof(*m));
	m->place = (struct place){r->line, reader_column(r, name)};
	if (!reader_token(r, &kind)) {
		reader_refuse(r, "line", name, "stands alone: NAME hub, node, host or person is expected");
		return;
	}
	if (!find_kind(&kind, &m->kind)) {
		refuse_kind(r, name, &kind);
		return;
	}
	named = read_name(r, name, m->name);
	if (!read_positional(r, m, &kind))
		return;
	read_member_words(r, m);
	if (named && fits(r, m, n_living))
		r->o->n_members++;
	else
		member_set_psk(m, NULL);
}

/* A blank that looks like one, as input methods and web pages put it; how many bytes, or 0. */
static size_t strange_blank(const char *c, const char *end)
{
	static const char *const blanks[] = {"\xc2\xa0", "\xe3\x80\x80", "\xe2\x80\x8b", BOM};

	for (size_t i = 0; i < array_size(blanks); i++)
		if ((size_t)(end - c) >= strlen(blanks[i]) && !memcmp(c, blanks[i], strlen(blanks[i])))
			return strlen(blanks[i]);
	return 0;
}

/* What git writes around the sides of a conflict. */
static bool is_merge_mark(const struct token *t)
{
	for (const char *mark = "<|=>"; *mark; mark++)
		if (t->len == 7 && t->at[0] == *mark && !memcmp(t->at, t->at + 1, 6))
			return true;
	return false;
}

struct reading {
	struct reader	 r;
	struct top_lines seen;
	size_t		 room, n_living;
	bool		 begun;		/* a line that says something was there */
	bool		 ends;		/* the last line does */
};

static void read_line(struct reading *reading)
{
	struct reader *r = &reading->r;
	struct token t, second;
	const char *after;
	enum member_kind kind;
	int word;

	for (const char *c = r->p; c < r->end; c++) {
		if (((unsigned char)*c < ' ' && !is_blank(*c)) || *c == 0x7f) {
			reader_complain(r, r->line, (unsigned)(c - r->start) + 1, "a control character");
			return;
		}
	}
	for (const char *c = r->p; c < r->end; c++)
		if (*c == '#')
			r->end = c;
	for (const char *c = r->p; c < r->end; c++) {
		if (strange_blank(c, r->end)) {
			reader_complain(r, r->line, (unsigned)(c - r->start) + 1, "a blank of another kind: take a space");
			return;
		}
	}
	if (!reader_token(r, &t))
		return;
	if (is_merge_mark(&t)) {
		reader_complain(r, r->line, reader_column(r, &t),
			"a merge has left the lines of two sides here: keep what is right, and remove this line");
		return;
	}
	word = find_top_word(&t);
	if (r->dialect != DIALECT_FILE && !reading->begun && word != TOP_VERSION)
		reader_complain(r, r->line, reader_column(r, &t), "\"version %d%s\" must come first", OFFICE_VERSION,
			r->dialect == DIALECT_BUNDLE ? " for NAME" : "");
	reading->begun = true;
	after = r->p;
	if (is_reserved(&t) && reader_token(r, &second) && find_kind(&second, &kind)) {
		reader_refuse(r, "name", &t, "is a word of the grammar, and no member's name");
		return;
	}
	r->p = after;
	if (word >= 0)
		read_top_line(r, &reading->seen, word, &t);
	else if (is_later_word(&t, false))
		reader_complain(r, r->line, reader_column(r, &t), "\"%.*s\" is not known yet", (int)t.len, t.at);
	else
		read_member(r, &t, &reading->room, &reading->n_living);
}

/* ---- what only all lines together tell ---- */

static int by_name_and_line(const void *a, const void *b)
{
	const struct member *const *x = a, *const *y = b;
	int r = strcmp((*x)->name, (*y)->name);

	return r ? r : *x < *y ? -1 : *x > *y;
}

static int by_id_and_line(const void *a, const void *b)
{
	const struct member *const *x = a, *const *y = b;

	if ((*x)->id != (*y)->id)
		return (*x)->id < (*y)->id ? -1 : 1;
	return *x < *y ? -1 : *x > *y;
}

/* ${same} of neighbours in this order is an error of the later one. */
static void find_twins(struct reader *r, int (*order)(const void *, const void *), bool living_only,
	bool (*same)(const struct member *, const struct member *), const char *what, const char *instead)
{
	struct office *o = r->o;
	cleanup(free_ptr) const struct member **all = calloc(o->n_members + 1, sizeof(struct member *));
	size_t n = 0;

	if (!all) {
		r->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < o->n_members; i++)
		if (!living_only || !o->members[i].gone)
			all[n++] = &o->members[i];
	qsort(all, n, sizeof(struct member *), order);
	for (size_t i = 1; i < n; i++)
		if (same(all[i - 1], all[i]))
			reader_complain(r, all[i]->place.line, all[i]->place.column, "%s: the %s is there already, in line %u%s",
				all[i]->name, what, all[i - 1]->place.line, instead);
}

static bool same_name(const struct member *a, const struct member *b)
{
	return !strcmp(a->name, b->name);
}

static bool same_id(const struct member *a, const struct member *b)
{
	return a->id == b->id && a->id;
}

static void resolve_host(struct reader *r, struct member *m)
{
	const struct member *node = office_find(r->o, m->node);

	if (node && node->kind == MEMBER_NODE) {
		if (is_suffix(&m->host) && node->lan.family)
			suffix_resolve(&m->host, &node->lan);
		return;
	}
	if (node) {
		reader_complain(r, m->place.line, m->column.node, "%s: %s is a %s, in line %u, and no node", m->name,
			m->node, enum_name(&member_kind_enum, node->kind), node->place.line);
	} else {
		struct suggest near = suggest_for(m->node, reader_may_suggest(r) ? strlen(m->node) : 0);
		cleanup(buf_done) struct buf hint = buf_of_max(256);

		for (size_t i = 0; i < r->o->n_nodes; i++)
			suggest_offer(&near, r->o->nodes[i]->name);
		suggest_say(&near, "", &hint);
		reader_complain(r, m->place.line, m->column.node, "%s: there is no node %s%s", m->name, m->node,
			buf_str(&hint));
	}
}

/* Lock and bundle say everything. */
static void find_unsaid(struct reader *r, const struct member *m)
{
	const char *what = NULL;

	if (!m->id)
		what = "id";
	else if (r->dialect == DIALECT_LOCK && m->id >= r->o->next_id)
		what = "id, one below that of the line \"next\",";
	else if (m->gone || m->kind == MEMBER_HOST)
		return;
	else if (!m->address.family)
		what = "address";
	else if (m->kind == MEMBER_HUB && !m->endpoint.port)
		what = "port";
	else if (m->kind == MEMBER_NODE && !m->alias.family)
		what = "alias";
	if (what)
		reader_complain(r, m->place.line, m->place.column, "%s: the %s is missing", m->name, what);
}

static void find_unsaid_tops(struct reader *r, const struct top_lines *seen, unsigned last)
{
	for (int i = 0; i < N_TOP_WORDS; i++)
		if (!seen->line[i] && i != TOP_PSK_ON && (i != TOP_NEXT || r->dialect == DIALECT_LOCK))
			reader_complain(r, last, 1, "the line \"%s\" is missing", top_words[i].word);
}

static void find_self(struct reader *r)
{
	const struct member *self = office_find(r->o, r->o->self);

	if (r->o->self[0] && (!self || self->kind == MEMBER_HOST))
		reader_complain(r, 1, 1, "%s, whom this is for, is not in it", r->o->self);
}

/* On its way, or where it was kept, its end was lost; who is not in it any more would be shut out. */
static void find_cut(struct reader *r, const struct top_lines *seen, bool ends)
{
	if (!seen->members || (r->n_errors && ends))
		return;
	if (r->o->n_members != seen->members)
		reader_complain(r, r->line, 1, "%zu members are here, of %zu: a part was lost on the way, send it again",
			r->o->n_members, seen->members);
	else if (!ends)
		reader_complain(r, r->line, 1, "the end of the line was lost on the way: send it again");
}

static int by_id(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void finish(struct reading *reading)
{
	struct reader *r = &reading->r;
	struct office *o = r->o;

	find_twins(r, by_name_and_line, true, same_name, "name", "");
	if (office_index(o) < 0)
		r->error = -ENOMEM;
	if (r->error)
		return;
	for (size_t i = 0; i < o->n_members; i++)
		if (o->members[i].kind == MEMBER_HOST)
			resolve_host(r, &o->members[i]);
	if (r->dialect == DIALECT_FILE)
		return;
	find_twins(r, by_id_and_line, false, same_id, "id", r->dialect == DIALECT_LOCK ?
		": remove this line, and the member gets another one, and its key is to be accepted anew" : "");
	find_unsaid_tops(r, &reading->seen, r->line);
	for (size_t i = 0; i < o->n_members; i++)
		find_unsaid(r, &o->members[i]);
	if (r->dialect == DIALECT_BUNDLE)
		find_self(r);
	find_cut(r, &reading->seen, reading->ends);
	if (r->n_errors)
		return;
	/* A merge by hand may have put them in another order. */
	qsort(o->members, o->n_members, sizeof(*o->members), by_id);
	if (office_index(o) < 0)
		r->error = -ENOMEM;
}

int office_read(enum dialect dialect, const char *file, const char *text, size_t len, struct office **ret,
	struct buf *errors)
{
	cleanup(office_freep) struct office *o = calloc(1, sizeof(*o));
	struct reading reading = {.r = {.dialect = dialect, .o = o, .file = file, .errors = errors}};
	struct reader *r = &reading.r;
	const char *p = len ? text : "";
	const char *end = p + len;

	/* There is an array even of no members, so that whoever walks it need not ask. */
	if (!o || !array_grow(&o->members, &reading.room, 0, sizeof(*o->members)))
		return -ENOMEM;
	if (len > OFFICE_TEXT_MAX) {
		reader_complain(r, 1, 1, "more than %zu MiB", OFFICE_TEXT_MAX >> 20);
		return -EINVAL;
	}
	if (len > 1 && (!memcmp(p, "\xff\xfe", 2) || !memcmp(p, "\xfe\xff", 2))) {
		reader_complain(r, 1, 1, "this is UTF-16: save it as UTF-8");
		return -EINVAL;
	}
	if (end - p >= (ptrdiff_t)strlen(BOM) && !memcmp(p, BOM, strlen(BOM)))
		p += strlen(BOM);
	while (p < end && !r->error) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));

		r->line++;
		r->start = r->p = p;
		r->end = stop ? stop : end;
		p = stop ? stop + 1 : end;
		read_line(&reading);
		/* Of another format nothing else can be judged. */
		if (dialect != DIALECT_FILE && r->line == reading.seen.line[TOP_VERSION] && r->n_errors)
			return -EINVAL;
	}
	r->line = max(r->line, 1u);
	reading.ends = len && end[-1] == '\n';
	if (!r->error)
		finish(&reading);
	if (r->error)
		return r->error;
	if (r->n_errors)
		return -EINVAL;
	*ret = steal(o);
	return 0;
}
