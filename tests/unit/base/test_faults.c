/* Every allocation made to fail in turn. */
#include <errno.h>
#include <stdio.h>

#include "base/cmd.h"
#include "base/conf.h"
#include "base/ctl.h"
#include "tests/unit/no_memory.h"

struct settings {
	int	port;
	char	path[300];
	bool	verbose;
};

static const struct conf_row rows[] = {
	{"port", VALUE_INT_AT(settings, port, 1, 65535, "1"), .help = "where"},
	{"path", VALUE_TEXT_AT(settings, path, 0, NULL), .help = "what"},
};

static const char good[] = "port = 7\n"
			   "path = \"0123456789012345678901234567890123456789012345678901234567890"
			   "123456789012345678901234567890123456789012345678901234567890123456789"
			   "012345678901234567890123456789012345678901234567890123456789\"\n";

static void conf_once(void)
{
	cleanup(buf_done) struct buf errors = buf_of_max(1000), out = buf_of_max(2000);
	struct settings s = {.port = 99, .path = "before"}, again = {.port = 3};
	int r = conf_parse(rows, 2, "f", good, strlen(good), &s, &errors);

	if (r) {
		CHECK_EQ(r, -ENOMEM);
		CHECK_EQ(s.port, 99);
		CHECK_STR(s.path, "before");
	} else {
		CHECK_EQ(s.port, 7);
		CHECK_EQ(strlen(s.path), 190);
	}
	r = conf_parse(rows, 2, "f", "port = 7\nprot = 8\n", 18, &s, &errors);
	CHECK(r == -EINVAL || r == -ENOMEM);
	r = conf_dump(rows, 2, &s, &out);
	if (!r && !out.error) {
		until_failure = -1;
		CHECK_EQ(conf_parse(rows, 2, "f", buf_str(&out), out.len, &again, &errors), 0);
		CHECK_EQ(again.port, s.port);
		CHECK_STR(again.path, s.path);
	}
}

static void conf(void)
{
	each_failure(conf_once);
}

static const struct cmd_option options[] = {
	{"verbose", 'v', .value = VALUE_BOOL_AT(settings, verbose), .help = "say more"},
	{"port", 'p', .metavar = "N", .value = VALUE_INT_AT(settings, port, 1, 9, "3"),
		.help = "where"},
};

static int run(const struct cmd_call *call, void *into)
{
	return 0;
}

static const struct cmd commands[] = {
	{"go", .help = "go there", .run = run, CMD_OPTIONS(options)},
};
static const struct cmd root = {"thing", .help = "does things", CMD_COMMANDS(commands)};

static void cmd_once(void)
{
	char words[4][16] = {"thing", "go", "-v", "--port=12"};
	char *argv[] = {words[0], words[1], words[2], NULL};
	char *wrong[] = {words[0], words[1], words[2], words[3], NULL};
	cleanup(buf_done) struct buf why = buf_of_max(1000), out = buf_of_max(10000);
	struct settings s;
	struct cmd_call call;

	CHECK_EQ(cmd_parse(&root, 3, argv, &s, &call, &why), 0);
	CHECK(s.verbose && s.port == 3);
	CHECK_EQ(cmd_parse(&root, 4, wrong, &s, &call, &why), -EINVAL);
	CHECK_EQ(s.port, 3);
	cmd_help(&call, &out);
	cmd_dump(&root, &out);
	cmd_completion_bash(&root, &out);
	CHECK(out.error == 0 || out.error == -ENOMEM);
}

static void cmd(void)
{
	each_failure(cmd_once);
}

static void ctl_once(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(CTL_FRAME_MAX);
	struct ctl_field f;
	uint16_t type;
	struct rd r;
	unsigned n = 0;

	ctl_begin(&b, 1);
	ctl_put_text(&b, 1, good);
	ctl_put_bytes(&b, 2, good, sizeof(good));
	ctl_put_number(&b, 3, 3);
	if (b.error) {
		CHECK_EQ(b.error, -ENOMEM);
		CHECK_EQ(ctl_send(-1, &b, NULL, 0), -ENOMEM);
	} else {
		CHECK_EQ(ctl_open(&r, b.data, b.len, &type), 0);
		while (ctl_next(&r, &f))
			n++;
		CHECK_EQ(n, 3);
	}
}

static void ctl(void)
{
	each_failure(ctl_once);
}

int main(void)
{
	test_run("settings are stored wholly or not at all when memory runs out [base-no-memory]",
		conf);
	test_run("command lines are judged the same when memory runs out [base-no-memory]", cmd);
	test_run("a frame is whole or not sent when memory runs out [base-no-memory]", ctl);
	return test_done();
}
