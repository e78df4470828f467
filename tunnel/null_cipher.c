#include "tunnel/null_cipher.h"

bool null_cipher_allowed(FILE *err)
{
	const char *value = getenv(NULL_CIPHER_VARIABLE);

	if (value && !strcmp(value, "1")) {
		fprintf(err, "WARNING: THIS DAEMON HAS NO CIPHER.  Whatever goes through it can be "
			     "read and\n"
			     "WARNING: changed by anybody on the way.  It was built to be "
			     "measured, no more.\n");
		return true;
	}
	fprintf(err,
		"This daemon was built without a cipher (-Dnull_cipher=true), to be measured, and\n"
		"protects nothing.  Use the one of an ordinary build: make release.  To measure "
		"with\n"
		"it, set " NULL_CIPHER_VARIABLE "=1.\n");
	return false;
}
