/*
 * Lines of members, taken into an office: errors are lines for people with their number, what is taken is written and
 * read back, and a member's own notes bring no key.
 */
#include "fuzz/fuzz.h"

#include "office/accept.h"
#include "office/settle.h"

#include <errno.h>

static const char net[] =
	"z hub z.example.com\na node 192.168.201.0/24\nc node 192.168.200.0/24\nb host a .55\ne person 10.70.0.4\nf person\n";

static struct office *make(void)
{
	cleanup(buf_done) struct buf errors = buf_of_max(1 << 16);
	cleanup(office_freep) struct office *file = NULL;
	struct office *o = NULL;

	MUST(office_read(DIALECT_FILE, "file", net, sizeof(net) - 1, &file, &errors) == 0);
	MUST(settle(file, "file", NULL, "lock", &o, &errors) == 0);
	return o;
}

static void check_lines(const struct buf *b, const char *first)
{
	const char *at = (const char *)b->data, *end;

	for (size_t left = b->len; left; left -= (size_t)(end - at) + 1, at = end + 1) {
		end = memchr(at, '\n', left);
		MUST(end && !strncmp(at, first, strlen(first)) && fuzz_printable(at, (size_t)(end - at)));
	}
}

static void check_lock(const struct office *o)
{
	cleanup(buf_done) struct buf text = buf_of_max(1 << 16), again = buf_of_max(1 << 16), errors = buf_of_max(1 << 16);
	cleanup(office_freep) struct office *back = NULL;

	MUST(office_write(o, DIALECT_LOCK, &text) == 0);
	MUST(office_read(DIALECT_LOCK, "lock", buf_str(&text), text.len, &back, &errors) == 0);
	MUST(office_write(back, DIALECT_LOCK, &again) == 0);
	MUST(text.len == again.len && !memcmp(text.data, again.data, text.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(buf_done) struct buf said = buf_of_max(1 << 22), errors = buf_of_max(1 << 22);
	cleanup(office_freep) struct office *o = NULL, *own = NULL;
	cleanup(free_ptr) char *bytes = NULL;
	int r;

	if (len > 4096)
		return 0;
	bytes = fuzz_copy(data, len);
	o = make();
	r = accept_lines(o, "x", NULL, bytes, len, &said, &errors);
	MUST(r == (errors.len ? -EINVAL : 0));
	check_lines(&errors, "x:");
	check_lines(&said, "");
	if (r == 0)
		check_lock(o);
	own = make();
	accept_learnt(own, bytes, len);
	for (size_t i = 0; i < own->n_members; i++)
		MUST(!own->members[i].has_key && !own->members[i].has_next_key);
	check_lock(own);
	return 0;
}
