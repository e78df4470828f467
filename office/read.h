/*
 * office/read.h - within the reader: where it stands, what it complains of, and values.
 */
#pragma once

#include "office/words.h"

struct token {
	const char	*at;
	size_t		 len;
};

struct reader {
	enum dialect	 dialect;
	struct office	*o;
	const char	*file;
	struct buf	*errors;
	size_t		 n_errors;
	int		 error;		/* -ENOMEM */
	unsigned	 line;
	const char	*start;		/* of the line */
	const char	*p, *end;	/* what is left of it */
};

/*
 * An address of a LAN as people shorten it, until the LAN is known: family 0, ${bits} the bytes
 * that were given, their value in the first four of ${bytes}.
 */
static inline bool is_suffix(const struct prefix *p)
{
	return !p->family && p->bits;
}

/* suffix_resolve(p, lan): make it an address of the LAN, or of what follows its first bytes. */
void suffix_resolve(struct prefix *p, const struct prefix *lan);

/* reader_token(r, ret): the next word of the line; false: there is none. */
bool reader_token(struct reader *r, struct token *ret);
bool token_is(const struct token *t, const char *word);

unsigned reader_column(const struct reader *r, const struct token *t);

/* reader_complain(r, line, column, ...): one line of errors. */
void reader_complain(struct reader *r, unsigned line, unsigned column, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* reader_refuse(r, word, t, ...): the same of a value: WORD: "VALUE" what is wrong. */
void reader_refuse(struct reader *r, const char *word, const struct token *t, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* reader_may_suggest(r): there are few errors so far, so that looking for neighbours costs little. */
bool reader_may_suggest(const struct reader *r);

/* Values.  False: refused, and ${ret} is untouched. */
bool read_address(struct reader *r, const char *word, const struct token *t, struct prefix *ret);
bool read_prefix(struct reader *r, const char *word, const struct token *t, struct prefix *ret);
bool read_lan_address(struct reader *r, const char *word, const struct token *t, const struct prefix *lan,
	struct prefix *ret);
bool read_number(struct reader *r, const char *word, const struct token *t, uint64_t least, uint64_t most,
	uint64_t *ret);
bool read_key(struct reader *r, const char *word, const struct token *t, uint8_t ret[KEY_LEN]);
bool read_enum(struct reader *r, const char *word, const struct token *t, const struct enum_type *type,
	int64_t *ret);
bool read_name(struct reader *r, const struct token *t, char ret[OFFICE_NAME_MAX + 1]);
bool read_device(struct reader *r, const char *word, const struct token *t, char ret[16]);
bool read_ports(struct reader *r, const char *word, const struct token *t,
	uint16_t ret[OFFICE_HUB_PORTS_MAX]);
bool read_endpoint(struct reader *r, const char *word, const struct token *t, struct endpoint *ret);

/* read_member_words(r, m): the rest of the line. */
void read_member_words(struct reader *r, struct member *m);

/* is_later_word(t, of_members): a word that is kept free. */
bool is_later_word(const struct token *t, bool of_members);
