/*
 * scope/writer.h - a capture as it is written: records to pcapng blocks, in a file, a row of files,
 * or a pipe.
 *
 * Every file stands for itself: sections, interfaces, names, and with keys the handshakes of the
 * sessions that still live.  What was written so far is whole blocks, also when the disk is full.
 * Outer packets are interface 0 ("wg0.outer"), inner ones interface 1 ("wg0").
 */
#pragma once

#include "scope/names.h"
#include "scope/story.h"

struct writer_config {
	const char		*path;		/* "-": standard output */
	const char		*tunnel;
	const struct names	*names;		/* borrowed, as the story */
	struct story		*story;
	uint32_t		 snap;
	bool			 secret;	/* keys will be put: not where others could read them */
	uint64_t		 file_max;	/* bytes, then the next file; 0: no other */
	unsigned		 files_max;	/* older ones are removed; 0: none are */
};

struct writer;

/*
 * writer_open(config, ret, why): files are made 0600; with file_max PATH gets "-00001" and so on
 * before its suffix.  What is somebody else's, file or link, is refused, and with keys what others may
 * open.  0, or negative errno with a sentence in ${why}.
 */
int writer_open(const struct writer_config *config, struct writer **ret, struct buf *why);

/*
 * writer_close(w, why): write what waits.  0, or negative errno with a sentence.  Frees in any case.
 */
int writer_close(struct writer *w, struct buf *why);

/*
 * All of these: 0, or negative errno with a sentence; -EPIPE: the reader went away; -EINTR: signals came,
 * and still nobody read.
 */

/*
 * writer_put(w, r, data, why): one record; it may be written later, by writer_flush(), which keeps back
 * only what waits for its keys, for a second at most.
 */
int writer_put(struct writer *w, const struct capture_record *r, const uint8_t *data, struct buf *why);

/* writer_lost(w, lost, why): how many records were lost so far. */
int writer_lost(struct writer *w, uint64_t lost, struct buf *why);

int writer_flush(struct writer *w, struct buf *why);

/* writer_fd(w): what it writes to now. */
int writer_fd(const struct writer *w);

/* writer_packets(w): how many packets were put. */
uint64_t writer_packets(const struct writer *w);
