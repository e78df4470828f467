/* Which handshakes stand at the head of the next file. */
#include "base/test.h"
#include "scope/session_memory.h"

#define S(n) ((uint64_t)(n)*1000000000)

static struct session_memory *m;

static struct buf text(const char *s)
{
	return (struct buf){.data = (uint8_t *)s, .len = strlen(s), .cap = strlen(s), .max = 100};
}

static void begin(uint8_t peer, const char *s)
{
	const struct buf b = text(s);

	session_memory_begin(m, (const uint8_t[KEY_LEN]){peer}, &b);
}

static void add(uint8_t peer, uint64_t ns, bool complete, const char *s)
{
	const struct buf b = text(s);

	session_memory_add(m, (const uint8_t[KEY_LEN]){peer}, ns, complete, &b);
}

static void holds(uint64_t ns, const char *want)
{
	cleanup(buf_done) struct buf b = buf_of_max(1000);

	session_memory_put(m, ns, &b);
	CHECK_STR(buf_str(&b), want);
}

static void life(void)
{
	CHECK_EQ(session_memory_new(&m), 0);
	holds(S(1), "");
	add(1, S(100), true, "x"); /* a message of no handshake that began */
	holds(S(100), "");
	begin(1, "k1 ");
	add(1, S(100), false, "i1 ");
	add(1, S(101), true, "r1 ");
	add(1, S(101), true, "r1-again ");
	begin(2, "k2 ");
	add(2, S(150), true, "r2 ");
	holds(S(150), "k1 i1 r1 k2 r2 ");
	begin(1, "k3 ");
	begin(1, "k4 "); /* k3 found no answer */
	add(1, S(160), true, "r4 ");
	holds(S(160), "k1 i1 r1 k2 r2 k4 r4 ");
	holds(S(101 + 180) - 1, "k1 i1 r1 k2 r2 k4 r4 ");
	holds(S(101 + 180), "k2 r2 k4 r4 ");
	holds(S(1000), "");
	holds(S(160), "");
	session_memory_free(m);
	session_memory_free(NULL);
}

static void few_of_each(void)
{
	char want[] = "6 7 8 9 ";

	CHECK_EQ(session_memory_new(&m), 0);
	for (const char *c = "0123456789"; *c; c++) {
		begin(1, (char[]){*c, ' ', '\0'});
		add(1, S(100), true, "");
	}
	holds(S(100), want);
	session_memory_free(m);
}

int main(void)
{
	test_run("handshakes of sessions that may still live are kept, in order, as long as these [session-memory]", life);
	test_run("of each peer the last few [session-memory]", few_of_each);
	return test_done();
}
