#include "office/verbs.h"

#include "base/protect.h"
#include "crypto/x25519.h"
#include "office/accept.h"
#include "office/export.h"
#include "office/given.h"
#include "office/load.h"
#include "office/qr.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <termios.h>

#define SCREEN_MAX ((size_t)1 << 18)
/* Another screen, of which nothing is left where people scroll back to; wiped before it goes. */
#define OTHER_SCREEN "\033[?1049h\033[2J\033[H"
#define FIRST_SCREEN "\033[2J\033[H\033[?1049l"
#define ASK                                                                                        \
	"Take it into the WireGuard application: it is shown once.\n"                              \
	"Enter: that is done.  Ctrl-C: no, and all stays as it was."
#define ASK_COLUMNS 58
#define ASK_LINES 2

static void keep_from_swap(void)
{
	static const struct rlimit any = {RLIM_INFINITY, RLIM_INFINITY};

	/* Under a limit memory would be refused later. */
	if (setrlimit(RLIMIT_MEMLOCK, &any) == 0)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

static int refuse(const char *file, const struct member *m, const char *what, const char *instead)
{
	fprintf(stderr, "ginnel-office: %s:%u: %s %s: %s\n", file, m->place.line, m->name, what, instead);
	return -EINVAL;
}

/* Who it is for, and that it may get a key. */
static int find(const struct office *o, const struct verb_settings *s, const char *name, const struct member **ret)
{
	const struct member *m = load_member(o, name);
	cleanup(buf_done) struct buf instead = buf_of_max(512);

	if (!m)
		return -ENOENT;
	if (m->kind == MEMBER_HOST)
		return refuse(s->file, m, "is a host", "nothing of ours runs there, and it needs no key");
	if (m->kind != MEMBER_PERSON || !m->phone) {
		buf_printf(&instead, "%srun \"ginnel key %s\" there, and give what it prints to \"ginnel accept\"",
			m->kind == MEMBER_PERSON ? "if it is one, add the word phone to that line; if not, " : "", name);
		return refuse(s->file, m, "is no telephone", buf_str(&instead));
	}
	if (!o->hub->has_key) {
		buf_printf(&instead, "run \"ginnel key %s\" there, and give what it prints to \"ginnel accept\"", o->hub->name);
		return refuse(s->file, o->hub, "has no key yet, and a telephone must be told it", buf_str(&instead));
	}
	if (m->has_key && !s->new_key)
		return refuse(s->file, m, "has a key already",
			"with --new it gets another one, and the old one stops working when the hub is told");
	*ret = m;
	return 0;
}

/* Of a terminal that does not say, any. */
static struct winsize terminal(void)
{
	struct winsize w = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || !w.ws_col || !w.ws_row)
		w.ws_col = w.ws_row = UINT16_MAX;
	return w;
}

/* 0; -EINVAL after a line that says what to do. */
static int fits(const char *name, unsigned columns, unsigned lines)
{
	struct winsize w = terminal();

	if (w.ws_col >= columns && w.ws_row >= lines)
		return 0;
	fprintf(stderr,
		"ginnel-office: %s takes %u columns and %u lines, and the terminal has %u and %u: "
		"make it larger, or its letters smaller\n", name, columns, lines, w.ws_col, w.ws_row);
	return -EINVAL;
}

/* What is shown, and whether it can be. */
static int put_code(const char *name, const struct buf *text, struct buf *screen)
{
	cleanup(qr_done) struct qr code = {0};
	int r = qr_of(text->data, text->len, &code);

	if (r == -E2BIG)
		fprintf(stderr, "ginnel-office: what %s needs is %zu bytes, of which no QR code holds more than %d: take --text\n",
			name, text->len, QR_BYTES_MAX);
	else if (r < 0)
		fprintf(stderr, "ginnel-office: cannot make the code of %s: %s\n", name, strerror(-r));
	if (r < 0)
		return r;
	qr_put(&code, screen);
	return fits(name, max(qr_columns(&code), (unsigned)ASK_COLUMNS), qr_lines(&code) + ASK_LINES);
}

static int put_text(const char *name, const struct buf *text, struct buf *screen)
{
	unsigned lines = ASK_LINES, column = 0, columns = terminal().ws_col;

	for (size_t i = 0; i < text->len; i++) {
		bool ends = text->data[i] == '\n', goes_on = !ends && column == columns;

		lines += ends || goes_on;
		column = ends ? 0 : goes_on ? 1 : column + 1;
	}
	buf_put(screen, text->data, text->len);
	return fits(name, ASK_COLUMNS, lines);
}

static void interrupted(int signal)
{
}

/* Signals come while it waits, and at no other time: the screen is wiped, and the lock written whole. */
static void hold_signals(sigset_t *ret_before)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	const struct sigaction end = {.sa_handler = interrupted}, ignore = {.sa_handler = SIG_IGN};
	sigset_t held;

	sigemptyset(&held);
	for (size_t i = 0; i < array_size(ends); i++) {
		sigaddset(&held, ends[i]);
		sigaction(ends[i], &end, NULL);
	}
	sigaction(SIGTSTP, &ignore, NULL);
	sigprocmask(SIG_BLOCK, &held, ret_before);
}

/* Enter was pressed. */
static bool confirmed(const sigset_t *meanwhile)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	char c;

	while (ppoll(&p, 1, NULL, meanwhile) > 0 && read(STDIN_FILENO, &c, 1) == 1)
		if (c == '\n')
			return true;
	return false;
}

/* 0 when somebody has said that it was taken in. */
static int ask(const char *name, struct buf *screen)
{
	cleanup(buf_done) struct buf leave = buf_of_max(64);
	sigset_t before;
	bool taken;

	hold_signals(&before);
	/* What was typed before is no answer. */
	(void)tcflush(STDIN_FILENO, TCIFLUSH);
	taken = cmd_print(screen) == 0 && confirmed(&before);
	buf_puts(&leave, FIRST_SCREEN);
	(void)cmd_print(&leave);
	if (taken)
		return 0;
	fprintf(stderr, "ginnel-office: %s was not told to have its key: nothing is changed, and what was shown is worth nothing\n",
		name);
	return -ECANCELED;
}

/*
 * The key is here only.  libqrencode frees copies of it that it has not wiped: they stay in this
 * process, which leaves no core, and end with it.
 */
static int show(const struct plan *p, const struct verb_settings *s, uint8_t ret_public[KEY_LEN])
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX), screen = buf_of_max(SCREEN_MAX);
	cleanup(x25519_freep) struct x25519 *key = NULL;
	uint8_t private[KEY_LEN];
	int r = getrandom(private, sizeof(private), 0) == (ssize_t)sizeof(private) ? 0 : -EIO;

	if (r == 0) {
		x25519_clamp(private);
		r = x25519_new(private, &key);
	}
	if (r == 0) {
		memcpy(ret_public, x25519_public(key), KEY_LEN);
		export_phone(p, private, &text);
		r = text.error;
	}
	explicit_bzero(private, sizeof(private));
	if (r < 0) {
		fprintf(stderr, "ginnel-office: cannot make the key of %s: %s\n", p->self->name, strerror(-r));
		return r;
	}
	buf_puts(&screen, OTHER_SCREEN);
	r = s->text ? put_text(p->self->name, &text, &screen) : put_code(p->self->name, &text, &screen);
	if (r < 0)
		return r;
	buf_puts(&screen, ASK);
	return ask(p->self->name, &screen);
}

/* What it was given, with its key. */
static int number_shown(const struct plan *p, const uint8_t public[KEY_LEN], uint64_t *ret)
{
	struct member shown = *p->self;
	struct given given;
	int r = given_init(p->office, &given);

	memcpy(shown.public_key, public, KEY_LEN);
	shown.has_key = true;
	shown.has_next_key = false;
	return r < 0 ? r : given_number(&given, &shown, ret);
}

/* The file again: it was open to others as long as the code was shown. */
static int take(const struct verb_settings *s, const struct plan *p, const uint8_t public[KEY_LEN])
{
	const char *name = p->self->name;
	cleanup(buf_done) struct buf line = buf_of_max(256), said = buf_of_max(1024), errors = buf_of_max(1024);
	cleanup(office_freep) struct office *o = NULL;
	cleanup(close_fd) int held = -1;
	const struct member *m;
	uint64_t number = 0;
	int r = load_hold(s->file, &held);

	if (r == 0)
		r = load_with_psks(s->file, &o);
	if (r == 0)
		r = find(o, s, name, &m);
	if (r == 0) {
		buf_printf(&line, "%s key ", name);
		text_put_key(public, &line);
		r = accept_lines(o, "qr", m, (const char *)line.data, line.len, &said, &errors);
		fputs(buf_str(&errors), stderr);
	}
	if (r == 0)
		r = number_shown(p, public, &number);
	if (r == 0) {
		o->members[m - o->members].given = number;
		r = load_pin(s->file, o);
	}
	if (r) {
		fprintf(stderr, "ginnel-office: the key of %s is not in the lock, and what was shown is worth nothing: remove it there\n",
			name);
		return r;
	}
	buf_printf(&said, "Now tell the hub: ginnel export %s | ssh root@%s ginnel up -\n", o->hub->name, o->hub->name);
	return cmd_print(&said) ? -EIO : 0;
}

int verb_qr(const struct cmd_call *call, void *into)
{
	const struct verb_settings *s = into;
	const char *name = call->operands[0];
	cleanup(office_freep) struct office *o = NULL;
	cleanup(plan_freep) struct plan *p = NULL;
	const struct member *m = NULL;
	cleanup(close_fd) int held = -1;
	uint8_t public[KEY_LEN];
	int r;

	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)) {
		fprintf(stderr, "ginnel-office: a private key is shown on a terminal and to nobody else: "
			"run this there, without pipes and files\n");
		return 1;
	}
	protect();
	keep_from_swap();
	if (load_hold(s->file, &held) < 0 || load_with_psks(s->file, &o) < 0 || find(o, s, name, &m) < 0)
		return 1;
	r = plan_make(o, m, &p);
	if (r < 0) {
		fprintf(stderr, "ginnel-office: cannot plan %s: %s\n", name, strerror(-r));
		return 1;
	}
	/*
	 * Its address first, which the code has; then the code, and the key when somebody has it.  A key
	 * that was shown and is not in the lock can be asked for again; one in the lock that nobody has
	 * shuts the telephone out, and with --new the one before it was lost.
	 */
	if (load_pin(s->file, o) < 0)
		return 1;
	close_fd(&held);
	held = -1;
	return show(p, s, public) < 0 || take(s, p, public) < 0;
}
