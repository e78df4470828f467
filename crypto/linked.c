/* Calls nothing, is linked with everything that is loaded by its name: see base/library.h. */
#include "crypto/ipsec_mb.h"
#include "crypto/libcrypto.h"

#define ADDRESS(function) (void (*)(void))(function),

static void (*const volatile functions[])(void) = {LIBCRYPTO_FUNCTIONS(ADDRESS) IPSEC_MB_FUNCTIONS(ADDRESS)};

int main(void)
{
	return functions[0] == NULL;
}
