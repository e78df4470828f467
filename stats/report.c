#include "stats/report.h"

#include "stats/text.h"

#include <stdio.h>
#include <sys/utsname.h>

#define LINE 512

/* The lines of a file that begin with one of ${words}, which end with NULL. */
static void put_lines(const char *path, const char *const words[], struct buf *ret)
{
	FILE *f = fopen(path, "re");
	char line[LINE];

	if (!f) {
		buf_printf(ret, "%s cannot be read\n", path);
		return;
	}
	while (fgets(line, sizeof(line), f))
		for (size_t i = 0; words[i]; i++)
			if (!strncmp(line, words[i], strlen(words[i])))
				buf_puts(ret, line);
	fclose(f);
}

void report_host(struct buf *ret)
{
	static const char *const os[] = {"PRETTY_NAME=", NULL};
	struct utsname u;

	buf_printf(ret, "ginnel %s\n", GINNEL_VERSION);
	if (uname(&u) == 0)
		buf_printf(ret, "%s %s %s %s\n", u.sysname, u.release, u.version, u.machine);
	put_lines("/etc/os-release", os, ret);
}

static const char *address(const char *endpoint, bool hide)
{
	return !*endpoint ? "-" : hide ? "(hidden)" : endpoint;
}

static void put_peers(const struct stats *s, bool hide, struct buf *ret)
{
	for (size_t i = 0; i < s->n_peers; i++) {
		const struct stats_peer *p = &s->peers[i];
		char key[16], handshake[40], age[32];

		text_key_short(p->public_key, key);
		text_time(p->handshake_ns, handshake);
		text_age(p->session_age_ns, age);
		buf_printf(ret,
			"  peer %s endpoint=%s received=%llu sent=%llu handshake=%s session=%s "
			"allowed-ips=%llu keepalive=%llu\n",
			key, address(p->endpoint, hide), (unsigned long long)p->rx_bytes,
			(unsigned long long)p->tx_bytes, p->handshake_ns ? handshake : "never",
			p->has_session ? age : "none", (unsigned long long)p->allowed_ips,
			(unsigned long long)p->keepalive_s);
	}
}

static void put_counts(
	const char *what, const struct stats_count *counts, size_t n, struct buf *ret)
{
	for (size_t i = 0; i < n; i++)
		if (counts[i].n)
			buf_printf(ret, "  %s %s=%llu\n", what, counts[i].name,
				(unsigned long long)counts[i].n);
}

static void put_events(const struct stats *s, bool hide, struct buf *ret)
{
	for (size_t i = 0; i < s->n_last; i++) {
		const struct stats_event *e = &s->last[i];
		char time[40], key[16] = "-";

		text_time(e->time_ns, time);
		if (e->has_peer)
			text_key_short(e->public_key, key);
		buf_printf(ret, "  %s %s%s%s peer=%s endpoint=%s", time, e->name,
			e->reason[0] ? " reason=" : "", e->reason, key, address(e->endpoint, hide));
		if (e->n > 1)
			buf_printf(ret, " times=%llu", (unsigned long long)e->n);
		buf_puts(ret, "\n");
	}
}

void report_tunnel(const struct stats *s, bool hide_addresses, struct buf *ret)
{
	static const char *const box[] = {
		"Uid:", "CapEff:", "NoNewPrivs:", "Seccomp:", "Threads:", "VmRSS:", NULL};
	char path[64], started[40], taken[40];

	text_time(s->started_ns, started);
	text_time(s->taken_real_ns, taken);
	buf_printf(ret, "\ninterface %s at %s\n", s->name, taken);
	buf_printf(ret, "  ginnel-wg %s, pid %llu, since %s, %s, port %llu, fwmark 0x%llx\n",
		s->version, (unsigned long long)s->pid, started, s->up ? "up" : "down",
		(unsigned long long)s->port, (unsigned long long)s->fwmark);
	for (size_t i = 0; i < array_size(s->bind_address); i++)
		if (s->bind_address[i][0])
			buf_printf(ret, "  bound to %s\n", address(s->bind_address[i], hide_addresses));
	if (s->bind_device[0])
		buf_printf(ret, "  bound to the device %s\n", s->bind_device);
	buf_printf(ret, "  cipher %s, workers %llu%s\n", s->cipher, (unsigned long long)s->workers,
		s->retain ? ", keys retained" : "");
	for (size_t i = 0; i < s->n_pieces; i++)
		buf_printf(ret, "  fast path %s: %s%s%s times=%llu\n", s->pieces[i].name,
			s->pieces[i].on ? "on" : "off", s->pieces[i].why[0] ? ": " : "",
			s->pieces[i].why, (unsigned long long)s->pieces[i].times);
	put_counts("dropped", s->drops, s->n_drops, ret);
	put_counts("event", s->events, s->n_events, ret);
	put_peers(s, hide_addresses, ret);
	buf_printf(ret, "the last events of %s\n", s->name);
	put_events(s, hide_addresses, ret);
	buf_printf(ret, "the process of %s\n", s->name);
	snprintf(path, sizeof(path), "/proc/%llu/status", (unsigned long long)s->pid);
	put_lines(path, box, ret);
}
