#include "base/suggest.h"
#include "office/read.h"

#include <errno.h>

#define MTU_LEAST 576
#define MTU_MOST 65535

#define ID_(id, word, kinds, said, value, doc) WORD_##id,
#define ROW_(id, word, kinds, said, value, doc) {word, doc, kinds, said, value},
enum { MEMBER_WORD_LIST(ID_) N_WORDS };

static const struct {
	const char	*word, *doc;
	unsigned	 kinds;
	bool		 said, value;
} words[] = {MEMBER_WORD_LIST(ROW_)};

static int find_word(const struct token *t)
{
	for (int i = 0; i < N_WORDS; i++)
		if (token_is(t, words[i].word))
			return i;
	return -1;
}

/* Of what is wrong here nothing is said again: it may be a secret, or most of one. */
static void take_psk(struct reader *r, struct member *m, const struct token *t)
{
	static const uint8_t none[KEY_LEN];
	uint8_t key[KEY_LEN];

	/* lint-ignore -Wanalyzer-null-dereference: a word that has a value comes here with it */
	if (key_text_parse(t->at, t->len, key) < 0 || !memcmp(key, none, KEY_LEN))
		reader_complain(r, r->line, reader_column(r, t), "psk: is no pre-shared key: 44 characters as wg genpsk prints them");
	else if (member_set_psk(m, key) < 0)
		r->error = -ENOMEM;
	explicit_bzero(key, sizeof(key));
}

static void take_word(struct reader *r, struct member *m, int word, const struct token *t)
{
	const char *w = words[word].word;
	unsigned column = t ? reader_column(r, t) : 0;
	uint64_t number = 0;
	int64_t value = 0;

	switch (word) {
	case WORD_ADDRESS:
		m->column.address = column;
		read_address(r, w, t, &m->address);
		break;
	case WORD_AT:
		m->column.lan_address = column;
		read_lan_address(r, w, t, &m->lan, &m->lan_address);
		break;
	case WORD_GW:
		m->column.gateway = column;
		read_lan_address(r, w, t, &m->lan, &m->gateway);
		break;
	case WORD_IF:
		read_device(r, w, t, m->device);
		break;
	case WORD_RETURN:
		if (read_enum(r, w, t, &return_mode_enum, &value))
			m->mode = (enum return_mode)value;
		break;
	case WORD_ALIAS:
		m->column.alias = column;
		read_prefix(r, w, t, &m->alias);
		break;
	case WORD_PORTS:
		read_ports(r, w, t, m->ports);
		break;
	case WORD_PHONE:
		m->phone = true;
		break;
	case WORD_ENGINE:
		if (read_enum(r, w, t, &engine_enum, &value))
			m->engine = (enum engine)value;
		break;
	case WORD_MTU:
		m->column.mtu = column;
		if (read_number(r, w, t, MTU_LEAST, MTU_MOST, &number))
			m->mtu = (unsigned)number;
		break;
	case WORD_ID:
		if (read_number(r, w, t, 1, OFFICE_ID_MAX, &number))
			m->id = (unsigned)number;
		break;
	case WORD_KEY:
		m->column.key = column;
		m->has_key = read_key(r, w, t, m->public_key);
		break;
	case WORD_NEXT_KEY:
		m->has_next_key = read_key(r, w, t, m->next_key);
		break;
	case WORD_PSK:
		take_psk(r, m, t);
		break;
	case WORD_LEARNT:
		if (read_enum(r, w, t, &return_mode_enum, &value))
			m->learnt_mode = (enum return_mode)value;
		break;
	case WORD_LEARNT_MTU:
		if (read_number(r, w, t, MTU_LEAST, MTU_MOST, &number))
			m->learnt_mtu = (unsigned)number;
		break;
	case WORD_GIVEN:
		if (read_number(r, w, t, 1, UINT64_MAX, &number))
			m->given = number;
		break;
	case WORD_GONE:
		m->gone = true;
		break;
	default:
		break;
	}
}

/* Say what is wrong with a word, and skip to the next that is one. */
static void refuse_word(struct reader *r, const struct member *m, const struct token *t)
{
	struct suggest near = suggest_for(t->at, reader_may_suggest(r) ? t->len : 0);
	cleanup(buf_done) struct buf said = buf_of_max(256);
	struct token next;
	const char *before;

	buf_put_printable(&said, t->at, min(t->len, (size_t)60));
	for (int i = 0; i < N_WORDS; i++)
		if (words[i].kinds & KINDS(m->kind) && (words[i].said || r->dialect != DIALECT_FILE))
			suggest_offer(&near, words[i].word);
	if (is_later_word(t, true)) {
		reader_complain(r, r->line, reader_column(r, t), "\"%s\" is not known yet", buf_str(&said));
	} else {
		cleanup(buf_done) struct buf hint = buf_of_max(256);

		suggest_say(&near, "", &hint);
		reader_complain(r, r->line, reader_column(r, t), "unknown word \"%s\" for a %s%s", buf_str(&said),
			enum_name(&member_kind_enum, m->kind), buf_str(&hint));
	}
	for (before = r->p; reader_token(r, &next); before = r->p) {
		if (find_word(&next) >= 0 || is_later_word(&next, true)) {
			r->p = before;
			return;
		}
	}
}

void read_member_words(struct reader *r, struct member *m)
{
	bool seen[N_WORDS] = {false};
	struct token t, value;

	/* A person's address needs no word before it. */
	seen[WORD_ADDRESS] = m->column.address != 0;
	while (reader_token(r, &t)) {
		int word = find_word(&t);
		unsigned column = reader_column(r, &t);

		if (word < 0) {
			refuse_word(r, m, &t);
			continue;
		}
		if (words[word].value && !reader_token(r, &value)) {
			reader_complain(r, r->line, column, "%s: a value is missing: %s", words[word].word, words[word].doc);
			return;
		}
		if (word == WORD_PSK && r->dialect != DIALECT_BUNDLE)
			reader_complain(r, r->line, column, "psk: a secret does not belong here: the line \"psk on\" has one made for each");
		else if (!words[word].said && r->dialect == DIALECT_FILE)
			reader_complain(r, r->line, column, "%s: nobody says this here: it is derived, and kept in the lock",
				words[word].word);
		else if (!(words[word].kinds & KINDS(m->kind)))
			reader_complain(r, r->line, column, "%s: a %s has none", words[word].word,
				enum_name(&member_kind_enum, m->kind));
		else if (seen[word])
			reader_complain(r, r->line, column, "%s: said twice", words[word].word);
		else
			take_word(r, m, word, words[word].value ? &value : NULL);
		seen[word] = true;
	}
}
