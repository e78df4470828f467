#include "office/ipv4.h"
#include "office/read.h"

#define LAN_BITS_LEAST 8
#define LAN_BITS_MOST 30

void suffix_resolve(struct prefix *p, const struct prefix *lan)
{
	uint32_t keep = ipv4_mask(32 - p->bits * 8u);

	*p = ipv4_prefix((ipv4_first(lan) & keep) | (get_be32(p->bytes) & ~keep), 32);
}

static bool read_v4(struct reader *r, const char *word, const struct token *t, const char *what, struct prefix *ret)
{
	struct prefix p;

	if (text_prefix(t->at, t->len, &p) < 0)
		reader_refuse(r, word, t, "is no %s", what);
	else if (p.family != AF_INET)
		reader_refuse(r, word, t, "is IPv6: only IPv4 is known yet");
	else {
		*ret = p;
		return true;
	}
	return false;
}

bool read_address(struct reader *r, const char *word, const struct token *t, struct prefix *ret)
{
	if (memchr(t->at, '/', t->len)) {
		reader_refuse(r, word, t, "must be an address, without a length");
		return false;
	}
	return read_v4(r, word, t, "address, as 10.70.0.4", ret);
}

bool read_prefix(struct reader *r, const char *word, const struct token *t, struct prefix *ret)
{
	struct prefix p, masked;

	if (!read_v4(r, word, t, "prefix, as 192.168.201.0/24", &p))
		return false;
	masked = p;
	prefix_mask(&masked);
	if (!memchr(t->at, '/', t->len)) {
		reader_refuse(r, word, t, "must be a prefix with its length, as 192.168.201.0/24");
		return false;
	}
	if (p.bits < LAN_BITS_LEAST || p.bits > LAN_BITS_MOST) {
		reader_refuse(r, word, t, "must have a length from %d to %d", LAN_BITS_LEAST, LAN_BITS_MOST);
		return false;
	}
	if (prefix_compare(&p, &masked)) {
		cleanup(buf_done) struct buf text = buf_of_max(64);

		text_put_prefix(&masked, &text);
		reader_refuse(r, word, t, "is an address within %s: say the prefix", buf_str(&text));
		return false;
	}
	*ret = p;
	return true;
}

bool read_lan_address(struct reader *r, const char *word, const struct token *t, const struct prefix *lan,
	struct prefix *ret)
{
	struct prefix p = {.family = 0};
	const char *at = t->at, *end = t->at + t->len;
	uint32_t value = 0;

	if (!t->len || *at != '.') {
		if (memchr(t->at, '/', t->len)) {
			reader_refuse(r, word, t, "must be an address, without a length");
			return false;
		}
		return read_v4(r, word, t, "address, as 192.168.201.55 or .55", ret);
	}
	while (at < end && *at == '.' && p.bits < 3) {
		const char *stop = memchr(at + 1, '.', (size_t)(end - at - 1));
		uint64_t byte;

		stop = stop ? stop : end;
		if (stop == at + 1 || stop - at > 4 || at[1] < '0' || at[1] > '9' ||
			text_number(at + 1, (size_t)(stop - at - 1), 255, &byte) < 0)
			break;
		value = value << 8 | (uint32_t)byte;
		p.bits++;
		at = stop;
	}
	if (at < end || !p.bits) {
		reader_refuse(r, word, t, "is no address, as 192.168.201.55 or .55");
		return false;
	}
	put_be32(p.bytes, value);
	if (lan && lan->family)
		suffix_resolve(&p, lan);
	*ret = p;
	return true;
}

bool read_number(struct reader *r, const char *word, const struct token *t, uint64_t least, uint64_t most,
	uint64_t *ret)
{
	uint64_t v;

	if (t->len && t->at[0] >= '0' && t->at[0] <= '9' && text_number(t->at, t->len, most, &v) == 0 && v >= least) {
		*ret = v;
		return true;
	}
	reader_refuse(r, word, t, "must be a number from %llu to %llu", (unsigned long long)least,
		(unsigned long long)most);
	return false;
}

bool read_key(struct reader *r, const char *word, const struct token *t, uint8_t ret[KEY_LEN])
{
	static const uint8_t none[KEY_LEN];
	uint8_t key[KEY_LEN];

	if (key_text_parse(t->at, t->len, key) == 0 && memcmp(key, none, KEY_LEN) != 0) {
		memcpy(ret, key, KEY_LEN);
		return true;
	}
	reader_refuse(r, word, t, "is no public key: 44 characters as ginnel key prints them");
	return false;
}

bool read_enum(struct reader *r, const char *word, const struct token *t, const struct enum_type *type, int64_t *ret)
{
	cleanup(buf_done) struct buf why = buf_of_max(1024);
	char name[32];

	if (t->len >= sizeof(name)) {
		reader_refuse(r, word, t, "is no %s", word);
		return false;
	}
	memcpy(name, t->at, t->len);
	name[t->len] = '\0';
	if (enum_value(type, name, ret) == 0)
		return true;
	enum_say_unknown(type, name, &why);
	reader_complain(r, r->line, reader_column(r, t), "%s: %s", word, buf_str(&why));
	return false;
}

bool read_name(struct reader *r, const struct token *t, char ret[OFFICE_NAME_MAX + 1])
{
	bool capital = false, strange = false;

	for (size_t i = 0; i < t->len; i++) {
		char c = t->at[i];

		if (c >= 'A' && c <= 'Z')
			capital = true;
		else if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			strange = true;
	}
	if (t->len > OFFICE_NAME_MAX)
		reader_refuse(r, "name", t, "has more than %d characters", OFFICE_NAME_MAX);
	else if (!t->len || strange || t->at[0] == '-' || t->at[t->len - 1] == '-')
		reader_refuse(r, "name", t, "must be of letters and digits, with hyphens between");
	else if (capital)
		reader_refuse(r, "name", t, "must be in lower case");
	else {
		memcpy(ret, t->at, t->len);
		ret[t->len] = '\0';
		return true;
	}
	return false;
}

bool read_device(struct reader *r, const char *word, const struct token *t, char ret[16])
{
	bool good = t->len && t->len < 16 && t->at[0] != '.' && t->at[0] != '-';

	for (size_t i = 0; i < t->len && good; i++) {
		char c = t->at[i], lower = (char)(c | 32);

		good = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
	}
	if (!good) {
		reader_refuse(r, word, t, "is no interface, as eth0");
		return false;
	}
	memcpy(ret, t->at, t->len);
	ret[t->len] = '\0';
	return true;
}

bool read_ports(struct reader *r, const char *word, const struct token *t, uint16_t ret[OFFICE_HUB_PORTS_MAX])
{
	uint16_t ports[OFFICE_HUB_PORTS_MAX] = {0};
	const char *at = t->at, *end = t->at + t->len;
	unsigned n = 0;

	for (;;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		struct token one = {at, (size_t)((comma ? comma : end) - at)};
		uint64_t v;

		if (!read_number(r, word, &one, 1, 65535, &v))
			return false;
		for (unsigned i = 0; i < n; i++)
			if (ports[i] == v) {
				reader_refuse(r, word, &one, "is there twice");
				return false;
			}
		if (n == OFFICE_HUB_PORTS_MAX) {
			reader_refuse(r, word, t, "are more than %d", OFFICE_HUB_PORTS_MAX);
			return false;
		}
		ports[n++] = (uint16_t)v;
		if (!comma)
			break;
		at = comma + 1;
	}
	memcpy(ret, ports, sizeof(ports));
	return true;
}

/* The port may be missing: any stands in for it, so that one parser judges the rest. */
bool read_endpoint(struct reader *r, const char *word, const struct token *t, struct endpoint *ret)
{
	cleanup(buf_done) struct buf why = buf_of_max(1024);
	char text[ENDPOINT_HOST_MAX + 16] = "";
	bool portless = t->len && (t->at[t->len - 1] == ']' || !memchr(t->at, ':', t->len));
	struct endpoint e;
	struct prefix p;

	if (t->len > ENDPOINT_HOST_MAX + 8) {
		reader_refuse(r, word, t, "is too long");
		return false;
	}
	if (text_prefix(t->at, t->len, &p) == 0 && p.family == AF_INET6) {
		reader_refuse(r, word, t, "must stand in brackets: [%.*s]", (int)t->len, t->at);
		return false;
	}
	memcpy(text, t->at, t->len);
	if (portless)
		memcpy(text + t->len, ":1", 2);
	if (text_endpoint(text, t->len + (portless ? 2 : 0), &e, &why) < 0) {
		reader_refuse(r, word, t, "%s", buf_str(&why));
		return false;
	}
	if (strchr(e.host, '%')) {
		reader_refuse(r, word, t, "is an address of one machine's own interface: the others cannot reach the hub by it");
		return false;
	}
	if (portless)
		e.port = 0;
	*ret = e;
	return true;
}
