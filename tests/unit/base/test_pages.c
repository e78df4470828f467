#include "base/pages.h"

#include "base/test.h"
#include "base/libseccomp.h"
#include "base/util.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#define LIBRARY "libseccomp.so"
#define LAST_PAGE 4 /* kB: it is not the code's alone */

/* Of the library's mappings with these rights, or of all: kB that the kernel has under a name. */
static size_t kb(const char *rights, const char *name)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[1024], found[5];
	bool counts = false;
	size_t total = 0;

	if (!f)
		abort();
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*x-%*x %4s", found) == 1)
			counts = strstr(line, LIBRARY) && (!rights || !strcmp(found, rights));
		else if (counts && !strncmp(line, name, strlen(name)))
			total += strtoul(line + strlen(name), NULL, 10);
	}
	fclose(f);
	return total;
}

static bool works(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(1));
	bool good = filter && !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(read), 0);

	seccomp_release(filter);
	return good;
}

static void forgets(void)
{
	size_t dirty;

	CHECK(works());
	CHECK(kb("r-xp", "Rss:") > LAST_PAGE);
	dirty = kb(NULL, "Private_Dirty:");
	CHECK(dirty > 0); /* relocations, at the least */
	pages_forget_libraries();
	CHECK(kb("r-xp", "Rss:") <= LAST_PAGE);
	CHECK_EQ(kb(NULL, "Private_Dirty:"), dirty);
	CHECK(works());
	CHECK(kb("r-xp", "Rss:") > LAST_PAGE);
}

/* Where the code of the library is. */
static void *code(size_t *ret_len)
{
	FILE *f = fopen("/proc/self/maps", "re");
	uintptr_t from = 0, to = 0;
	char line[1024], rights[5];

	if (!f)
		abort();
	while (fgets(line, sizeof(line), f))
		if (strstr(line, LIBRARY) &&
			sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to, rights) == 3 &&
			!strcmp(rights, "r-xp"))
			break;
	fclose(f);
	*ret_len = to - from;
	return (void *)from;
}

static void locked(void)
{
	size_t len;
	void *at = code(&len);

	CHECK(works());
	CHECK_EQ(mlock(at, len), 0);
	CHECK(SANITIZERS || kb("r-xp", "Locked:") > 0); /* to them it is nothing */
	pages_forget_libraries();
	CHECK(kb("r-xp", "Rss:") <= LAST_PAGE);
	CHECK(works());
	CHECK_EQ(munlock(at, len), 0);
}

/* Linux before 5.18 keeps what is locked. */
static bool locked_can_go(void)
{
	void *page = mmap(NULL, 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool can = page != MAP_FAILED && !madvise(page, 1, 24);

	munmap(page, 1);
	return can;
}

int main(void)
{
	test_run("what only the start needed of a library goes, what was written stays, and it works on [pages-start]",
		forgets);
	if (locked_can_go())
		test_run("so it does where memory is locked", locked);
	else
		test_skip("so it does where memory is locked", "this kernel is older than 5.18");
	return test_done();
}
