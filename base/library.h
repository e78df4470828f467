/*
 * base/library.h - libraries that are loaded when they are needed, and their functions.
 *
 * Linked as usual, libcrypto takes most of the time before main(): 17,000 of its addresses are to be
 * bound, over a hundred pages.  A daemon has its interface and its socket to make before, and who
 * only asks for the version never needs it.  Small ones cost 0.05 ms each.
 *
 * A library has a list of those of its functions that are called, and a struct of pointers to them.
 * A linked.c beside it, a program that nobody runs, is linked with all that is on the lists: a function
 * that a library does not have fails the build, and tools for packages see what we depend on.
 */
#pragma once

#include "base/util.h"

/* A member of the struct, for the list. */
#define LIBRARY_POINTER(function) __typeof__(function) *(function);

/* An element of the array that says what to look for. */
#define LIBRARY_FUNCTION(library, function) {#function, (void **)&(library).function}

struct library_function {
	const char	*name;
	void		**pointer;
};

struct library {
	const char			*file;	/* as the dynamic linker knows it */
	const struct library_function	*functions;
	size_t				 n;
};

/* library_load(l): NULL, or why not, in words; valid until the thread's next call. */
const char *library_load(const struct library *l);
