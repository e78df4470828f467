/*
 * A tunnel's file, a daemon's answer and the memory of endpoints, of the same bytes: errors are lines for people, what is read keeps its
 * promises, and a daemon that has been told the difference differs no more.
 */
#include "fuzz/fuzz.h"

#include "conf/endpoints.h"
#include "conf/running.h"

#include <errno.h>

static void check_lines(const struct buf *b)
{
	const char *at = (const char *)b->data, *end;

	for (size_t left = b->len; left; left -= (size_t)(end - at) + 1, at = end + 1) {
		end = memchr(at, '\n', left);
		MUST(end && !strncmp(at, "file:", 5) && fuzz_printable(at, (size_t)(end - at)));
	}
}

static void check_file(const struct conf_file *c)
{
	cleanup(buf_done) struct buf text = buf_of_max(1 << 20);
	cleanup(endpoint_rows_done) struct endpoint_rows rows = {0};
	size_t endpoints = 0;

	MUST(c->has_private_key);
	for (size_t i = 0; i < c->n_peers; i++) {
		const struct conf_peer *p = &c->peers[i];

		MUST(p->has_public_key);
		MUST(!i || memcmp(c->peers[i - 1].public_key, p->public_key, KEY_LEN) < 0);
		for (size_t j = 1; j < p->n_allowed; j++)
			MUST(prefix_compare(&p->allowed[j - 1], &p->allowed[j]) < 0);
		endpoints += p->endpoint.host[0] != '\0';
	}
	endpoints_format(c, &text);
	MUST(endpoints_parse(buf_str(&text), text.len, &rows) == 0 && rows.n == endpoints);
}

/* Whatever it has now, one request makes it the file's. */
static void check_difference(const struct conf_file *c, const struct running *now)
{
	cleanup(free_ptr) struct wanted_endpoint *endpoints = calloc(c->n_peers + 1, sizeof(*endpoints));
	cleanup(buf_done) struct buf request = buf_of_max(1 << 22);
	struct difference d;

	MUST(difference(c, c->fwmark, endpoints, now, &request, &d) == 0);
	MUST((request.len == 0) == (!d.interface && !d.added && !d.changed && !d.removed));
	MUST(now->n_peers >= d.removed && now->n_peers - d.removed + d.added == c->n_peers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char none[] = "errno=0\n\n", mine[] = "[Interface]\nPrivateKey=QEWpd3Rcz6QM2kPKBSmyiAwo1yfDf1LQpgr4CpMX/Hs=\n";
	cleanup(buf_done) struct buf errors = buf_of_max(1 << 22), warnings = buf_of_max(1 << 20);
	cleanup(free_ptr) char *bytes = fuzz_copy(data, len);
	cleanup(conf_freep) struct conf_file *c = NULL, *small = NULL;
	cleanup(running_freep) struct running *running = NULL, *empty = NULL;
	cleanup(endpoint_rows_done) struct endpoint_rows rows = {0};
	int r;

	if (len > 8192)
		return 0;
	MUST(running_read(none, sizeof(none) - 1, &empty) == 0);
	MUST(conf_read("file", mine, sizeof(mine) - 1, 0, &small, &errors, &warnings) == 0);
	r = conf_read("file", bytes, len, 0, &c, &errors, &warnings);
	MUST(r == 0 ? c && !errors.len : r == -EINVAL && !c && errors.len);
	check_lines(&errors);
	if (c) {
		check_file(c);
		check_difference(c, empty);
	}
	/* An answer may name a peer twice: a daemon that lies gets nonsense back, and no more. */
	if (running_read(bytes, len, &running) == 0) {
		cleanup(buf_done) struct buf request = buf_of_max(1 << 22);
		struct difference d;

		MUST(difference(small, 0, (struct wanted_endpoint[1]){{.text = ""}}, running, &request, &d) == 0);
		MUST(d.removed == running->n_peers && !d.added && !d.changed);
	}
	endpoints_parse(bytes, len, &rows);
	return 0;
}
