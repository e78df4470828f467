#include "base/suggest.h"
#include "base/test.h"

static const char *best(const char *word)
{
	static const char *const words[] = {
		"listen-port", "private-key", "peer", "endpoint", "up", "rm", "status", "stats"};
	struct suggest s = suggest_for(word, strlen(word));

	for (size_t i = 0; i < array_size(words); i++)
		suggest_offer(&s, words[i]);
	return s.best ? s.best : "";
}

static void near_words(void)
{
	CHECK_STR(best("listen-prot"), "listen-port");
	CHECK_STR(best("LISTEN-PORT"), "listen-port");
	CHECK_STR(best("privatekey"), "private-key");
	CHECK_STR(best("per"), "peer");
	CHECK_STR(best("pu"), ""); /* every word of two letters is near to every other */
	CHECK_STR(best("stat"), "stats");
	CHECK_STR(best("zzzzzz"), "");
	CHECK_STR(best(""), "");
	CHECK_STR(best("endpoint"), "endpoint");
}

static void bounds(void)
{
	static char a[100000], b[100000];

	memset(a, 'a', sizeof(a));
	memset(b, 'a', sizeof(b));
	CHECK_EQ(suggest_distance(a, 64, b, 64, 3), 0);
	CHECK_EQ(suggest_distance(a, 65, b, 65, 3), 4);
	CHECK_EQ(suggest_distance(a, sizeof(a), b, sizeof(b), 7), 8);
	CHECK_EQ(suggest_distance(a, 64, b, 61, 3), 3);
	CHECK_EQ(suggest_distance(a, 64, b, 60, 3), 4);
	CHECK_EQ(suggest_distance("", 0, "", 0, 0), 0);
	CHECK_EQ(suggest_distance("", 0, "ab", 2, 5), 2);
	CHECK_EQ(suggest_distance("ab", 2, "ba", 2, 5), 1);
}

int main(void)
{
	test_run("the nearest word is found, nothing when none is near", near_words);
	test_run("long words cost nothing and have no neighbours [suggest-bounded]", bounds);
	return test_done();
}
