/*
 * scope/pcapng.h - blocks of a pcapng file (draft-ietf-opsawg-pcapng), each appended whole to a
 * buffer.
 *
 * Writes in the machine's byte order, as the format wants it; opens no file.  Text of any bytes
 * may be passed: what is no printable character becomes "?".  Errors are the buffer's sticky one.
 */
#pragma once

#include "base/buf.h"

#define PCAPNG_LINK_RAW 101	/* LINKTYPE_RAW: begins with an IPv4 or IPv6 header */
#define PCAPNG_LINK_EXPORTED 252	/* LINKTYPE_WIRESHARK_UPPER_PDU: scope/exported.h */
#define PCAPNG_SECRETS_WIREGUARD 0x57474b4cu

enum pcapng_direction { PCAPNG_UNKNOWN = 0, PCAPNG_IN = 1, PCAPNG_OUT = 2 };

/* A section; ${program}: who wrote it. */
void pcapng_section(struct buf *b, const char *program);

/* The next interface of the section, from 0; ${link}: PCAPNG_LINK_...; times in ns. */
void pcapng_interface(struct buf *b, unsigned link, const char *name, const char *description,
	uint32_t snap);

/* Names of addresses: begin says where the block is, then one call each (family 4 or 6), end. */
size_t pcapng_names_begin(struct buf *b);
void pcapng_names_add(struct buf *b, unsigned family, const uint8_t *address, const char *name);
void pcapng_names_end(struct buf *b, size_t begun);

/* Decryption secrets, for what comes after them. */
void pcapng_secrets(struct buf *b, uint32_t type, const void *data, size_t len);

struct pcapng_packet {
	uint32_t		 interface;
	uint64_t		 real_ns;
	const struct iovec	*parts;		/* what was kept */
	size_t			 n_parts;
	uint32_t		 len;		/* as it was */
	enum pcapng_direction	 direction;
	const char		*comment;	/* or NULL */
};

void pcapng_packet(struct buf *b, const struct pcapng_packet *p);

/* An event between the packets, as a journal entry.  ${level}: as syslog's, 3 error to 7 debug. */
void pcapng_event(struct buf *b, uint64_t real_ns, unsigned level, const char *program,
	const char *text);

/* How many packets of an interface were lost so far. */
void pcapng_statistics(struct buf *b, uint32_t interface, uint64_t real_ns, uint64_t lost);
