#include "crypto/load.h"

#include "crypto/ipsec_mb.h"
#include "crypto/libcrypto.h"
#include "crypto/sonames.h"

#include <pthread.h>
#include <stdio.h>

#define OF_LIBCRYPTO(f) LIBRARY_FUNCTION(libcrypto, f),
#define OF_IPSEC_MB(f) LIBRARY_FUNCTION(ipsec_mb, f),

struct libcrypto libcrypto;
static const struct library_function of_libcrypto[] = {LIBCRYPTO_FUNCTIONS(OF_LIBCRYPTO)};

#ifdef HAVE_IPSEC_MB
struct ipsec_mb ipsec_mb;
static const struct library_function of_ipsec_mb[] = {IPSEC_MB_FUNCTIONS(OF_IPSEC_MB)};
#endif

static const struct library libraries[] = {
	{SONAME_CRYPTO, of_libcrypto, array_size(of_libcrypto)},
#ifdef HAVE_IPSEC_MB
	{SONAME_IPSEC_MB, of_ipsec_mb, array_size(of_ipsec_mb)},
#endif
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failure[256]; /* empty: none */

static void load(void)
{
	const char *why = NULL;

	for (size_t i = 0; !why && i < array_size(libraries); i++)
		why = library_load(&libraries[i]);
	if (why)
		snprintf(failure, sizeof(failure), "%s", why);
}

const char *crypto_load(void)
{
	pthread_once(&once, load);
	return failure[0] ? failure : NULL;
}

void crypto_need(void)
{
	const char *why = crypto_load();

	if (unlikely(why))
		crypto_die(why);
}
