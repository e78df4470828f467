/*
 * A file of settings, and the same bytes as each setting's value: nothing is half set, errors are lines for people, and what is
 * dumped is read back to the same.
 */
#include "fuzz/fuzz.h"
#include "base/conf.h"

#include <errno.h>

#define COLOURS_LIST(X)                                                                            \
	X(COLOURS_RED, 1, "red", "")                                                               \
	X(COLOURS_GREEN, 2, "green", "")                                                           \
	X(COLOURS_BLUE, 4, "blue", "")
FLAGS_DECLARE(colours, COLOURS_LIST);
FLAGS_DEFINE(colours, COLOURS_LIST);

#define SHAPE_LIST(X)                                                                              \
	X(SHAPE_ROUND, 0, "round", "")                                                             \
	X(SHAPE_SQUARE, -5, "square", "")
ENUM_DECLARE(shape, SHAPE_LIST);
ENUM_DEFINE(shape, SHAPE_LIST);

/* No hidden padding matters: all of it is zeroed first and copied as bytes. */
struct settings {
	bool		 on;
	int8_t		 tiny;
	uint16_t	 port;
	int32_t		 number;
	uint64_t	 big;
	int64_t		 any;
	uint32_t	 wait_ms;
	int64_t		 age_ms;
	char		 name[16];
	char		 text[300];
	enum shape	 shape;
	uint8_t		 colours;
};

static const struct conf_row rows[] = {
	{"on", VALUE_BOOL_AT(settings, on), .help = "whether"},
	{"tiny", VALUE_INT_AT(settings, tiny, -128, 127, "-1"), .help = "a byte"},
	{"port", VALUE_INT_AT(settings, port, 0, 65535, "51820"), .help = "a port"},
	{"number", VALUE_INT_AT(settings, number, INT32_MIN, INT32_MAX, "0"), .help = "a number"},
	{"big", VALUE_INT_AT(settings, big, 0, INT64_MAX, "1"), .help = "a big one"},
	{"any", VALUE_INT_AT(settings, any, INT64_MIN, INT64_MAX, "0"), .help = "any one"},
	{"wait", VALUE_DURATION_AT(settings, wait_ms, 0, UINT32_MAX, "25s"), .help = "how long"},
	{"age", VALUE_DURATION_AT(settings, age_ms, INT64_MIN, INT64_MAX, "0"), .help = "how old"},
	{"name", VALUE_TEXT_AT(settings, name, 1, "nobody"), .help = "who"},
	{"text", VALUE_TEXT_AT(settings, text, 0, NULL), .help = "what"},
	{"shape", VALUE_ENUM_AT(settings, shape, &shape_enum, "round"), .help = "which"},
	{"colours", VALUE_FLAGS_AT(settings, colours, &colours_enum, "red|blue"), .help = "in what"},
};
#define N array_size(rows)

static void check_errors(const struct buf *errors, size_t lines_max)
{
	const char *at = (const char *)errors->data, *end;
	size_t left = errors->len, lines = 0;

	MUST(!errors->error && left);
	for (; left; left -= (size_t)(end - at) + 1, at = end + 1, lines++) {
		end = memchr(at, '\n', left);
		MUST(end && !strncmp(at, "file:", 5) && fuzz_printable(at, (size_t)(end - at)));
		MUST(end - at < 1000);
	}
	MUST(lines <= lines_max);
}

/* Dump, read back, dump again: three times the same. */
static void check_dump(const struct settings *s)
{
	cleanup(buf_done) struct buf dump = buf_of_max(1 << 16), again = buf_of_max(1 << 16);
	cleanup(buf_done) struct buf errors = buf_of_max(1 << 16);
	struct settings back;

	memset(&back, 0, sizeof(back));
	MUST(conf_dump(rows, N, s, &dump) == 0);
	MUST(conf_parse(rows, N, "file", buf_str(&dump), dump.len, &back, &errors) == 0 && !errors.len);
	MUST(!memcmp(&back, s, sizeof(back)));
	MUST(conf_dump(rows, N, &back, &again) == 0);
	MUST(dump.len == again.len && !memcmp(dump.data, again.data, dump.len));
}

static void check_value(const struct value *v, const char *text)
{
	cleanup(buf_done) struct buf why = buf_of_max(1 << 16), said = buf_of_max(1 << 16);
	struct settings before, s, back;

	memset(&before, 0, sizeof(before));
	conf_default(rows, N, &before);
	s = back = before;
	if (value_parse(v, text, &s, &why) < 0) {
		MUST(!why.error && why.len && fuzz_printable(why.data, why.len));
		MUST(!memcmp(&s, &before, sizeof(s)));
		MUST(value_parse(v, text, NULL, &why) < 0);
		return;
	}
	MUST(!why.len);
	MUST(value_parse(v, text, NULL, &why) == 0);
	MUST(value_format(v, &s, &said) == 0);
	MUST(value_parse(v, buf_str(&said), &back, &why) == 0);
	MUST(!memcmp(&s, &back, sizeof(s)));
	check_dump(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(buf_done) struct buf errors = buf_of_max(1 << 22);
	cleanup(free_ptr) char *bytes = fuzz_copy(data, len), *text = fuzz_text(data, len);
	struct settings s, before;
	size_t lines = 1;
	int r;

	if (len > 8192)
		return 0;
	for (size_t i = 0; i < len; i++)
		lines += data[i] == '\n';
	memset(&before, 0, sizeof(before));
	conf_default(rows, N, &before);
	check_dump(&before);
	memcpy(&s, &before, sizeof(s));
	r = conf_parse(rows, N, "file", bytes, len, &s, &errors);
	if (r < 0) {
		MUST(r == -EINVAL && !memcmp(&s, &before, sizeof(s)));
		check_errors(&errors, lines);
	} else {
		MUST(!errors.len);
		check_dump(&s);
	}
	if (len < 400)
		for (size_t i = 0; i < N; i++)
			check_value(&rows[i].value, text);
	return 0;
}
