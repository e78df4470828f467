/* Blocks, byte for byte as draft-ietf-opsawg-pcapng has them (this machine's byte order is little endian). */
#include "base/test.h"
#include "scope/pcapng.h"
#include "walker.h"

#include <sys/uio.h>

static void is(struct buf *b, const char *hex)
{
	uint8_t want[1024];
	size_t n = test_unhex(hex, want, sizeof(want));

	CHECK_EQ(b->error, 0);
	CHECK_EQ(b->len, n);
	CHECK_MEM(b->data, want, n);
	buf_done(b);
}

static void blocks(void)
{
	struct buf b = buf_of_max(4096);
	const struct iovec parts[] = {{(void *)"abc", 3}, {(void *)"defg", 4}};
	const uint8_t six[16] = {0xfd, [15] = 1};
	size_t at;

	pcapng_section(&b, "me");
	is(&b, "0a0d0d0a 28000000 4d3c2b1a 0100 0000 ffffffffffffffff 0400 0200 6d650000 00000000 28000000");
	pcapng_interface(&b, PCAPNG_LINK_RAW, "wg0", "", 65535);
	is(&b, "01000000 28000000 6500 0000 ffff0000 0200 0300 77673000 0900 0100 09000000 00000000 28000000");
	at = pcapng_names_begin(&b);
	pcapng_names_add(&b, 4, (const uint8_t[]){10, 0, 0, 1}, "pc");
	pcapng_names_add(&b, 6, six, "abc");
	pcapng_names_end(&b, at);
	is(&b, "04000000 34000000 0100 0700 0a000001 706300 00 0200 1400 fd000000 00000000 00000000 00000001 61626300"
	       "00000000 34000000");
	pcapng_secrets(&b, PCAPNG_SECRETS_WIREGUARD, "k=v\n\n", 5);
	is(&b, "0a000000 1c000000 4c4b4757 05000000 6b3d760a 0a000000 1c000000");
	pcapng_packet(&b,
		&(struct pcapng_packet){.interface = 1, .real_ns = 0x1122334455667788, .parts = parts, .n_parts = 2, .len = 9});
	is(&b, "06000000 28000000 01000000 44332211 88776655 07000000 09000000 61626364 65666700 28000000");
	pcapng_packet(&b,
		&(struct pcapng_packet){.parts = parts, .n_parts = 1, .len = 2, .direction = PCAPNG_OUT, .comment = "hi\n"});
	is(&b, "06000000 38000000 00000000 00000000 00000000 03000000 03000000 61626300"
	       "0100 0300 68693f00 0200 0400 02000000 00000000 38000000");
	pcapng_statistics(&b, 0, 0x100000002, 7);
	is(&b, "05000000 28000000 00000000 01000000 02000000 0500 0800 07000000 00000000 00000000 28000000");
	pcapng_event(&b, 12345678, 6, "p", "x\nPRIORITY=0");
	CHECK_EQ(b.len % 4, 0);
	CHECK_EQ(walk_u32(b.data), 9);
	CHECK(!memcmp(b.data + 8, "__REALTIME_TIMESTAMP=12345\nMESSAGE=x?PRIORITY=0\nPRIORITY=6\nSYSLOG_IDENTIFIER=p\n", 78));
	buf_done(&b);
}

static void texts(void)
{
	static char huge[100000];
	struct buf b = buf_of_max(1 << 20);
	struct walk w;
	size_t at;

	memset(huge, 'x', sizeof(huge) - 1);
	pcapng_section(&b, huge);
	pcapng_interface(&b, PCAPNG_LINK_RAW, huge, "\xff\x01\x1b[2J", 1);
	at = pcapng_names_begin(&b);
	for (unsigned i = 0; i < 300; i++)
		pcapng_names_add(&b, i % 2 ? 4 : 6, (const uint8_t[16]){(uint8_t)i}, huge + sizeof(huge) - 1 - (i ? i : 1));
	pcapng_names_end(&b, at);
	pcapng_packet(&b, &(struct pcapng_packet){.comment = huge});
	pcapng_packet(&b, &(struct pcapng_packet){.comment = ""});
	pcapng_event(&b, UINT64_MAX, 3, "p", huge);
	pcapng_event(&b, 0, 3, "p", "");
	CHECK_EQ(b.error, 0);
	w = walk(b.data, b.len);
	CHECK_STR(w.wrong ? w.wrong : "nothing", "nothing");
	CHECK_EQ(w.packets, 2);
	CHECK_EQ(w.events, 2);
	buf_done(&b);
}

static void too_small(void)
{
	struct buf b = buf_of_max(20);

	pcapng_section(&b, "me");
	CHECK(b.error);
	buf_done(&b);
}

int main(void)
{
	test_run("blocks are byte for byte as the format has them [pcapng-blocks]", blocks);
	test_run("text of any bytes and length makes whole blocks [pcapng-text]", texts);
	test_run("a buffer that is too small says so [pcapng-blocks]", too_small);
	return test_done();
}
