/*
 * tests/unit/scope/walker.h - a strict reader of pcapng, independent of scope/pcapng.c: what it accepts, others read.
 */
#pragma once

#include "base/util.h"

struct walk {
	unsigned blocks, sections, interfaces, packets, names, secrets, events, statistics;
	uint64_t lost;		/* of the last statistics */
	size_t	 whole;		/* bytes of whole blocks */
	const char *wrong;	/* NULL: nothing */
};

static inline uint32_t walk_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static inline uint16_t walk_u16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return v;
}

/* Options up to the end of their block: printable where they are text. */
static inline const char *walk_options(const uint8_t *p, size_t len, bool comment_is_1, uint64_t *ret_lost)
{
	if (!len)
		return NULL;
	for (size_t at = 0;;) {
		uint16_t code, n;

		if (len - at < 4)
			return "options without an end";
		code = walk_u16(p + at);
		n = walk_u16(p + at + 2);
		at += 4;
		if (!code)
			return n || at != len ? "something behind the end of options" : NULL;
		if (((size_t)n + 3) / 4 * 4 > len - at)
			return "an option longer than its block";
		if (code == 1 && comment_is_1)
			for (unsigned i = 0; i < n; i++)
				if (p[at + i] < ' ' || p[at + i] == 0x7f)
					return "a comment that is not printable";
		if (code == 5 && ret_lost && n == 8)
			memcpy(ret_lost, p + at, 8);
		at += ((size_t)n + 3) / 4 * 4;
	}
}

static inline const char *walk_names(const uint8_t *p, size_t len, unsigned *ret_n)
{
	for (size_t at = 0;;) {
		uint16_t type, n;
		size_t address;

		if (len - at < 4)
			return "names without an end";
		type = walk_u16(p + at);
		n = walk_u16(p + at + 2);
		at += 4;
		if (!type)
			return n || at != len ? "something behind the names" : NULL;
		address = type == 1 ? 4 : 16;
		if (type > 2 || ((size_t)n + 3) / 4 * 4 > len - at || n < address + 2 || p[at + n - 1])
			return "a name that is none";
		for (size_t i = address; i + 1 < n; i++)
			if (p[at + i] < ' ' || p[at + i] == 0x7f)
				return "a name that is not printable";
		at += ((size_t)n + 3) / 4 * 4;
		++*ret_n;
	}
}

static inline const char *walk_block(struct walk *w, uint32_t type, const uint8_t *p, size_t len)
{
	size_t kept;

	if (type == 0x0a0d0d0a) {
		w->sections++;
		w->interfaces = 0;
		return len < 16 || walk_u32(p) != 0x1a2b3c4d || walk_u32(p + 4) != 1 ? "a section that is none"
			: walk_options(p + 16, len - 16, true, NULL);
	}
	if (!w->sections)
		return "a block before the first section";
	switch (type) {
	case 1:
		w->interfaces++;
		return len < 8 ? "an interface cut off" : walk_options(p + 8, len - 8, true, NULL);
	case 4:
		return walk_names(p, len, &w->names);
	case 5:
		w->statistics++;
		return len < 12 || walk_u32(p) >= w->interfaces ? "statistics of no interface"
			: walk_options(p + 12, len - 12, true, &w->lost);
	case 6:
		w->packets++;
		if (len < 20 || walk_u32(p) >= w->interfaces)
			return "a packet of no interface";
		kept = ((size_t)walk_u32(p + 12) + 3) / 4 * 4;
		if (walk_u32(p + 12) > walk_u32(p + 16) || kept > len - 20)
			return "a packet longer than it is";
		return walk_options(p + 20 + kept, len - 20 - kept, true, NULL);
	case 9:
		w->events++;
		for (size_t i = 0; i < len; i++)
			if ((p[i] < ' ' && p[i] != '\n' && (p[i] || i + 4 <= len)) || p[i] == 0x7f)
				return "an event that is not printable";
		return len > 24 && !memcmp(p, "__REALTIME_TIMESTAMP=", 21) ? NULL : "an event without time";
	case 10:
		w->secrets++;
		return len < 8 || ((size_t)walk_u32(p + 4) + 3) / 4 * 4 != len - 8 ? "secrets of another length" : NULL;
	default:
		return "a block of no kind";
	}
}

static inline struct walk walk(const uint8_t *data, size_t len)
{
	struct walk w = {.blocks = 0};

	while (len - w.whole >= 12 && !w.wrong) {
		const uint8_t *p = data + w.whole;
		uint32_t n = walk_u32(p + 4);

		if (n < 12 || n % 4 || n > len - w.whole)
			break;
		if (walk_u32(p + n - 4) != n)
			w.wrong = "a block whose lengths differ";
		else
			w.wrong = walk_block(&w, walk_u32(p), p + 8, n - 12);
		w.whole += n;
		w.blocks++;
	}
	if (!w.wrong && w.whole != len)
		w.wrong = "something behind the last whole block";
	return w;
}
