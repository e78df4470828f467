#include "base/library.h"

#include <dlfcn.h>

const char *library_load(const struct library *l)
{
	void *handle = dlopen(l->file, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return dlerror();
	/* It stays until the process ends, as a linked one would. */
	for (size_t i = 0; i < l->n; i++) {
		*l->functions[i].pointer = dlsym(handle, l->functions[i].name);
		if (!*l->functions[i].pointer)
			return dlerror();
	}
	return NULL;
}
