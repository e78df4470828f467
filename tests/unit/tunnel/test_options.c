#include "tunnel/options.h"
#include "tunnel/process.h"

#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char said[8192];
static const char *in_variable; /* what OPTIONS_VARIABLE holds */

/* ---- options ---- */

static int parse(struct options *o, const char *const words[])
{
	static char *argv[16];
	FILE *err;
	int argc = 1, r;

	memset(said, 0, sizeof(said));
	err = fmemopen(said, sizeof(said), "w");
	argv[0] = (char *)"ginnel-wg";
	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)words[argc - 1];
	argv[argc] = NULL;
	r = options_parse(argc, argv, in_variable, o, err);
	fclose(err);
	return r;
}

#define PARSE(o, ...) PARSE_(o, ##__VA_ARGS__, NULL)
#define PARSE_(o, ...) parse(o, (const char *const[]){__VA_ARGS__})

static void a_name(void)
{
	struct options o;

	CHECK_EQ(PARSE(&o, "wg0"), 0);
	CHECK_EQ(o.action, OPTIONS_RUN);
	CHECK_STR(o.name, "wg0");
	CHECK(!o.foreground);
	CHECK_EQ(o.workers, 0);
	CHECK_EQ(PARSE(&o, "-f", "wg0"), 0);
	CHECK(o.foreground && o.action == OPTIONS_RUN);
	CHECK_EQ(PARSE(&o, "--foreground", "wg0"), 0);
	CHECK(o.foreground);
	CHECK_EQ(PARSE(&o, "--workers=3", "wg0"), 0);
	CHECK_EQ(o.workers, 3);
	CHECK_EQ(PARSE(&o, "--workers", "32", "-f", "wg0"), 0);
	CHECK(o.workers == 32 && o.foreground);
	CHECK_STR(o.name, "wg0");
}

static void usage_cases(void)
{
	struct options o;

	CHECK_EQ(PARSE(&o), 0);
	CHECK_EQ(o.action, OPTIONS_HELP);
	CHECK_EQ(PARSE(&o, "-f"), 0);
	CHECK_EQ(o.action, OPTIONS_HELP);
	CHECK_EQ(PARSE(&o, "a", "b"), 0);
	CHECK_EQ(o.action, OPTIONS_HELP);
	CHECK_EQ(PARSE(&o, "--help"), 0);
	CHECK_EQ(o.action, OPTIONS_HELP);
	CHECK_EQ(PARSE(&o, "--version"), 0);
	CHECK_EQ(o.action, OPTIONS_VERSION);
	CHECK_STR(said, "");
}

static void bad_options(void)
{
	static const char *const bad[] = {"--nonsense", "-x", "--workers=33", "--workers=-1", "--workers=x", "--foreground=1"};
	struct options o;

	for (size_t i = 0; i < array_size(bad); i++) {
		CHECK_EQ(PARSE(&o, bad[i], "wg0"), -EINVAL);
		CHECK(strlen(said) > 10 && strchr(said, '\n') == said + strlen(said) - 1);
	}
	CHECK_EQ(PARSE(&o, "a/b"), -EINVAL);
	CHECK(strlen(said) > 10);
}

static void without(void)
{
	static const struct {
		const char	*list;
		unsigned	 want;
	} good[] = {{"udp-gso", FAST_PATH_UDP_GSO}, {"tun-vnet", FAST_PATH_TUN_VNET},
		{"tun-tso,tun-uso", FAST_PATH_TUN_TSO | FAST_PATH_TUN_USO},
		{"join-tcp|join-udp", FAST_PATH_JOIN_TCP | FAST_PATH_JOIN_UDP},
		{"udp-gro,route-query,udp-gro", FAST_PATH_UDP_GRO | FAST_PATH_ROUTE_QUERY}, {"all", FAST_PATH_ALL},
		{"all,udp-gso", FAST_PATH_ALL}};
	static const char *const bad[] = {"", ",", "udp-gso,", ",udp-gso", "udp-gso,,udp-gro", "udp gso", "1", "0", "UDP-GSO", "tun",
		"udp-gso\n"};
	char list[64];
	struct options o;

	CHECK_EQ(PARSE(&o, "wg0"), 0);
	CHECK_EQ(o.without, 0);
	for (size_t i = 0; i < array_size(good); i++) {
		snprintf(list, sizeof(list), "--without=%s", good[i].list);
		CHECK_EQ(PARSE(&o, list, "wg0"), 0);
		CHECK_EQ(o.without, good[i].want);
		CHECK_STR(said, "");
	}
	for (size_t i = 0; i < array_size(bad); i++) {
		snprintf(list, sizeof(list), "--without=%s", bad[i]);
		CHECK_EQ(PARSE(&o, list, "wg0"), -EINVAL);
		CHECK(strstr(said, "--without"));
	}
	CHECK_EQ(PARSE(&o, "--without", "udp-gso", "wg0", "--without=tun-tso"), 0);
	CHECK_EQ(o.without, FAST_PATH_UDP_GSO | FAST_PATH_TUN_TSO);
	CHECK_EQ(PARSE(&o, "--without=tun-tso,udp-gs0", "wg0"), -EINVAL);
	CHECK(strstr(said, "did you mean udp-gso?"));
}

static void bind_addresses(void)
{
	static const char *const good[] = {"192.0.2.1", "0.0.0.0", "127.0.0.1", "::", "::1", "2001:db8::1", "fe80::1%eth0"};
	static const struct {
		const char	*text, *want;
	} bad[] = {{"", "must be an IPv4 or IPv6 address"}, {"eth0", "must be"}, {"192.0.2", "must be"}, {"192.0.2.1:5", "must be"},
		{"192.0.2.1/24", "must be"}, {"[::1]", "must be"}, {"2001:db8::1/64", "must be"}, {"224.0.0.1", "one host"},
		{"255.255.255.255", "one host"}, {"ff02::1%eth0", "one host"}, {"fe80::1", "fe80::1%eth0"}, {"fe80::1%", "fe80::1%eth0"},
		{"2001:db8::1%eth0", "leave out"}, {"::ffff:192.0.2.1", "write it as one"}, {"fe80::1%sixteen-letters-", "too long"}};
	char option[64];
	struct options o;

	for (size_t i = 0; i < array_size(good); i++) {
		cleanup(buf_done) struct buf text = buf_of_max(64);
		bool v6 = strchr(good[i], ':');

		CHECK_EQ(PARSE(&o, "--bind-address", good[i], "wg0"), 0);
		CHECK_EQ(o.bind.v4.family, v6 ? 0 : AF_INET);
		CHECK_EQ(o.bind.v6.family, v6 ? AF_INET6 : 0);
		CHECK_EQ(bind_listens(&o.bind, AF_INET), !v6);
		CHECK_EQ(bind_listens(&o.bind, AF_INET6), v6);
		bind_address_format(v6 ? &o.bind.v6 : &o.bind.v4, &text);
		CHECK_STR(buf_str(&text), good[i]);
	}
	for (size_t i = 0; i < array_size(bad); i++) {
		snprintf(option, sizeof(option), "--bind-address=%s", bad[i].text);
		CHECK_EQ(PARSE(&o, option, "wg0"), -EINVAL);
		CHECK(strstr(said, bad[i].want));
	}
	CHECK_EQ(PARSE(&o, "wg0"), 0);
	CHECK(bind_listens(&o.bind, AF_INET) && bind_listens(&o.bind, AF_INET6) && !o.bind.device[0]);
	CHECK_EQ(PARSE(&o, "--bind-address=192.0.2.1", "--bind-address=2001:db8::1", "wg0"), 0);
	CHECK(bind_listens(&o.bind, AF_INET) && bind_listens(&o.bind, AF_INET6));
	CHECK_EQ(PARSE(&o, "--bind-address=192.0.2.1", "--bind-address=192.0.2.2", "wg0"), -EINVAL);
	CHECK(strstr(said, "at most one"));
	CHECK_EQ(PARSE(&o, "--bind-address=::1", "--bind-address=::2", "wg0"), -EINVAL);
}

static void bind_devices(void)
{
	struct options o;

	CHECK_EQ(PARSE(&o, "--bind-device=eth0", "wg0"), 0);
	CHECK_STR(o.bind.device, "eth0");
	CHECK_EQ(PARSE(&o, "--bind-device=a-much-longer-name", "--bind-device=v", "wg0"), -EINVAL);
	CHECK_EQ(PARSE(&o, "--bind-device=fifteen-letters", "--bind-device=v", "wg0"), 0);
	CHECK_STR(o.bind.device, "v");
	CHECK_EQ(PARSE(&o, "--bind-device=", "wg0"), -EINVAL);
	CHECK_EQ(PARSE(&o, "--bind-device=a/b", "wg0"), -EINVAL);
	CHECK(strstr(said, "--bind-device"));
}

static void from_variable(void)
{
	static const struct {
		const char	*text, *want;
	} bad[] = {{"--worker=2", "unknown option --worker: did you mean --workers?"}, {"--workers=99", "--workers 99: must be 0..32"},
		{"--workers", "--workers needs an argument"}, {"--without=x", "--without x: no fast_path"}, {"wg1", "operands"},
		{"-f wg1", "operands"}, {"--help", "--help"}, {"-h", "--help"}, {"--version", "--version"}, {"--", "leave out the --"},
		{"--workers=2 -- ", "leave out the --"}, {"--bind-address=192.0.2.1 --bind-address=192.0.2.2", "at most one"}, {"-x", "unknown option -x"}};
	struct options o;

	in_variable = "  --workers=2\t--without=udp-gso\n --bind-address 192.0.2.1 --bind-device d ";
	CHECK_EQ(PARSE(&o, "wg0"), 0);
	CHECK(o.action == OPTIONS_RUN && o.workers == 2 && o.without == FAST_PATH_UDP_GSO && !o.foreground);
	CHECK_STR(o.name, "wg0");
	CHECK_STR(o.bind.device, "d");
	CHECK_EQ(o.bind.v4.bytes[3], 1);
	/* The command line's own come later. */
	CHECK_EQ(PARSE(&o, "--workers=3", "-f", "wg0", "--without=tun-tso", "--bind-address=192.0.2.2", "--bind-address=::1"), 0);
	CHECK(o.workers == 3 && o.foreground && o.without == (FAST_PATH_UDP_GSO | FAST_PATH_TUN_TSO));
	CHECK(o.bind.v4.bytes[3] == 2 && o.bind.v6.family == AF_INET6);
	CHECK_STR(o.name, "wg0");
	CHECK_EQ(PARSE(&o, "--bind-address=192.0.2.2", "--bind-address=192.0.2.3", "wg0"), -EINVAL);
	in_variable = "-f";
	CHECK_EQ(PARSE(&o, "--", "-f"), 0);
	CHECK_STR(o.name, "-f");
	CHECK(o.foreground);
	in_variable = "";
	CHECK_EQ(PARSE(&o, "--workers=3", "wg0"), 0);
	CHECK_EQ(o.workers, 3);
	for (size_t i = 0; i < array_size(bad); i++) {
		in_variable = bad[i].text;
		CHECK_EQ(PARSE(&o, "wg0"), -EINVAL);
		CHECK(!strncmp(said, "ginnel-wg: GINNEL_WG_OPTIONS: ", 30) && strstr(said, bad[i].want));
		CHECK(strchr(said, '\n') == said + strlen(said) - 1);
		/* Help is there when it is needed most, and the command line's mistakes are its own. */
		CHECK_EQ(PARSE(&o, "--help"), 0);
		CHECK_EQ(PARSE(&o, "--version"), 0);
		CHECK_EQ(PARSE(&o, "--nonsense", "wg0"), -EINVAL);
		CHECK(!strstr(said, "GINNEL_WG_OPTIONS"));
	}
	in_variable = NULL;
}

static void help_text(void)
{
	FILE *out = fmemopen(memset(said, 0, sizeof(said)), sizeof(said), "w");

	options_usage("ginnel-wg", out);
	fclose(out);
	CHECK(strstr(said, "INTERFACE-NAME"));
	for (size_t i = 0; i < options_cmd.n_options; i++)
		CHECK(strstr(said, options_cmd.options[i].name));
	out = fmemopen(memset(said, 0, sizeof(said)), sizeof(said), "w");
	options_version(out);
	fclose(out);
	CHECK_STR(said, "ginnel-wg " GINNEL_VERSION "\n");
}

static void names(void)
{
	static const char *const good[] = {"wg0", "a", "123456789012345", "...", "a.b", "-", "wg%d", "\xc3\xa4"};
	static const char *const bad[] = {"", "1234567890123456", ".", "..", "a/b", "/", "a b", "a\tb", "a\n", "a:1", "\x7f", "a\x01"};

	for (size_t i = 0; i < array_size(good); i++)
		CHECK(options_name_valid(good[i]));
	for (size_t i = 0; i < array_size(bad); i++)
		CHECK(!options_name_valid(bad[i]));
}

/* ---- environment ---- */

static int env(struct environment *e, const char *variable, const char *value)
{
	FILE *err = fmemopen(memset(said, 0, sizeof(said)), sizeof(said), "w");
	int r;

	unsetenv("LOG_LEVEL");
	if (variable)
		setenv(variable, value, 1);
	r = environment_read(e, err);
	fclose(err);
	return r;
}

static void log_levels(void)
{
	static const struct {
		const char	*text;
		enum log_level	 level;
	} levels[] = {{"verbose", LOG_LEVEL_VERBOSE}, {"debug", LOG_LEVEL_VERBOSE}, {"info", LOG_LEVEL_INFO},
		{"error", LOG_LEVEL_ERROR}, {"silent", LOG_LEVEL_SILENT}, {"what", LOG_LEVEL_ERROR}};
	struct environment e;

	CHECK_EQ(env(&e, NULL, NULL), 0);
	CHECK(e.log_level == LOG_LEVEL_ERROR && !e.log_level_set);
	CHECK(e.tun_fd == -1 && e.uapi_fd == -1 && !e.foreground);
	CHECK_EQ(env(&e, "LOG_LEVEL", ""), 0);
	CHECK(!e.log_level_set);
	for (size_t i = 0; i < array_size(levels); i++) {
		CHECK_EQ(env(&e, "LOG_LEVEL", levels[i].text), 0);
		CHECK_EQ(e.log_level, levels[i].level);
		CHECK(e.log_level_set);
		CHECK_EQ(*said != 0, !strcmp(levels[i].text, "what"));
	}
	CHECK(getenv("LOG_LEVEL") != NULL);
}

static void foreground(void)
{
	static const char *const no[] = {"", "0", "2", "true", "1 ", "11", "yes"};
	struct environment e;

	CHECK_EQ(env(&e, "WG_PROCESS_FOREGROUND", "1"), 0);
	CHECK(e.foreground);
	CHECK(!getenv("WG_PROCESS_FOREGROUND"));
	for (size_t i = 0; i < array_size(no); i++) {
		CHECK_EQ(env(&e, "WG_PROCESS_FOREGROUND", no[i]), 0);
		CHECK(!e.foreground);
	}
}

static void no_variable(void)
{
	struct environment e;

	CHECK_EQ(env(&e, OPTIONS_VARIABLE, "--workers=2"), 0);
	CHECK(!getenv(OPTIONS_VARIABLE));
}

static void main_process(void)
{
	static const char *const none[] = {"", "x", "-1", " 7", "7x", "99999999999999999999999"};
	struct environment e;

	CHECK_EQ(env(&e, "MAINPID", "1234"), 0);
	CHECK_EQ(e.main_pid, 1234);
	CHECK(!getenv("MAINPID"));
	for (size_t i = 0; i < array_size(none); i++) {
		CHECK_EQ(env(&e, "MAINPID", none[i]), 0);
		CHECK_EQ(e.main_pid, 0);
	}
}

static void key_logs(void)
{
	char path[PATH_MAX + 1];
	struct environment e;

	CHECK_EQ(env(&e, NULL, NULL), 0);
	CHECK_STR(e.key_log, "");
	CHECK_EQ(env(&e, "WGKEYLOGFILE", "/b"), 0);
	CHECK_STR(e.key_log, "/b");
	setenv("WGKEYLOGFILE", "/b", 1);
	CHECK_EQ(env(&e, "WG_KEYLOGFILE", "/a"), 0);
	CHECK_STR(e.key_log, "/a");
	CHECK_EQ(chdir("/"), 0);
	CHECK_EQ(env(&e, "WG_KEYLOGFILE", "a/b"), 0);
	CHECK_STR(e.key_log, "//a/b");
	CHECK(!getenv("WG_KEYLOGFILE") && !getenv("WGKEYLOGFILE"));
	memset(path, 'x', PATH_MAX);
	path[PATH_MAX] = '\0';
	CHECK_EQ(env(&e, "WG_KEYLOGFILE", path), -EINVAL);
	CHECK(strstr(said, "WG_KEYLOGFILE"));
}

static void descriptors(void)
{
	static const char *const bad[] = {"x", "-1", "3x", " 3", "+3", "0x3", "99999999999999999999", "2147483648", "0", "1", "2", "3 "};
	struct environment e;

	CHECK_EQ(env(&e, "WG_TUN_FD", "7"), 0);
	CHECK_EQ(e.tun_fd, 7);
	CHECK_EQ(env(&e, "WG_UAPI_FD", "2147483647"), 0);
	CHECK_EQ(e.uapi_fd, 2147483647);
	CHECK_EQ(e.tun_fd, -1);
	CHECK_EQ(env(&e, "WG_UAPI_FD", ""), 0);
	CHECK_EQ(e.uapi_fd, -1);
	for (size_t i = 0; i < array_size(bad); i++) {
		CHECK_EQ(env(&e, i % 2 ? "WG_TUN_FD" : "WG_UAPI_FD", bad[i]), -EINVAL);
		CHECK(strstr(said, i % 2 ? "WG_TUN_FD" : "WG_UAPI_FD"));
		CHECK(!getenv("WG_TUN_FD") && !getenv("WG_UAPI_FD"));
	}
	setenv("WG_TUN_FD", "5", 1);
	CHECK_EQ(env(&e, "WG_UAPI_FD", "5"), -EINVAL);
}

/* ---- process: each in a child of its own, whose exit status is the number of the line that failed ---- */

#define MUST(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond))                                                                       \
			_exit(__LINE__ % 251 + 1);                                                 \
	} while (0)

static int in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		fn();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int report[2]; /* from the daemon to the test */

static void daemon_that_serves(void)
{
	int ready;

	close(report[0]);
	MUST(process_daemonise(false, &ready) == 0);
	MUST(getsid(0) == getpid());
	MUST(getppid() != 1);
	/* The parent is still there: nothing was said yet. */
	MUST(write(report[1], "waits", 5) == 5);
	usleep(100000);
	process_ready(ready, false);
	{
		struct stat st, null;
		char dir[64];

		MUST(!stat("/dev/null", &null));
		for (int fd = 0; fd < 3; fd++)
			MUST(!fstat(fd, &st) && st.st_rdev == null.st_rdev);
		MUST(getcwd(dir, sizeof(dir)) && !strcmp(dir, "/"));
	}
	MUST(write(report[1], "serves", 6) == 6);
}

static void daemonise(void)
{
	char text[32] = "";
	ssize_t n;
	size_t len = 0;

	CHECK_EQ(pipe(report), 0);
	CHECK_EQ(in_child(daemon_that_serves), 0);
	close(report[1]);
	while ((n = read(report[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(report[0]);
	CHECK_STR(text, "waitsserves");
}

static void daemon_that_fails(void)
{
	int ready;

	dup2(report[1], 2);
	close(report[0]);
	close(report[1]);
	MUST(process_daemonise(false, &ready) == 0);
	fprintf(stderr, "no luck");
	_exit(0); /* without process_ready() even this is a failure */
}

static void failed_start(void)
{
	char text[32] = "";

	CHECK_EQ(pipe(report), 0);
	CHECK_EQ(in_child(daemon_that_fails), 1);
	close(report[1]);
	CHECK_EQ(read(report[0], text, sizeof(text) - 1), 7);
	CHECK_STR(text, "no luck");
	close(report[0]);
}

static void daemon_killed(void)
{
	int ready;

	MUST(process_daemonise(false, &ready) == 0);
	raise(SIGKILL);
}

static void killed_start(void)
{
	CHECK_EQ(in_child(daemon_killed), 1);
}

static void close_others_child(void)
{
	int a = open("/dev/null", O_RDONLY), b = dup2(a, 40), c = dup2(a, 41), d = dup2(a, 900);
	const int keep[] = {40, -1, 900};

	close(0);
	MUST(b == 40 && c == 41 && d == 900);
	MUST(process_close_others(keep, 3) == 0);
	MUST(fcntl(40, F_GETFD) >= 0 && fcntl(900, F_GETFD) >= 0);
	MUST(fcntl(41, F_GETFD) < 0 && fcntl(a, F_GETFD) < 0);
	for (int fd = 3; fd < 1000; fd++)
		MUST(fd == 40 || fd == 900 || fcntl(fd, F_GETFD) < 0);
	MUST(fcntl(0, F_GETFD) == 0);
	MUST(process_close_others(NULL, 0) == 0);
	MUST(fcntl(40, F_GETFD) < 0 && fcntl(1, F_GETFD) >= 0);
}

static void close_others(void)
{
	CHECK_EQ(in_child(close_others_child), 0);
}

/* No descriptor is to be had: those that are there suffice, and one that is missing is told. */
static void standard_ones_child(void)
{
	struct rlimit none = {0, 0};

	MUST(setrlimit(RLIMIT_NOFILE, &none) == 0);
	MUST(process_close_others(NULL, 0) == 0);
	close(1);
	MUST(process_close_others(NULL, 0) == -EMFILE);
}

static void standard_ones(void)
{
	CHECK_EQ(in_child(standard_ones_child), 0);
}

static void adopt(void)
{
	int ends[2];

	CHECK_EQ(pipe(ends), 0);
	CHECK_EQ(process_adopt_fd(ends[0]), 0);
	CHECK_EQ(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
	close(ends[0]);
	close(ends[1]);
	CHECK_EQ(process_adopt_fd(ends[0]), -EBADF);
}

static void protect_child(void)
{
	struct rlimit r;

	MUST(process_protect() == 0);
	MUST(prctl(PR_GET_DUMPABLE) == 0);
	MUST(!getrlimit(RLIMIT_CORE, &r) && r.rlim_cur == 0 && r.rlim_max == 0);
	MUST(umask(0) == 077);
}

static void protect(void)
{
	CHECK_EQ(in_child(protect_child), 0);
}

static unsigned long long status_hex(const char *field)
{
	FILE *f = fopen("/proc/thread-self/status", "r");
	unsigned long long v = ~0ULL;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)))
			v = strtoull(line + strlen(field), NULL, 16);
	if (f)
		fclose(f);
	return v;
}

static void privileges_child(void)
{
	/* NET_BIND_SERVICE 10, NET_BROADCAST 11, NET_ADMIN 12 */
	const unsigned long long kept = 7ULL << 10;
	unsigned long long before = status_hex("CapPrm:");

	MUST(process_drop_privileges() == 0);
	MUST(status_hex("CapPrm:") == (before & kept));
	MUST(status_hex("CapEff:") == (before & kept));
	MUST(status_hex("CapInh:") == 0);
	MUST(status_hex("CapAmb:") == 0);
	MUST(status_hex("NoNewPrivs:") == 1);
	if (before >> 8 & 1) /* CAP_SETPCAP */
		MUST((status_hex("CapBnd:") & ~kept) == 0);
	/* Twice is once. */
	MUST(process_drop_privileges() == 0);
}

static void privileges(void)
{
	CHECK_EQ(in_child(privileges_child), 0);
}

static void signals_child(void)
{
	struct signalfd_siginfo info;
	int fd;

	signal(SIGTERM, SIG_IGN);
	MUST(process_hold_signals() == 0);
	MUST(process_signals(&fd) == 0);
	MUST(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	MUST(read(fd, &info, sizeof(info)) < 0 && errno == EAGAIN);
	raise(SIGHUP);
	raise(SIGPIPE);
	raise(SIGTERM);
	MUST(read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGTERM);
	raise(SIGINT);
	MUST(read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGINT);
}

static void signals(void)
{
	CHECK_EQ(in_child(signals_child), 0);
}

int main(void)
{
	test_run("a name, alone or with options, is run [cmdline]", a_name);
	test_run("no name and too many are answered with the usage, as by wireguard-go [cmdline]", usage_cases);
	test_run("what is no option or no value is refused in one line [cmdline]", bad_options);
	test_run("pieces of the fast path are named in lists, and misspelt ones are told [opt-without]", without);
	test_run("an address to bind is one host's, one for each family, and its family alone is used [opt-bind-address]", bind_addresses);
	test_run("a device to bind is an interface's name [opt-bind-device]", bind_devices);
	test_run("the variable holds options in front of the command line's, and is named when they are wrong [env-options]", from_variable);
	test_run("the variable leaves the environment [env-options]", no_variable);
	test_run("the usage lists every option [cmdline]", help_text);
	test_run("interface names are checked [interface-name]", names);
	test_run("LOG_LEVEL takes wireguard-go's words and defaults to error, aloud if it is none [proc-log-level]",
		log_levels);
	test_run("only WG_PROCESS_FOREGROUND=1 means the foreground [proc-env-foreground]", foreground);
	test_run("who reloads a service is told its main process [upgrade-managed]", main_process);
	test_run("a file for keys is named by either variable [keylog-daemon]", key_logs);
	test_run("descriptor numbers are strict and leave the environment [env-fd]", descriptors);
	test_run("the parent exits with 0 when the daemon serves, not before [daemonise]", daemonise);
	test_run("a start that fails is told on standard error and by status 1 [daemonise]", failed_start);
	test_run("a daemon that is killed while it starts is status 1 [daemonise]", killed_start);
	test_run("foreign descriptors are closed, missing standard ones are filled [no-fd-leak]", close_others);
	test_run("only a missing standard descriptor needs another, and is told [no-fd-leak]", standard_ones);
	test_run("an adopted descriptor does not block and does not outlive an exec [env-fd]", adopt);
	test_run("no core dump, not dumpable, umask 077 [no-core]", protect);
	test_run("three capabilities are kept, everything else is gone for good [capabilities]", privileges);
	test_run("TERM and INT come through the descriptor, HUP and PIPE do nothing [signals]", signals);
	return test_done();
}
