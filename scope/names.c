#include "scope/names.h"

#include "conf/text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#define CONF_DIR "/etc/wireguard"
#define CONF_MAX ((size_t)16 << 20)

struct address {
	struct prefix	 prefix;	/* all bits */
	size_t		 peer;
};

struct peer {
	uint8_t	 key[KEY_LEN];
	char	 name[NAME_MAX_LEN + 1];	/* "": none */
	size_t	 place;				/* in the file */
};

struct names {
	struct peer	*peers;
	size_t		 n_peers;
	struct peer	*named;		/* copies of those who have a name, by key; of one key the first in the file */
	size_t		 n_named;
	struct address	*addresses;
	size_t		 n_addresses;
};

/* A piece of the text, without blanks at its ends. */
struct piece {
	const char	*at;
	size_t		 len;
};

static struct piece trimmed(const char *at, size_t len)
{
	while (len && isspace((unsigned char)*at))
		at++, len--;
	while (len && isspace((unsigned char)at[len - 1]))
		len--;
	return (struct piece){at, len};
}

static bool begins(struct piece p, const char *with)
{
	size_t n = strlen(with);

	return p.len >= n && !strncasecmp(p.at, with, n);
}

static struct piece behind(struct piece p, size_t n)
{
	return trimmed(p.at + n, p.len - n);
}

/* What a comment says when it is a name: up to NAME_MAX_LEN printable characters. */
static void name_of_comment(struct piece comment, char ret[NAME_MAX_LEN + 1])
{
	static const char *const words[] = {"friendly_name", "name", "client", "peer"};

	while (comment.len && *comment.at == '#')
		comment = behind(comment, 1);
	for (size_t i = 0; i < array_size(words); i++) {
		size_t n = strlen(words[i]);
		struct piece rest;

		if (!begins(comment, words[i]) || comment.len == n ||
			!strchr(" \t=:", comment.at[n]))
			continue;
		rest = behind(comment, n);
		if (rest.len && (*rest.at == '=' || *rest.at == ':'))
			rest = behind(rest, 1);
		comment = rest;
		break;
	}
	ret[0] = '\0';
	if (!comment.len || comment.len > NAME_MAX_LEN)
		return;
	for (size_t i = 0; i < comment.len; i++)
		if (comment.at[i] < ' ' || comment.at[i] > '~')
			return;
	memcpy(ret, comment.at, comment.len);
	ret[comment.len] = '\0';
}

static void *one_more(void *array, size_t n, size_t size)
{
	return n & (n - 1) ? array : reallocarray(array, n ? 2 * n : 1, size);
}

static int add_address(struct names *n, const struct prefix *p)
{
	struct address *more = one_more(n->addresses, n->n_addresses, sizeof(*more));

	if (!more)
		return -ENOMEM;
	n->addresses = more;
	more[n->n_addresses++] = (struct address){*p, n->n_peers - 1};
	return 0;
}

static int read_allowed(struct names *n, struct piece list)
{
	while (list.len) {
		const char *comma = memchr(list.at, ',', list.len);
		size_t len = comma ? (size_t)(comma - list.at) : list.len;
		struct piece word = trimmed(list.at, len);
		struct prefix p;

		if (text_prefix(word.at, word.len, &p) == 0 &&
			p.bits == (p.family == AF_INET ? 32 : 128)) {
			int r = add_address(n, &p);

			if (r < 0)
				return r;
		}
		list = comma ? behind(list, len + 1) : (struct piece){list.at, 0};
	}
	return 0;
}

static int read_setting(struct names *n, struct piece line)
{
	const char *equals = memchr(line.at, '=', line.len), *hash = memchr(line.at, '#', line.len);
	struct piece value;

	if (hash)
		line.len = (size_t)(hash - line.at);
	if (!equals || (hash && equals > hash))
		return 0;
	value = behind(line, (size_t)(equals - line.at) + 1);
	if (begins(line, "PublicKey"))
		(void)key_text_parse(value.at, value.len, n->peers[n->n_peers - 1].key);
	else if (begins(line, "AllowedIPs"))
		return read_allowed(n, value);
	return 0;
}

static int by_key(const void *a, const void *b)
{
	return memcmp(((const struct peer *)a)->key, ((const struct peer *)b)->key, KEY_LEN);
}

static int by_key_and_place(const void *a, const void *b)
{
	const struct peer *x = a, *y = b;
	int c = by_key(x, y);

	return c ? c : x->place < y->place ? -1 : 1;
}

/* A capture asks for each message. */
static int sort_named(struct names *n)
{
	size_t named = 0;

	free(steal(n->named));
	n->n_named = 0;
	n->named = n->n_peers ? calloc(n->n_peers, sizeof(*n->named)) : NULL;
	if (n->n_peers && !n->named)
		return -ENOMEM;
	for (size_t i = 0; i < n->n_peers; i++)
		if (n->peers[i].name[0])
			n->named[named++] = n->peers[i];
	if (named)
		qsort(n->named, named, sizeof(*n->named), by_key_and_place);
	for (size_t i = 0; i < named; i++)
		if (!n->n_named || by_key(&n->named[n->n_named - 1], &n->named[i]))
			n->named[n->n_named++] = n->named[i];
	return 0;
}

static int read_peers(struct names *n, const char *text, size_t len)
{
	char before[NAME_MAX_LEN + 1] = "";	/* of the comment on the last line */
	bool in_peer = false, just_begun = false;
	const char *end = text + len;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n_line = newline ? (size_t)(newline - text) : (size_t)(end - text);
		struct piece line = trimmed(text, n_line);
		bool is_comment = line.len && *line.at == '#';
		int r = 0;

		if (is_comment) {
			name_of_comment(line, before);
			if (just_begun && before[0]) {
				memcpy(n->peers[n->n_peers - 1].name, before, sizeof(before));
				before[0] = '\0';
			}
		} else if (begins(line, "[Peer]")) {
			struct peer *more = one_more(n->peers, n->n_peers, sizeof(*more));

			if (!more)
				return -ENOMEM;
			n->peers = more;
			n->peers[n->n_peers] = (struct peer){.place = n->n_peers};
			memcpy(n->peers[n->n_peers++].name, before, sizeof(before));
			in_peer = true;
		} else if (begins(line, "[")) {
			in_peer = false;
		} else if (in_peer && line.len) {
			r = read_setting(n, line);
		}
		if (r < 0)
			return r;
		just_begun = begins(line, "[Peer]");
		if (!is_comment)
			before[0] = '\0';
		text += n_line + 1;
	}
	return 0;
}

int names_read(struct names *n, const char *text, size_t len)
{
	int r = read_peers(n, text, len);

	return r < 0 ? r : sort_named(n);
}

int names_load(struct names *n, const char *tunnel)
{
	cleanup(buf_done) struct buf text = buf_of_max(CONF_MAX);
	cleanup(close_fd) int fd = -1;
	char path[256];
	int len = snprintf(path, sizeof(path), CONF_DIR "/%s.conf", tunnel);

	if (len < 0 || (size_t)len >= sizeof(path))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	for (;;) {
		uint8_t *room = fd < 0 ? NULL : buf_reserve(&text, 4096);
		ssize_t got = room ? read(fd, room, 4096) : 0;

		if (got <= 0)
			break;
		text.len += (size_t)got;
	}
	return text.len ? names_read(n, (const char *)text.data, text.len) : 0;
}

int names_new(struct names **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void names_free(struct names *n)
{
	free(n->peers);
	free(n->named);
	free(n->addresses);
	free(n);
}

bool names_of(const struct names *n, const uint8_t public_key[KEY_LEN], char ret[NAME_MAX_LEN + 1])
{
	struct peer wanted = {.name = ""};
	const struct peer *found;
	char text[KEY_TEXT_LEN + 1];

	memcpy(wanted.key, public_key, KEY_LEN);
	found = n->n_named ? bsearch(&wanted, n->named, n->n_named, sizeof(wanted), by_key) : NULL;
	if (found) {
		memcpy(ret, found->name, NAME_MAX_LEN + 1);
		return true;
	}
	key_text_format(public_key, text);
	snprintf(ret, NAME_MAX_LEN + 1, "%.4s...%.3s", text, text + 40);
	return false;
}

int names_find(const struct names *n, const char *who, uint8_t ret[KEY_LEN])
{
	const struct peer *found = NULL;

	if (key_text_parse(who, strlen(who), ret) == 0)
		return 0;
	for (size_t i = 0; i < n->n_peers; i++) {
		if (strcmp(n->peers[i].name, who))
			continue;
		if (found)
			return -EEXIST;
		found = &n->peers[i];
	}
	if (!found)
		return -ENOENT;
	memcpy(ret, found->key, KEY_LEN);
	return 0;
}

void names_each(const struct names *n,
	void (*each)(void *arg, unsigned family, const uint8_t *address, const char *name), void *arg)
{
	for (size_t i = 0; i < n->n_addresses; i++) {
		const struct address *a = &n->addresses[i];

		if (n->peers[a->peer].name[0])
			each(arg, a->prefix.family == AF_INET ? 4 : 6, a->prefix.bytes, n->peers[a->peer].name);
	}
}
