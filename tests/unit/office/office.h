/*
 * tests/unit/office/office.h - offices from text, for the tests of what is done with them.
 */
#pragma once

#include "base/test.h"
#include "office/settle.h"

/* The network of the README. */
#define NAMES                                                                                      \
	"z hub    z.example.com          # the public server\n"                                    \
	"a node   192.168.201.0/24       # one node in LAN1, behind carrier NAT\n"                 \
	"c node   192.168.200.0/24       # one node in LAN2, behind carrier NAT\n"                 \
	"b host   a .55                  # plain devices: nothing of ours runs on them\n"          \
	"d host   c .244\n"                                                                        \
	"e person 10.70.0.4              # Guangzhou\n"                                            \
	"f person                        # Shanghai\n"

/* Read what must be right. */
static inline struct office *read_text(enum dialect dialect, const char *text)
{
	cleanup(buf_done) struct buf errors = buf_of_max(1 << 20);
	struct office *o = NULL;
	int r = office_read(dialect, "x", text, strlen(text), &o, &errors);

	CHECK_STR(buf_str(&errors), "");
	CHECK_EQ(r, 0);
	return o;
}

/* Settle what can be. */
static inline struct office *settle_office(const struct office *file, const struct office *lock)
{
	cleanup(buf_done) struct buf errors = buf_of_max(1 << 20);
	struct office *o = NULL;
	int r = settle(file, "x", lock, "x.lock", &o, &errors);

	CHECK_STR(buf_str(&errors), "");
	CHECK_EQ(r, 0);
	return o;
}

static inline struct office *settle_text(const char *text, const struct office *lock)
{
	cleanup(office_freep) struct office *file = read_text(DIALECT_FILE, text);

	return settle_office(file, lock);
}

static inline void write_text(const struct office *o, enum dialect dialect, struct buf *ret)
{
	CHECK_EQ(office_write(o, dialect, ret), 0);
}
