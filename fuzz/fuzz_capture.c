/*
 * What a daemon may have written into a ring, any bytes as records and as what they are about, through names, story and writer: the
 * file is one that a strict reader accepts to its end.
 */
#include "ctl/ring.h"
#include "fuzz/fuzz.h"
#include "scope/writer.h"
#include "tests/unit/scope/walker.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_MAX ((size_t)64 << 20)

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

static void put_records(struct writer *w, const uint8_t *data, size_t len, struct buf *why)
{
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
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(buf_done) struct buf why = buf_of_max(1000);
	cleanup(names_freep) struct names *names = NULL;
	cleanup(story_freep) struct story *story = NULL;
	size_t n_text = len ? min((size_t)data[0] * 8, len - 1) : 0;
	int fd = memfd_create("capture", MFD_CLOEXEC);
	cleanup(free_ptr) uint8_t *out = NULL;
	struct writer *w = NULL;
	struct walk walked;
	char path[64];
	off_t size;

	read_ring(data, len);
	if (fd < 0 || names_new(&names) < 0 || (len && names_read(names, (const char *)data + 1, n_text) < 0) ||
		story_new(names, &story) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	MUST(writer_open(&(struct writer_config){.path = path, .tunnel = "wg0", .names = names, .story = story, .snap = 65535}, &w, &why) == 0);
	if (len)
		put_records(w, data + 1 + n_text, len - 1 - n_text, &why);
	MUST(writer_close(w, &why) == 0);
	size = lseek(fd, 0, SEEK_END);
	MUST(size > 0 && (size_t)size < FILE_MAX);
	out = malloc((size_t)size);
	MUST(out && pread(fd, out, (size_t)size, 0) == size);
	close(fd);
	walked = walk(out, (size_t)size);
	if (walked.wrong)
		fprintf(stderr, "%s, behind %zu of %zu bytes\n", walked.wrong, walked.whole, (size_t)size);
	MUST(!walked.wrong && walked.sections == 1);
	return 0;
}
