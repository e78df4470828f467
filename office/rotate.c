#include "office/rotate.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/client.h"
#include "office/engine.h"
#include "office/secret.h"
#include "office/store.h"
#include "office/waiting.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#define TRY_NS 16000000000u /* three initiations, and time for the answer to the last */
#define STEP_MS 25
#define KNOCK_PORT 9 /* discard: who hears it need not answer */

/* ---- others ---- */

static void promote(struct member *m)
{
	memcpy(m->public_key, m->next_key, KEY_LEN);
	m->has_next_key = false;
}

unsigned rotate_recall(struct office *o, const struct office *before)
{
	unsigned n = 0;

	for (struct member *m = o->members; m < o->members + o->n_members; m++) {
		const struct member *old = m->has_next_key ? office_find(before, m->name) : NULL;

		if (!old || old->id != m->id || !old->has_key ||
			memcmp(old->public_key, m->next_key, KEY_LEN) != 0)
			continue;
		promote(m);
		n++;
	}
	return n;
}

unsigned rotate_found(struct office *o, const struct running *running)
{
	unsigned n = 0;

	for (struct member *m = o->members; m < o->members + o->n_members; m++) {
		const struct running_peer *p =
			m->has_next_key ? running_peer(running, m->next_key) : NULL;

		if (!p || !p->handshake_s)
			continue;
		promote(m);
		n++;
	}
	return n;
}

unsigned rotate_step(const char *interface, const char *stored, struct office *o)
{
	cleanup(buf_done) struct buf text = buf_of_max(OFFICE_TEXT_MAX);
	cleanup(running_freep) struct running *running = NULL;
	unsigned waiting = 0, n;
	int r;

	for (size_t i = 0; i < o->n_members; i++)
		waiting += o->members[i].has_next_key;
	if (!waiting || client_get(interface, &running) < 0)
		return 0;
	n = rotate_found(o, running);
	if (!n)
		return 0;
	log_info("%u next key%s in use: the old one%s forgotten", n, n > 1 ? "s are" : " is",
		n > 1 ? "s are" : " is");
	/* Not kept, it is found again: in the daemon, or after its end by the next handshake. */
	r = office_write(o, DIALECT_BUNDLE, &text);
	if (r == 0)
		r = store_write(stored, 0600, &text);
	if (r < 0)
		log_error("cannot keep the bundle in %s: %s; going on", stored, strerror(-r));
	return n;
}

/* ---- our own ---- */

void rotate_keys_done(struct rotate_keys *k)
{
	explicit_bzero(k, sizeof(*k));
}

static bool is_key(const uint8_t public[KEY_LEN], bool has, const uint8_t key[KEY_LEN])
{
	return has && !memcmp(public, key, KEY_LEN);
}

static int read_failed(const char *path, const struct member *self, int r)
{
	if (r == -ENOENT)
		log_error("there is no key in %s: run \"ginnel key %s\" here, and give what it "
			  "prints to \"ginnel accept\"",
			path, self->name);
	else
		log_error("cannot read the key in %s: %s", path,
			r == -EBADMSG ? "it holds something else" : strerror(-r));
	return r;
}

static int commit(const struct rotate_keys *k, const char *next)
{
	int r = store_rename(next, k->path);

	if (r < 0)
		log_error("cannot put %s in the place of %s: %s; the next ginnel up tries again",
			next, k->path, strerror(-r));
	return r;
}

int rotate_keys_load(const char *interface, struct member *self, struct rotate_keys *ret)
{
	uint8_t public[KEY_LEN], next_public[KEY_LEN];
	char next[PATH_MAX];
	bool has_next;
	int r = secret_path(interface, ret->path, sizeof(ret->path));

	if (r == 0)
		r = secret_next_path(ret->path, next, sizeof(next));
	if (r == 0)
		r = secret_load(ret->path, ret->key, public);
	if (r < 0)
		return read_failed(ret->path, self, r);
	r = secret_load(next, ret->next, next_public);
	if (r < 0 && r != -ENOENT)
		return read_failed(next, self, r);
	has_next = r == 0;
	if (is_key(public, self->has_next_key, self->next_key))
		promote(self);
	if (is_key(public, self->has_key, self->public_key)) {
		ret->has_next = has_next && is_key(next_public, self->has_next_key, self->next_key);
		return 0;
	}
	/* The office has ended the rotation before this machine has. */
	if (has_next && is_key(next_public, self->has_key, self->public_key)) {
		memcpy(ret->key, ret->next, KEY_LEN);
		return commit(ret, next);
	}
	log_error("the bundle is for another key than the one in %s: give what \"ginnel key %s\" "
		  "prints to "
		  "\"ginnel accept\", and export anew",
		ret->path, self->name);
	return -EKEYREJECTED;
}

const uint8_t *rotate_keys_running(const char *interface, const struct rotate_keys *k)
{
	cleanup(running_freep) struct running *running = NULL;

	if (k->has_next && client_get(interface, &running) == 0 &&
		!memcmp(running->private_key, k->next, KEY_LEN))
		return k->next;
	return k->key;
}

/* So that there is something to send, and a handshake for it. */
static void knock(const struct plan *p, const char *interface)
{
	cleanup(close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
			      (socklen_t)strlen(interface)) < 0)
		return;
	for (size_t i = 0; i < p->n_peers; i++) {
		struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(KNOCK_PORT)};

		memcpy(&to.sin_addr, p->peers[i].member->address.bytes, sizeof(to.sin_addr));
		if (!p->peers[i].next)
			(void)sendto(fd, "", 0, 0, (const struct sockaddr *)&to, sizeof(to));
	}
}

static uint64_t handshake_ns(const struct running_peer *p)
{
	return p ? p->handshake_s * 1000000000u + p->handshake_ns : 0;
}

/* When the newest handshake was that has completed since; 0: none. */
static uint64_t newest_since(const struct running *before, const struct running *now)
{
	uint64_t newest = 0;

	for (size_t i = 0; i < now->n_peers; i++) {
		uint64_t at = handshake_ns(&now->peers[i]);

		if (at != handshake_ns(running_peer(before, now->peers[i].public_key)))
			newest = max(newest, at);
	}
	return newest;
}

/* The next key in the place of the other, with no session of before. */
static int use(const struct plan *p, const char *interface, const struct rotate_keys *k)
{
	static const uint8_t none[KEY_LEN];
	/* The kernel looks at the last key of a request only, and does nothing for one that is in force. */
	int r = p->self->engine == ENGINE_KERNEL ? engine_set_key(interface, none) : 0;

	if (r == 0)
		r = engine_set_key(interface, k->next);
	if (r == 0)
		knock(p, interface);
	return r;
}

static void wait_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

/* 1: there was an answer; 0: none; negative errno. */
static int await(const struct plan *p, const char *interface, const struct rotate_keys *k)
{
	cleanup(running_freep) struct running *before = NULL;
	const uint64_t end = clock_ns(CLOCK_MONOTONIC) + TRY_NS;
	uint64_t now_ns, set;
	int r = client_get(interface, &before);

	if (r == 0)
		r = use(p, interface, k);
	set = clock_ns(CLOCK_REALTIME);
	while (r == 0 && (now_ns = clock_ns(CLOCK_MONOTONIC)) < end) {
		cleanup(running_freep) struct running *now = NULL;
		uint64_t newest;

		waiting_say("waiting for an answer to the next key of %s, %u s at most", p->self->name, waiting_s(end - now_ns));
		wait_ms(STEP_MS);
		r = client_get(interface, &now);
		newest = r == 0 ? newest_since(before, now) : 0;
		if (newest > set)
			return 1;
		if (!newest)
			continue;
		/*
		 * It may have been the old key's.  From now on there is only the next one; the other end takes
		 * another initiation 20 ms after the last.
		 */
		wait_ms(STEP_MS);
		running_free(before);
		before = steal(now);
		set = 0;
		r = use(p, interface, k);
	}
	return r;
}

static int try_next(const struct plan *p, const char *interface, const struct rotate_keys *k, const char *next)
{
	int answered = await(p, interface, k), r;

	waiting_over();

	if (answered > 0) {
		r = commit(k, next);
		if (r == 0)
			log_info("the next key of %s is its key now; for the office: ginnel key %s "
				 "| ginnel accept",
				p->self->name, p->self->name);
		return r < 0 ? r : 1;
	}
	r = engine_set_key(interface, k->key);
	log_info("nobody has answered to the next key of %s, and the old one is in force again: "
		 "export to %s first; the next "
		 "ginnel up here tries again",
		p->self->name, p->self->kind == MEMBER_HUB ? "all others" : "the hub");
	return answered < 0 ? answered : r;
}

/* 1: it is the key now; 0: it is not; -ECHILD: who tried it was ended; other negative errno. */
static int wait_for_trial(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFSIGNALED(status))
		return -ECHILD;
	return WEXITSTATUS(status) > 1 ? -EIO : WEXITSTATUS(status);
}

/*
 * By a process of its own, which holds the lock as we do and hears no signal: a terminal that goes, or whoever
 * ends us, must not leave the member with a key to which nobody answers.
 */
int rotate_try(const struct plan *p, const char *interface, const struct rotate_keys *k)
{
	char next[PATH_MAX];
	int r = secret_next_path(k->path, next, sizeof(next));
	sigset_t all;
	pid_t pid;

	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0) {
		r = -errno;
		log_error("cannot try the next key of %s: %s; the next ginnel up tries again", p->self->name, strerror(-r));
		return r;
	}
	if (pid == 0) {
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, NULL);
		setsid();
		r = try_next(p, interface, k, next);
		_exit(r < 0 ? 2 : r);
	}
	r = wait_for_trial(pid);
	if (r != -ECHILD)
		return r;
	/* Somebody has ended that one, at whatever step. */
	return access(next, F_OK) < 0 ? 1 : try_next(p, interface, k, next);
}
