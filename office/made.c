#include "office/made.h"

#include "base/log.h"
#include "conf/array.h"
#include "conf/text.h"
#include "office/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define FIRST_LINE "ginnel-made 1\n"
#define LINK "link "
#define FLOWS "flows"
#define TEXT_MAX ((size_t)1 << 20)

void made_done(struct made *m)
{
	free(m->settings);
	m->settings = NULL;
}

static struct made_setting *add(struct made *m)
{
	if (!array_grow(&m->settings, &m->room, m->n_settings, sizeof(*m->settings)))
		return NULL;
	return &m->settings[m->n_settings++];
}

static int take_line(struct made *m, const char *line)
{
	struct made_setting s = {.path = ""}, *to;

	if (!strncmp(line, LINK, sizeof(LINK) - 1)) {
		const char *value = line + sizeof(LINK) - 1;
		uint64_t ifindex = 0;

		if (text_number(value, strlen(value), INT32_MAX, &ifindex) < 0)
			return -EBADMSG;
		m->link = true;
		m->ifindex = (unsigned)ifindex;
		return 0;
	}
	if (!strcmp(line, FLOWS)) {
		m->flows = true;
		return 0;
	}
	if (sscanf(line, "set %127s %31s %31s", s.path, s.before, s.ours) != 3)
		return -EBADMSG;
	to = add(m);
	if (!to)
		return -ENOMEM;
	*to = s;
	return 0;
}

int made_load(const char *interface, struct made *ret)
{
	cleanup(buf_done) struct buf text = buf_of_max(TEXT_MAX);
	char *line, *next;
	int r;

	*ret = (struct made){.link = false};
	if (snprintf(ret->path, sizeof(ret->path), "/run/ginnel/%s.made", interface) >= (int)sizeof(ret->path))
		return -ENAMETOOLONG;
	r = store_read(ret->path, &text);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	ret->there = true;
	line = (char *)(uintptr_t)buf_str(&text);
	if (strncmp(line, FIRST_LINE, sizeof(FIRST_LINE) - 1) != 0)
		return -EBADMSG;
	for (line += sizeof(FIRST_LINE) - 1; r == 0 && *line; line = next) {
		next = strchrnul(line, '\n');
		if (*next)
			*next++ = '\0';
		r = take_line(ret, line);
	}
	return r;
}

int made_save(const struct made *m)
{
	cleanup(buf_done) struct buf text = buf_of_max(TEXT_MAX);
	int r;

	buf_puts(&text, FIRST_LINE);
	if (m->link)
		buf_printf(&text, LINK "%u\n", m->ifindex);
	if (m->flows)
		buf_puts(&text, FLOWS "\n");
	for (size_t i = 0; i < m->n_settings; i++)
		buf_printf(&text, "set %s %s %s\n", m->settings[i].path, m->settings[i].before,
			m->settings[i].ours);
	r = store_write(m->path, 0600, &text);
	if (r < 0)
		log_error("cannot write %s: %s", m->path, strerror(-r));
	return min(r, 0);
}

int made_forget(struct made *m)
{
	return store_remove(m->path);
}

static int setting_read(const char *path, char ret[32])
{
	char whole[160];
	cleanup(close_fd) int fd = -1;
	ssize_t n;

	snprintf(whole, sizeof(whole), "/proc/sys/%s", path);
	fd = open(whole, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, ret, 31);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	ret[strcspn(ret, "\n\t ")] = '\0';
	return 0;
}

static int setting_write(const char *path, const char *value)
{
	char whole[160];
	cleanup(close_fd) int fd = -1;

	snprintf(whole, sizeof(whole), "/proc/sys/%s", path);
	fd = open(whole, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

int made_set(struct made *m, const char *path, const char *value, struct audit *a)
{
	struct made_setting s = {.path = ""}, *to = NULL;
	char what[192];
	int r = setting_read(path, s.before);

	if (r == 0 && !strcmp(s.before, value))
		return 0;
	for (size_t i = 0; r == 0 && i < m->n_settings; i++)
		if (!strcmp(m->settings[i].path, path))
			to = &m->settings[i];
	if (r == 0 && !to) {
		snprintf(s.path, sizeof(s.path), "%s", path);
		snprintf(s.ours, sizeof(s.ours), "%s", value);
		to = add(m);
		if (to)
			*to = s;
		r = to ? made_save(m) : -ENOMEM;
	}
	if (r == 0)
		r = setting_write(path, value);
	if (r < 0)
		log_error("cannot set /proc/sys/%s to %s: %s", path, value, strerror(-r));
	snprintf(what, sizeof(what), "the setting %s=%s", path, value);
	if (r == 0)
		audit_did(a, what, s.before);
	return r;
}

int made_restore(struct made *m)
{
	int result = 0;

	for (size_t i = m->n_settings; i-- > 0;) {
		const struct made_setting *s = &m->settings[i];
		char now[32] = "";
		int r = setting_read(s->path, now);

		if (r == 0 && !strcmp(now, s->ours))
			r = setting_write(s->path, s->before);
		/* With an interface go its settings. */
		if (r < 0 && r != -ENOENT) {
			log_error("cannot set /proc/sys/%s to %s: %s", s->path, s->before, strerror(-r));
			result = r;
		}
	}
	return result;
}
