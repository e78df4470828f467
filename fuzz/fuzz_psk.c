/*
 * Any bytes as the file of pre-shared keys: errors are lines for people without anything of a line that could be
 * one, and what is read is written and read back to the same.
 */
#include "fuzz/fuzz.h"

#include "office/psk.h"
#include "office/settle.h"

#include <errno.h>

#define OFFICE "z hub z.example.com\na node 192.168.201.0/24\nb host a .55\ne person\nf person phone\npsk on\n"
#define SHOWN_MAX 120	/* our own words, and a name */

static struct office *make_office(const struct office *lock)
{
	cleanup(buf_done) struct buf errors = buf_of_max(1 << 16);
	cleanup(office_freep) struct office *file = NULL;
	struct office *o = NULL;

	MUST(office_read(DIALECT_FILE, "x", OFFICE, strlen(OFFICE), &file, &errors) == 0);
	MUST(settle(file, "x", lock, "x.lock", &o, &errors) == 0);
	return o;
}

static void check_lines(const struct buf *b)
{
	const char *at = (const char *)b->data, *end;

	for (size_t left = b->len; left; left -= (size_t)(end - at) + 1, at = end + 1) {
		end = memchr(at, '\n', left);
		MUST(end && !strncmp(at, "file:", 5) && fuzz_printable(at, (size_t)(end - at)));
		MUST(end - at <= SHOWN_MAX);
	}
}

static void write_and_read(const struct office *o)
{
	cleanup(buf_done) struct buf text = buf_of_max(1 << 16), again = buf_of_max(1 << 16), errors = buf_of_max(1 << 16);
	cleanup(office_freep) struct office *back = make_office(o);

	MUST(psk_write(o, &text) == 0);
	MUST(psk_read(back, o, "file", buf_str(&text), text.len, &errors) == 0 && !errors.len);
	MUST(psk_write(back, &again) == 0);
	MUST(text.len == again.len && !memcmp(text.data, again.data, text.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(buf_done) struct buf errors = buf_of_max(1 << 22);
	cleanup(office_freep) struct office *o = make_office(NULL);
	cleanup(free_ptr) char *bytes = NULL;
	int r;

	if (len > 4096)
		return 0;
	bytes = fuzz_copy(data, len);
	r = psk_read(o, NULL, "file", bytes, len, &errors);
	MUST(r == 0 ? !errors.len : r == -EINVAL && errors.len);
	check_lines(&errors);
	if (r == 0)
		write_and_read(o);
	return 0;
}
