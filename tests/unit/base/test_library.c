/* Libraries that are loaded late. */
#include "base/test.h"
#include "base/library.h"
#include "base/sandbox.h"
#include "crypto/load.h"

#include <math.h>

static struct {
	LIBRARY_POINTER(sqrt)
	LIBRARY_POINTER(hypot)
} math;

static void complete(void)
{
	static const struct library_function functions[] = {
		LIBRARY_FUNCTION(math, sqrt), LIBRARY_FUNCTION(math, hypot)};
	const struct library l = {"libm.so.6", functions, array_size(functions)};

	CHECK(!library_load(&l));
	CHECK(math.sqrt(9) == 3 && math.hypot(3, 4) == 5);
}

static void incomplete(void)
{
	void *none = NULL;
	const struct library_function functions[] = {{"no_such_function", &none}};
	const struct library l = {"libm.so.6", functions, array_size(functions)};
	const char *why = library_load(&l);

	CHECK(why && strstr(why, "no_such_function"));
	CHECK(!none);
}

static void missing(void)
{
	const struct library l = {"libno-such-library.so.6", NULL, 0};
	const char *why = library_load(&l);

	CHECK(why && strstr(why, "libno-such-library.so.6"));
}

static void ours(void)
{
	for (int i = 0; i < 2; i++) {
		CHECK(!crypto_load());
		CHECK(!sandbox_load());
	}
}

int main(void)
{
	test_run("a library's functions are found [library-load]", complete);
	test_run("a function that it does not have is named [library-load]", incomplete);
	test_run("a library that is missing is named [library-load]", missing);
	test_run("those of the cipher and of the filter are here, however often they are asked for [library-load]", ours);
	return test_done();
}
