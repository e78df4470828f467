#include "scope/pcapng.h"

#include <inttypes.h>
#include <sys/uio.h>

/* Block types. */
#define SECTION 0x0a0d0d0au
#define INTERFACE 1u
#define NAMES 4u
#define STATISTICS 5u
#define PACKET 6u
#define JOURNAL 9u
#define SECRETS 10u

#define COMMENT_MAX 1000

static void put16(struct buf *b, uint16_t v)
{
	buf_put(b, &v, sizeof(v));
}

static void put32(struct buf *b, uint32_t v)
{
	buf_put(b, &v, sizeof(v));
}

static void put64(struct buf *b, uint64_t v)
{
	buf_put(b, &v, sizeof(v));
}

/* A time in two halves, the upper one first. */
static void put_time(struct buf *b, uint64_t ns)
{
	put32(b, (uint32_t)(ns >> 32));
	put32(b, (uint32_t)ns);
}

static void pad(struct buf *b, size_t len)
{
	static const uint8_t zero[4];

	buf_put(b, zero, (4 - len % 4) % 4);
}

static void option(struct buf *b, uint16_t code, const void *data, size_t len)
{
	put16(b, code);
	put16(b, (uint16_t)len);
	buf_put(b, data, len);
	pad(b, len);
}

static void option_text(struct buf *b, uint16_t code, const char *text)
{
	cleanup(buf_done) struct buf safe = buf_of_max(COMMENT_MAX + 1);

	buf_put_printable(&safe, text, min(strlen(text), (size_t)COMMENT_MAX));
	if (safe.len)
		option(b, code, safe.data, safe.len);
}

static void options_end(struct buf *b)
{
	put32(b, 0);
}

static size_t begin(struct buf *b, uint32_t type)
{
	size_t at = b->len;

	put32(b, type);
	put32(b, 0);
	return at;
}

/* Its length goes before and behind it. */
static void end(struct buf *b, size_t at)
{
	uint32_t len = (uint32_t)(b->len + 4 - at);

	if (!b->error)
		memcpy(b->data + at + 4, &len, sizeof(len));
	put32(b, len);
}

void pcapng_section(struct buf *b, const char *program)
{
	size_t at = begin(b, SECTION);

	put32(b, 0x1a2b3c4d);
	put16(b, 1);
	put16(b, 0);
	put64(b, UINT64_MAX); /* its length is not said */
	option_text(b, 4, program);
	options_end(b);
	end(b, at);
}

void pcapng_interface(struct buf *b, unsigned link, const char *name, const char *description,
	uint32_t snap)
{
	const uint8_t nanoseconds = 9;
	size_t at = begin(b, INTERFACE);

	put16(b, (uint16_t)link);
	put16(b, 0);
	put32(b, snap);
	option_text(b, 2, name);
	option_text(b, 3, description);
	option(b, 9, &nanoseconds, 1);
	options_end(b);
	end(b, at);
}

size_t pcapng_names_begin(struct buf *b)
{
	return begin(b, NAMES);
}

void pcapng_names_add(struct buf *b, unsigned family, const uint8_t *address, const char *name)
{
	cleanup(buf_done) struct buf safe = buf_of_max(COMMENT_MAX);
	size_t len = family == 4 ? 4 : 16;

	buf_put_printable(&safe, name, min(strlen(name), (size_t)255));
	put16(b, family == 4 ? 1 : 2);
	put16(b, (uint16_t)(len + safe.len + 1));
	buf_put(b, address, len);
	buf_put(b, safe.data, safe.len);
	buf_put(b, "", 1);
	pad(b, len + safe.len + 1);
}

void pcapng_names_end(struct buf *b, size_t begun)
{
	put32(b, 0); /* no more names, and no options */
	end(b, begun);
}

void pcapng_secrets(struct buf *b, uint32_t type, const void *data, size_t len)
{
	size_t at = begin(b, SECRETS);

	put32(b, type);
	put32(b, (uint32_t)len);
	buf_put(b, data, len);
	pad(b, len);
	end(b, at);
}

void pcapng_packet(struct buf *b, const struct pcapng_packet *p)
{
	const uint32_t direction = p->direction;
	size_t at = begin(b, PACKET), kept = 0;

	for (size_t i = 0; i < p->n_parts; i++)
		kept += p->parts[i].iov_len;
	put32(b, p->interface);
	put_time(b, p->real_ns);
	put32(b, (uint32_t)kept);
	put32(b, max(p->len, (uint32_t)kept));
	for (size_t i = 0; i < p->n_parts; i++)
		buf_put(b, p->parts[i].iov_base, p->parts[i].iov_len);
	pad(b, kept);
	if (p->comment)
		option_text(b, 1, p->comment);
	if (direction)
		option(b, 2, &direction, sizeof(direction));
	if (p->comment || direction)
		options_end(b);
	end(b, at);
}

void pcapng_event(struct buf *b, uint64_t real_ns, unsigned level, const char *program,
	const char *text)
{
	cleanup(buf_done) struct buf safe = buf_of_max(COMMENT_MAX + 1);
	size_t at = begin(b, JOURNAL), entry = b->len;

	buf_put_printable(&safe, text, min(strlen(text), (size_t)COMMENT_MAX));
	buf_printf(b, "__REALTIME_TIMESTAMP=%" PRIu64 "\nMESSAGE=%s\nPRIORITY=%u\nSYSLOG_IDENTIFIER=%s\n",
		real_ns / 1000, buf_str(&safe), level, program);
	pad(b, b->len - entry);
	end(b, at);
}

void pcapng_statistics(struct buf *b, uint32_t interface, uint64_t real_ns, uint64_t lost)
{
	size_t at = begin(b, STATISTICS);

	put32(b, interface);
	put_time(b, real_ns);
	option(b, 5, &lost, sizeof(lost));
	options_end(b);
	end(b, at);
}
