/* Calls nothing, is linked with everything that is loaded by its name: see base/library.h. */
#include "base/libseccomp.h"

#define ADDRESS(function) (void (*)(void))(function),

static void (*const volatile functions[])(void) = {LIBSECCOMP_FUNCTIONS(ADDRESS)};

int main(void)
{
	return functions[0] == NULL;
}
