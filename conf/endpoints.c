#include "conf/endpoints.h"

#include "conf/array.h"
#include "conf/client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define FIRST_LINE "ginnel-endpoints 1\n"
#define FILE_MAX ((size_t)128 << 20)

void endpoint_rows_done(struct endpoint_rows *r)
{
	free(r->rows);
	*r = (struct endpoint_rows){0};
}

static int compare_rows(const void *a, const void *b)
{
	return memcmp(((const struct endpoint_row *)a)->public_key,
		((const struct endpoint_row *)b)->public_key, KEY_LEN);
}

int endpoints_parse(const char *text, size_t len, struct endpoint_rows *ret)
{
	cleanup(endpoint_rows_done) struct endpoint_rows rows = {0};
	const size_t first = sizeof(FIRST_LINE) - 1;
	size_t room = 0;

	if (len < first || memcmp(text, FIRST_LINE, first) != 0)
		return -EBADMSG;
	text += first;
	len -= first;
	while (len) {
		cleanup(buf_done) struct buf why = buf_of_max(256);
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : 0;
		struct endpoint_row row;

		if (n <= KEY_TEXT_LEN || text[KEY_TEXT_LEN] != ' ' ||
			key_text_parse(text, KEY_TEXT_LEN, row.public_key) < 0 ||
			text_endpoint(text + KEY_TEXT_LEN + 1, n - KEY_TEXT_LEN - 1, &row.endpoint,
				&why) < 0)
			/* lint-ignore clang-analyzer-unix.Malloc: endpoint_rows_done() frees the rows */
			return -EBADMSG;
		if (!array_grow(&rows.rows, &room, rows.n, sizeof(row)))
			return -ENOMEM;
		rows.rows[rows.n++] = row;
		text += n + 1;
		len -= n + 1;
	}
	if (rows.n)
		qsort(rows.rows, rows.n, sizeof(*rows.rows), compare_rows);
	*ret = rows;
	rows = (struct endpoint_rows){0};
	return 0;
}

void endpoints_format(const struct conf_file *c, struct buf *ret)
{
	buf_puts(ret, FIRST_LINE);
	for (size_t i = 0; i < c->n_peers; i++) {
		if (!c->peers[i].endpoint.host[0])
			continue;
		text_put_key(c->peers[i].public_key, ret);
		buf_puts(ret, " ");
		text_put_endpoint(&c->peers[i].endpoint, ret);
		buf_puts(ret, "\n");
	}
}

const struct endpoint_row *endpoints_row(const struct endpoint_rows *r, const uint8_t key[KEY_LEN])
{
	struct endpoint_row like = {.public_key = {0}};

	if (!r->n)
		return NULL;
	memcpy(like.public_key, key, KEY_LEN);
	return bsearch(&like, r->rows, r->n, sizeof(*r->rows), compare_rows);
}

static int path_of(const char *name, const char *suffix, char ret[PATH_MAX])
{
	return snprintf(ret, PATH_MAX, "%s/%s.endpoints%s", ENDPOINTS_DIR, name, suffix) >= PATH_MAX
		       ? -ENAMETOOLONG
		       : 0;
}

bool endpoints_load(const char *name, struct endpoint_rows *ret)
{
	cleanup(buf_done) struct buf text = buf_of_max(FILE_MAX);
	cleanup(close_fd) int fd = -1;
	char path[PATH_MAX];
	struct stat st;

	*ret = (struct endpoint_rows){0};
	if (path_of(name, "", path) < 0)
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	for (;;) {
		uint8_t *room = buf_reserve(&text, 65536);
		ssize_t n = room ? read(fd, room, 65536) : -1;

		if (n < 0)
			return false;
		if (n == 0)
			break;
		text.len += (size_t)n;
	}
	return endpoints_parse((const char *)text.data, text.len, ret) == 0;
}

static int write_all(int fd, const struct buf *text)
{
	for (size_t at = 0; at < text->len;) {
		ssize_t n = write(fd, text->data + at, text->len - at);

		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return 0;
}

int endpoints_save(const char *name, const struct conf_file *file)
{
	cleanup(buf_done) struct buf text = buf_of_max(FILE_MAX);
	cleanup(close_fd) int fd = -1;
	char path[PATH_MAX], fresh[PATH_MAX], socket_path[CLIENT_PATH_MAX];
	struct stat owner;
	int r;

	endpoints_format(file, &text);
	if (text.error)
		return text.error;
	r = path_of(name, "", path);
	if (r == 0)
		r = path_of(name, ".new", fresh);
	if (r < 0)
		return r;
	if (mkdir(ENDPOINTS_DIR, 0755) < 0 && errno != EEXIST)
		return -errno;
	unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, &text);
	/* Who serves the tunnel may watch it, and another user than root. */
	client_path(name, socket_path);
	if (r == 0 && lstat(socket_path, &owner) == 0 && owner.st_uid != geteuid() &&
		fchown(fd, owner.st_uid, owner.st_gid) < 0)
		r = -errno;
	if (r == 0 && rename(fresh, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(fresh);
	return r;
}

void endpoints_remove(const char *name)
{
	char path[PATH_MAX];

	if (path_of(name, "", path) == 0)
		unlink(path);
}
