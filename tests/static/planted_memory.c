/* Defects for scripts/static to find; built by nothing. */
#include <stdlib.h>
#include <string.h>

int use_after_free(size_t n);
int never_set(int which);
int leaked(const char *text);
int absent(size_t n);
int freed_twice(size_t n);
int past_the_end(void);
int falls(int kind);
size_t length_of(const char *text);

int use_after_free(size_t n)
{
	char *p = calloc(1, n + 1);
	int first;

	if (!p)
		return -1;
	free(p);
	first = *p; /* planted clang-tidy clang-analyzer-unix.Malloc */ /* planted gcc -Wanalyzer-use-after-free */ /* planted cppcheck deallocuse */
	return first;
}

int never_set(int which)
{
	int value;

	if (which > 3)
		value = 1;
	return value; /* planted clang-tidy clang-analyzer-core.uninitialized.UndefReturn */ /* planted gcc -Wanalyzer-use-of-uninitialized-value */ /* planted cppcheck uninitvar */
}

int leaked(const char *text)
{
	char *p = malloc(10);

	if (!p)
		return -1;
	p[0] = *text;
	if (*text == 'x')
		return -2; /* planted gcc -Wanalyzer-malloc-leak */ /* planted cppcheck memleak */
	free(p);
	return 0;
}

int absent(size_t n)
{
	int *p = malloc(n * sizeof(*p));

	*p = 1; /* planted gcc -Wanalyzer-possible-null-dereference */
	free(p);
	p = NULL;
	return *p; /* planted clang-tidy clang-analyzer-core.NullDereference */ /* planted gcc -Wanalyzer-null-dereference */ /* planted cppcheck nullPointer */
}

int freed_twice(size_t n)
{
	void *p = malloc(n);

	free(p);
	free(p); /* planted clang-tidy clang-analyzer-unix.Malloc */ /* planted gcc -Wanalyzer-double-free */ /* planted cppcheck doubleFree */
	return 0;
}

int past_the_end(void)
{
	int table[4] = {0};

	for (int i = 0; i < 4; i++)
		table[i] = i;
	return table[4]; /* planted cppcheck arrayIndexOutOfBounds */
}

int falls(int kind)
{
	int result = 0;

	switch (kind) {
	case 1:
		result = 5; /* planted clang-tidy clang-analyzer-deadcode.DeadStores */
	case 2:
		result = 7;
		break;
	}
	return result;
}

size_t length_of(const char *text)
{
	const char *words[3] = {text};
	char copy[8];

	if (strlen(text) < sizeof(copy))
		memcpy(copy, text, strlen(text)); /* planted clang-tidy bugprone-not-null-terminated-result */
	return sizeof(words) / sizeof(words); /* planted clang-tidy bugprone-sizeof-expression */
}
