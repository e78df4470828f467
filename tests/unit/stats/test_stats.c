/* Answers as a daemon may give them, and how they are printed. */
#include "stats/stats.h"

#include "base/test.h"
#include "stats/metrics.h"
#include "stats/report.h"
#include "stats/show.h"
#include "stats/text.h"

#include <errno.h>
#include <sys/socket.h>

static struct ctl_client client;
static int server;

static void begin(void)
{
	int pair[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	client = (struct ctl_client){.fd = pair[0], .name = "wg0", .frame = {.max = CTL_FRAME_MAX}};
	server = pair[1];
}

static void end(void)
{
	ctl_client_done(&client);
	close(server);
}

static void say(struct buf *b)
{
	CHECK_EQ(ctl_send(server, b, NULL, 0), 0);
}

static void say_end(struct buf *b)
{
	ctl_begin(b, CTL_MESSAGE_END);
	say(b);
}

static void keys(void)
{
	/* The pair of wg(8)'s tests: base64 of 0..31. */
	uint8_t key[KEY_LEN];
	char all[KEY_TEXT_LEN + 1], some[16];

	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	key_text_format(key, all);
	CHECK_STR(all, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
	memset(key, 0xff, sizeof(key));
	key_text_format(key, all);
	CHECK_STR(all, "//////////////////////////////////////////8=");
	text_key_short(key, some);
	CHECK_STR(some, "////...//8");
}

static void amounts(void)
{
	static const struct {
		uint64_t n;
		const char *want;
	} bytes[] = {{0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1536, "1.5 KiB"},
		{1048575, "1.0 MiB"}, {UINT64_MAX, "16.0 EiB"}},
	  ages[] = {{999999999, "0 s"}, {59000000000, "59 s"}, {61000000000, "1 min 1 s"},
		  {3600000000000, "1 h 0 min"}, {90000000000000, "1 d 1 h"}};
	char text[40];

	for (size_t i = 0; i < array_size(bytes); i++) {
		text_bytes(bytes[i].n, text);
		CHECK_STR(text, bytes[i].want);
	}
	for (size_t i = 0; i < array_size(ages); i++) {
		text_age(ages[i].n, text);
		CHECK_STR(text, ages[i].want);
	}
	text_time(1772366400123456789, text);
	CHECK_STR(text, "2026-03-01T12:00:00.123Z");
}

/* What it says is unknown, odd, too long, not UTF-8, or for a terminal to obey. */
static void hostile(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(CTL_FRAME_MAX), why = buf_of_max(1000);
	cleanup(buf_done) struct buf out = buf_of_max(1 << 20);
	cleanup(stats_done) struct stats s = {.n_peers = 0};
	char large[5000];

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	begin();
	ctl_begin(&b, 0x9abc);
	ctl_put_text(&b, 0x7abc, "from a newer daemon");
	say(&b);
	ctl_begin(&b, CTL_MESSAGE_DEVICE);
	ctl_put_text(&b, CTL_ITEM_NAME, "wg\033[2J\"\\\xff\xc3\xa4\xc0\xaf\n");
	ctl_put_text(&b, CTL_ITEM_VERSION, large);
	ctl_put_number(&b, CTL_ITEM_CIPHER, 5);
	ctl_put_text(&b, CTL_ITEM_PID, "7");
	ctl_put_number(&b, CTL_ITEM_STARTED, UINT64_MAX);
	say(&b);
	ctl_begin(&b, CTL_MESSAGE_PEER);
	ctl_put_bytes(&b, CTL_ITEM_PUBLIC_KEY, "short", 5);
	ctl_put_number(&b, CTL_ITEM_RX_BYTES, UINT64_MAX);
	ctl_put_number(&b, CTL_ITEM_HANDSHAKE, UINT64_MAX);
	ctl_put_text(&b, CTL_ITEM_ENDPOINT, large);
	say(&b);
	ctl_begin(&b, CTL_MESSAGE_DROP);
	say(&b);
	ctl_begin(&b, CTL_MESSAGE_PIECE);
	say(&b);
	say_end(&b);
	CHECK_EQ(stats_ask(&client, &s, &why), 0);
	CHECK_STR(s.name, "wg?[2J\"\\?\xc3\xa4???");
	CHECK_EQ(strlen(s.version), sizeof(s.version) - 1);
	CHECK(!*s.cipher && !s.pid && s.n_peers == 1 && s.n_drops == 1 && s.n_pieces == 1);
	show_stats(&s, NULL, (struct show_style){.all = true}, &out);
	show_stats(&s, &s, (struct show_style){.colours = false}, &out);
	show_stats_json(&s, &s, &out);
	report_tunnel(&s, false, &out);
	CHECK_EQ(out.error, 0);
	CHECK(!strchr(buf_str(&out), '\033'));
	buf_clear(&out);
	metrics_put(&s, 1, &out);
	CHECK(strstr(buf_str(&out), "ginnel_peers{interface=\"wg?[2J\\\"\\\\?\xc3\xa4???\"} 1\n"));
	end();
}

static void many(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(CTL_FRAME_MAX), why = buf_of_max(1000);
	cleanup(stats_done) struct stats s = {.n_peers = 0};

	begin();
	for (unsigned i = 0; i < 100; i++) {
		ctl_begin(&b, CTL_MESSAGE_PEER);
		ctl_put_number(&b, CTL_ITEM_RX_BYTES, i);
		say(&b);
	}
	say_end(&b);
	CHECK_EQ(stats_ask(&client, &s, &why), 0);
	CHECK_EQ(s.n_peers, 100);
	for (unsigned i = 0; i < 100; i++)
		CHECK(s.peers[i].rx_bytes == i && !s.peers[i].has_session);
	CHECK_STR(s.name, "wg0"); /* it did not say */
	end();
}

static void rates(void)
{
	struct stats_peer then[2] = {{.public_key = {1}, .rx_bytes = 1000, .tx_bytes = 0},
		{.public_key = {2}, .rx_bytes = 5000, .tx_bytes = 700}};
	struct stats_peer now[3] = {{.public_key = {2}, .rx_bytes = 9000, .tx_bytes = 100},
		{.public_key = {1}, .rx_bytes = 1000, .tx_bytes = 2048},
		{.public_key = {3}, .rx_bytes = 4, .tx_bytes = 0}};
	struct stats before = {.peers = then, .n_peers = 2, .taken_ns = 5000000000};
	struct stats after = {.peers = now, .n_peers = 3, .taken_ns = 7000000000};
	cleanup(buf_done) struct buf out = buf_of_max(1 << 20);

	show_stats_json(&after, &before, &out);
	/* In the order of now; what went down began anew. */
	CHECK(strstr(buf_str(&out), "\"rx_bytes_per_second\": 2000, \"tx_bytes_per_second\": 0"));
	CHECK(strstr(buf_str(&out), "\"rx_bytes_per_second\": 0, \"tx_bytes_per_second\": 1024"));
	CHECK(strstr(buf_str(&out), "\"rx_bytes_per_second\": 2, \"tx_bytes_per_second\": 0"));
}

static void ends(void)
{
	cleanup(buf_done) struct buf b = buf_of_max(CTL_FRAME_MAX), why = buf_of_max(1000);
	cleanup(stats_done) struct stats s = {.n_peers = 0};

	begin();
	ctl_begin(&b, CTL_MESSAGE_PEER);
	say(&b);
	close(server);
	server = -1;
	CHECK_EQ(stats_ask(&client, &s, &why), -EPIPE);
	CHECK(!s.peers && why.len);
	ctl_client_done(&client);
	begin();
	buf_clear(&why);
	CHECK_EQ(send(server, "\2\0\x80\0", 4, 0), 4);
	CHECK_EQ(stats_ask(&client, &s, &why), -EPROTONOSUPPORT);
	CHECK(strstr(buf_str(&why), "speaks another version"));
	CHECK_EQ(send(server, "\1\0\x80", 3, 0), 3);
	CHECK_EQ(stats_ask(&client, &s, &why), -EBADMSG);
	end();
}

int main(void)
{
	test_run("keys are base64, and short as in the log [stats-format]", keys);
	test_run("amounts, ages and times are rounded and in UTC [stats-format]", amounts);
	test_run("what a daemon says cannot hurt a terminal or a parser [stats-format]", hostile);
	test_run("a hundred peers are taken in order [stats-shows]", many);
	test_run("rates are by key, whatever the order [stats-watch]", rates);
	test_run("an answer that breaks off or is none is an error with a reason [stats-shows]", ends);
	return test_done();
}
