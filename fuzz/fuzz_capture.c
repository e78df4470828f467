/*
 * What a daemon or a listener may have written into a ring; any bytes as records and as what they are about, through names, story
 * and writer: each file is one that a strict reader accepts to its end; and as lines of a trace: printable, and one each.
 */
#include "ctl/ring.h"
#include "fuzz/fuzz.h"
#include "scope/condense.h"
#include "scope/trace_line.h"
#include "scope/writer.h"
#include "tests/unit/scope/walker.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)64 << 20)
#define RESERVED_MAX 6 /* records: each may be as large as the ring */

/* Any bytes as a ring's memory: what comes out of it lies in it. */
static void read_ring(const uint8_t *data, size_t len)
{
	struct ring_reader *r;
	const void *p;
	size_t n;

	if (ring_reader_new(RING_SIZE_MIN, &r) < 0)
		abort();
	memcpy(r->data, data, min(len, r->size));
	for (unsigned i = 0; i < 64 && ring_next(r, &p, &n) == 1; i++) {
		const uint8_t *at = p;

		MUST(at >= r->data && at + n <= r->data + r->size);
		ring_release(r);
	}
	ring_reader_free(r);
}

/* Any bytes in the memory under a writer: what it is given lies in it. */
static void write_ring(const uint8_t *data, size_t len)
{
	struct ring_reader *r;
	struct ring_writer w;

	if (ring_reader_new(RING_SIZE_MIN, &r) < 0 || ring_writer_open(&w, r->fd) < 0)
		abort();
	for (size_t at = 0; at + 8 <= len && at < RESERVED_MAX * 8; at += 8) {
		size_t want = get_le32(data + at) % (RING_RECORD_MAX + 64), spare = data[at + 4] * 256u;
		uint8_t *p;

		/* The reader's word, and all that lies behind it. */
		if (data[at + 6] & 1)
			memcpy(r->shared, data + at, 8);
		if (data[at + 6] & 2)
			memcpy(r->data, data, min(len, r->size));
		p = ring_reserve(&w, want, spare);
		if (!p)
			continue;
		MUST(p >= w.data + 16 && p + want <= w.data + w.size);
		memset(p, data[at + 7], want);
		(void)ring_publish(&w, p);
	}
	(void)ring_writer_lost(&w);
	ring_writer_close(&w);
	ring_reader_free(r);
}

static void must_be_lines(const struct buf *b, size_t n)
{
	for (size_t i = 0; i < b->len; i++) {
		MUST(b->data[i] == '\n' || (b->data[i] >= ' ' && b->data[i] <= '~'));
		n -= b->data[i] == '\n';
	}
	MUST(!b->error && !n && b->len && b->data[b->len - 1] == '\n');
}

static void trace(struct story *story, struct condense *c, const struct capture_record *r, const uint8_t *kept)
{
	cleanup(buf_done) struct buf text = buf_of_max(1024), out = buf_of_max(16384), more = buf_of_max(256);
	char who[NAME_MAX_LEN + 1];
	struct trace_line line = {.record = r, .who = who};
	struct condensed k;
	size_t n = 0;

	if (!story_tell(story, r, kept, &text, &line.level))
		return;
	story_who(story, r, who);
	line.facts = story_facts(story);
	line.text = buf_str(&text);
	if (condense_take(c, r, r->real_ns)) {
		trace_line_put(&line, (struct trace_style){.json = true}, &out);
		trace_line_put(&line, (struct trace_style){.json = false}, &out);
		n = 2;
	}
	while (condense_due(c, r->real_ns, &k)) {
		buf_clear(&more);
		trace_line_put_more(k.held, &k.of, &more);
		trace_line_put(&(struct trace_line){.record = &k.of, .who = who, .text = buf_str(&more), .more = k.held},
			(struct trace_style){.json = true}, &out);
		n++;
	}
	MUST(condense_next_ms(c, r->real_ns, 1000) <= 1001);
	trace_line_put_lost(r->real_ns, r->n, (struct trace_style){.json = r->n % 2}, &out);
	must_be_lines(&out, n + 1);
}

static void put_records(struct writer *w, struct story *traced, const uint8_t *data, size_t len, struct buf *why)
{
	struct condense condense = {0};
	uint64_t lost = 0;

	while (len > sizeof(struct capture_record)) {
		cleanup(free_ptr) uint8_t *kept = NULL;
		struct capture_record r;

		memcpy(&r, data, sizeof(r));
		data += sizeof(r);
		len -= sizeof(r);
		/* As scope/follow.h promises: what is kept is there. */
		r.kept = (uint32_t)min(len, (size_t)r.kept % 1024);
		kept = fuzz_copy(data, r.kept);
		data += r.kept;
		len -= r.kept;
		lost += r.n % 2;
		MUST(writer_put(w, &r, kept, why) == 0 && writer_lost(w, lost, why) == 0);
		trace(traced, &condense, &r, kept);
	}
}

static void check_file(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	cleanup(free_ptr) uint8_t *out = NULL;
	struct walk walked;

	MUST(size > 0 && (size_t)size < FILE_MAX);
	out = malloc((size_t)size);
	MUST(out && pread(fd, out, (size_t)size, 0) == size);
	close(fd);
	walked = walk(out, (size_t)size);
	if (walked.wrong)
		fprintf(stderr, "%s, behind %zu of %zu bytes\n", walked.wrong, walked.whole, (size_t)size);
	MUST(!walked.wrong && walked.sections == 1);
}

static char dir[] = "/tmp/fuzz_capture.XXXXXX";

static void remove_dir(void)
{
	rmdir(dir);
}

static void make_dir(void)
{
	static bool made;

	if (!made && (!mkdtemp(dir) || atexit(remove_dir)))
		abort();
	made = true;
}

/* A row of files is checked, and is gone then. */
static void check_row(void)
{
	for (unsigned n = 1;; n++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "%s/row-%05u", dir, n);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			MUST(n > 1);
			return;
		}
		unlink(path);
		check_file(fd);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(buf_done) struct buf why = buf_of_max(1000);
	cleanup(names_freep) struct names *names = NULL;
	cleanup(story_freep) struct story *story = NULL, *traced = NULL;
	size_t n_text = len ? min((size_t)data[0] * 8, len - 1) : 0;
	bool row = len && data[len - 1] % 4 == 1;
	struct writer_config config = {.tunnel = "wg0", .snap = 65535, .secret = true, .file_max = row ? 4096 + n_text : 0};
	int fd = memfd_create("capture", MFD_CLOEXEC);
	struct writer *w = NULL;
	char path[64];

	read_ring(data, len);
	write_ring(data, len);
	if (fd < 0 || fchmod(fd, 0600) < 0 || names_new(&names) < 0 ||
		(len && names_read(names, (const char *)data + 1, n_text) < 0) || story_new(names, &story) < 0 ||
		story_new(names, &traced) < 0)
		abort();
	make_dir();
	if (row)
		snprintf(path, sizeof(path), "%s/row", dir);
	else
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	config.path = path;
	config.names = names;
	config.story = story;
	MUST(writer_open(&config, &w, &why) == 0);
	if (len)
		put_records(w, traced, data + 1 + n_text, len - 1 - n_text, &why);
	MUST(writer_close(w, &why) == 0);
	if (row) {
		close(fd);
		check_row();
	} else {
		check_file(fd);
	}
	return 0;
}
