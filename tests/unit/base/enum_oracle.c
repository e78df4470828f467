/*
 * base/enum on standard input and output, for tests/oracle/enum.t to hold against Python's enum.  A
 * command a line, an answer a line: OPERATION TYPE BOUNDARY ARGUMENT...; the last argument may
 * contain blanks.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/enum.h"
#include "base/suggest.h"

#define PERM_LIST(X)                                                                               \
	X(PERM_READ, 1 << 0, "read", "") X(PERM_WRITE, 1 << 1, "write", "")                        \
	X(PERM_EXEC, 1 << 2, "exec", "")
#define PERM_ALIASES(X)                                                                            \
	X(PERM_NONE, 0, "none") X(PERM_RW, PERM_READ | PERM_WRITE, "rw")                           \
	X(PERM_ALL, PERM_READ | PERM_WRITE | PERM_EXEC, "all") X(PERM_LOOK, PERM_READ, "look")
FLAGS_DECLARE_ALIASES(perm, PERM_LIST, PERM_ALIASES);
FLAGS_DEFINE_ALIASES(perm, PERM_LIST, PERM_ALIASES);

/* Bits that nobody stands for between those that somebody does. */
#define GAPS_LIST(X)                                                                               \
	X(GAPS_A, 0x1, "a", "") X(GAPS_C, 0x4, "c", "") X(GAPS_H, 0x80, "h", "")
#define GAPS_ALIASES(X) X(GAPS_AC, GAPS_A | GAPS_C, "ac")
FLAGS_DECLARE_ALIASES(gaps, GAPS_LIST, GAPS_ALIASES);
FLAGS_DEFINE_ALIASES(gaps, GAPS_LIST, GAPS_ALIASES);

/* Not defined in the order of their values. */
#define MIXED_LIST(X)                                                                              \
	X(MIXED_Z, 16, "z-last", "") X(MIXED_Y, 1, "y", "") X(MIXED_X, 8, "x", "")                 \
	X(MIXED_W, 2, "w", "") X(MIXED_V, 4, "v", "")
FLAGS_DECLARE(mixed, MIXED_LIST);
FLAGS_DEFINE(mixed, MIXED_LIST);

#define LONE_LIST(X) X(LONE_ONE, 0x20, "lone", "")
FLAGS_DECLARE(lone, LONE_LIST);
FLAGS_DEFINE(lone, LONE_LIST);

#define WIDE_LIST(X)                                                                               \
	X(WIDE_0, 1LL << 0, "b0", "") X(WIDE_1, 1LL << 1, "b1", "")                                \
	X(WIDE_30, 1LL << 30, "b30", "") X(WIDE_31, 1LL << 31, "b31", "")                          \
	X(WIDE_32, 1LL << 32, "b32", "") X(WIDE_61, 1LL << 61, "b61", "")                          \
	X(WIDE_62, 1LL << 62, "b62", "")
FLAGS_DECLARE(wide, WIDE_LIST);
FLAGS_DEFINE(wide, WIDE_LIST);

#define COLOUR_LIST(X)                                                                             \
	X(COLOUR_RED, 1, "red", "") X(COLOUR_GREEN, 20, "green", "")                               \
	X(COLOUR_BLUE, 3, "blue", "") X(COLOUR_INFRA, -5, "infra red", "")
#define COLOUR_ALIASES(X)                                                                          \
	X(COLOUR_CRIMSON, COLOUR_RED, "crimson") X(COLOUR_VERDE, COLOUR_GREEN, "Verde")            \
	X(COLOUR_ROT, COLOUR_RED, "rot")
ENUM_DECLARE_ALIASES(colour, COLOUR_LIST, COLOUR_ALIASES);
ENUM_DEFINE_ALIASES(colour, COLOUR_LIST, COLOUR_ALIASES);

#define SINGLE_LIST(X) X(SINGLE_ONLY, 0, "only", "")
ENUM_DECLARE(single, SINGLE_LIST);
ENUM_DEFINE(single, SINGLE_LIST);

/* Names that differ by case alone. */
#define CASES_LIST(X)                                                                              \
	X(CASES_FIRST, 1, "Go", "") X(CASES_SECOND, 2, "go", "") X(CASES_THIRD, 3, "stop", "")
#define CASES_ALIASES(X) X(CASES_LOUD, CASES_SECOND, "GO") X(CASES_HALT, CASES_THIRD, "HALT")
ENUM_DECLARE_ALIASES(cases, CASES_LIST, CASES_ALIASES);
ENUM_DEFINE_ALIASES(cases, CASES_LIST, CASES_ALIASES);

/* Many: "m00" to "m63", values 37 * n modulo 64 plus 1000. */
#define MANY_8(X, t)                                                                               \
	MANY_1(X, t##0) MANY_1(X, t##1) MANY_1(X, t##2) MANY_1(X, t##3)                            \
	MANY_1(X, t##4) MANY_1(X, t##5) MANY_1(X, t##6) MANY_1(X, t##7)
#define MANY_1(X, n) X(MANY_##n, 1000 + (0##n * 37) % 64, "m" #n, "")
#define MANY_LIST(X)                                                                               \
	MANY_8(X, 0) MANY_8(X, 1) MANY_8(X, 2) MANY_8(X, 3)                                        \
	MANY_8(X, 4) MANY_8(X, 5) MANY_8(X, 6) MANY_8(X, 7)
ENUM_DECLARE(many, MANY_LIST);
ENUM_DEFINE(many, MANY_LIST);

static const struct enum_type *const types[] = {&perm_enum, &gaps_enum, &mixed_enum, &lone_enum,
	&wide_enum, &colour_enum, &single_enum, &cases_enum, &many_enum};

static void print_result(int r, int64_t value)
{
	if (r < 0)
		printf("%s\n", r == -ERANGE ? "range" : "error");
	else
		printf("%s %" PRId64 "\n", r ? "eject" : "ok", value);
}

static void print_names(const struct enum_type *type, bool all, int64_t set)
{
	const char *comma = "";

	enum_each (type, m) {
		if (all || (m->value & set)) {
			printf("%s%s", comma, m->name);
			comma = ",";
		}
	}
	printf("\n");
}

static void do_flags(const struct enum_type *type, enum flags_boundary boundary, const char *op,
	const char *rest)
{
	cleanup(buf_done) struct buf text = buf_of_max(1000);
	int64_t a = 0, b = 0, value = -77;
	int r;

	if (!strcmp(op, "parse")) {
		r = flags_parse(type, boundary, rest, &value, NULL);
		print_result(r, value);
		return;
	}
	sscanf(rest, "%" SCNd64 " %" SCNd64, &a, &b);
	if (!strcmp(op, "check")) {
		r = flags_check(type, boundary, a, &value);
		if (r < 0 && value != -77)
			printf("touched ");
		print_result(r, value);
	} else if (!strcmp(op, "not")) {
		r = flags_not(type, boundary, a, &value);
		print_result(r, value);
	} else if (!strcmp(op, "or") || !strcmp(op, "and") || !strcmp(op, "xor")) {
		r = flags_check(type, boundary, *op == 'o' ? a | b : *op == 'a' ? a & b : a ^ b,
			&value);
		print_result(r, value);
	} else if (!strcmp(op, "has")) {
		printf("%d\n", flags_has(a, b));
	} else if (!strcmp(op, "format")) {
		flags_format(type, a, &text);
		printf("%s\n", buf_str(&text));
	} else {
		printf("what?\n");
	}
}

static void do_line(char *line)
{
	const char *op = strtok(line, " "), *name = strtok(NULL, " "), *how = strtok(NULL, " ");
	const char *rest = how + strlen(how) + 1;
	const struct enum_type *type = NULL;
	int64_t boundary, value = 0;
	const char *blank = strchr(rest, ' ');
	int r;

	for (size_t i = 0; i < array_size(types); i++)
		if (!strcmp(types[i]->name, name))
			type = types[i];
	if (!strcmp(op, "distance") && blank)
		printf("%u\n", suggest_distance(rest, (size_t)(blank - rest), blank + 1,
				       strlen(blank + 1), (unsigned)atoi(how)));
	else if (!type || enum_value(&flags_boundary_enum, how, &boundary))
		printf("what?\n");
	else if (!strcmp(op, "list"))
		print_names(type, true, 0);
	else if (!strcmp(op, "members"))
		print_names(type, false, atoll(rest));
	else if (!strcmp(op, "name"))
		printf("%s\n", enum_name(type, atoll(rest)) ?: "-");
	else if (!strcmp(op, "value") || !strcmp(op, "anycase")) {
		r = *op == 'v' ? enum_value(type, rest, &value)
			       : enum_value_any_case(type, rest, &value);
		print_result(r, value);
	} else
		do_flags(type, (enum flags_boundary)boundary, op, rest);
}

int main(void)
{
	char line[4096];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		do_line(line);
	}
	return 0;
}
