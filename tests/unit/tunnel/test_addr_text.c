#include "tunnel/addr_text.h"

#include "base/test.h"

#include <arpa/inet.h>
#include <stdio.h>

/* inet_pton() is the judge. */
static void compare(const char *text)
{
	size_t len = strlen(text);
	char *exact = malloc(max(len, (size_t)1)); /* a sanitizer sees who looks behind it */
	uint8_t ours[16], theirs[16];
	bool accepted, wanted;

	if (!exact)
		abort();
	memcpy(exact, text, len);
	for (int family = AF_INET;; family = AF_INET6) {
		memset(ours, 0, sizeof(ours));
		memset(theirs, 0, sizeof(theirs));
		wanted = inet_pton(family, text, theirs) == 1;
		accepted = family == AF_INET ? ipv4_parse(exact, len, ours) : ipv6_parse(exact, len, ours);
		if (accepted != wanted || (wanted && memcmp(ours, theirs, sizeof(ours))))
			test_note("'%s' family %d: %d, not %d", text, family, accepted, wanted);
		CHECK_EQ(accepted, wanted);
		if (wanted)
			CHECK_MEM(ours, theirs, sizeof(ours));
		if (family == AF_INET6)
			break;
	}
	free(exact);
}

static const char *const texts[] = {
	"", ":", "::", ":::", "::1", "1::", ":1", "1:", "1", "::1:", ":1::", "1::2", "1::2::3", "1:::2", "::1::",
	"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8:", ":1:2:3:4:5:6:7:8",
	"::2:3:4:5:6:7:8", "1::3:4:5:6:7:8", "1:2:3:4:5:6:7::", "1:2:3:4:5:6::8", "::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8::",
	"1:2:3:4::5:6:7:8", "ffff:FFFF:aBcD:0000:0:00:000:1", "00001::", "fffff::", "g::", "::g", "1 ::", " ::1", "::1 ",
	"1.2.3.4", "0.0.0.0", "255.255.255.255", "256.1.1.1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "01.2.3.4",
	"1.2.3.04", "00.0.0.0", "1.2.3.4 ", "+1.2.3.4", "1.2.3.0x4", "1.2.3.1000", "99999999999.1.1.1",
	"::1.2.3.4", "::ffff:1.2.3.4", "::ffff:1.2.3.4:5", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4",
	"1:2:3:4:5:1.2.3.4", "::2:3:4:5:6:1.2.3.4", "1::3:4:5:6:1.2.3.4", "1:2:3:4:5::1.2.3.4", "1:2:3:4:5:6::1.2.3.4",
	"::1.2.3", "::01.2.3.4", "::1234.1.1.1", "::12345.1.1.1", "::.1.2.3", "1.2.3.4::", "::1.2.3.4::", "::255.255.255.255",
	"::256.1.1.1", "1:2:3:4:5:6:7:1.2.3.4", "fe80::1%eth0", "fd00:0:1::/64", "2001:db8::", "2001:db8:0:0:1:0:0:1",
};

static void single(void)
{
	for (size_t i = 0; i < array_size(texts); i++)
		compare(texts[i]);
	CHECK(!ipv6_parse("::1\0", 4, (uint8_t[16]){0}));
	CHECK(!ipv4_parse("1.2.3.4\0", 8, (uint8_t[4]){0}));
}

/* Good ones with a few characters changed, taken out or put in. */
static void changed(void)
{
	static const char characters[] = "::::..0123456789abcfFgG%/ -x";
	uint64_t seed = 11;

	for (unsigned round = 0; round < 300000; round++) {
		char text[80];
		size_t len;

		snprintf(text, sizeof(text) - 8, "%s", texts[test_random(&seed) % array_size(texts)]);
		len = strlen(text);
		for (unsigned n = (unsigned)(test_random(&seed) % 4); n; n--) {
			size_t at = test_random(&seed) % (len + 1);
			char c = characters[test_random(&seed) % (sizeof(characters) - 1)];

			switch (test_random(&seed) % 3) {
			case 0:
				if (at < len)
					text[at] = c;
				break;
			case 1:
				memmove(text + at + 1, text + at, len - at + 1);
				text[at] = c;
				len++;
				break;
			default:
				if (at < len) {
					memmove(text + at, text + at + 1, len - at);
					len--;
				}
			}
		}
		compare(text);
	}
}

/* Made of the pieces that addresses have, in any order. */
static void composed(void)
{
	static const char *const pieces[] = {":", ":", ":", "::", "0", "1", "ff", "abc", "1234", "12345", ".", "1.2.3.4", "255"};
	uint64_t seed = 12;

	for (unsigned round = 0; round < 300000; round++) {
		char text[128] = "";

		for (unsigned n = (unsigned)(test_random(&seed) % 18); n; n--)
			strcat(text, pieces[test_random(&seed) % array_size(pieces)]);
		compare(text);
	}
}

static void written(void)
{
	uint64_t seed = 13;

	for (unsigned round = 0; round < 100000; round++) {
		uint8_t bytes[16], back[16];
		char text[INET6_ADDRSTRLEN];

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = test_random(&seed) % 3 ? 0 : (uint8_t)(test_random(&seed) >> 40);
		CHECK(inet_ntop(AF_INET6, bytes, text, sizeof(text)));
		CHECK(ipv6_parse(text, strlen(text), back));
		CHECK_MEM(back, bytes, 16);
		CHECK(inet_ntop(AF_INET, bytes, text, sizeof(text)));
		CHECK(ipv4_parse(text, strlen(text), back));
		CHECK_MEM(back, bytes, 4);
	}
}

int main(void)
{
	test_run("addresses are taken and refused as inet_pton() does", single);
	test_run("so are those in which characters were changed", changed);
	test_run("and those that are put together of pieces", composed);
	test_run("every address is read as it was written", written);
	return test_done();
}
