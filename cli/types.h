/*
 * cli/types.h - every enumeration of the tree, for "ginnel enum".
 *
 * The tables are made here a second time from the list macros of the headers, so that the front
 * program is not linked with the code that uses them.  A type that is declared in a header and has
 * no row here fails a test.
 */
#pragma once

#include "base/enum.h"

struct cli_type {
	const struct enum_type	*type;
	bool			 is_public;	/* others rely on it: locked */
};

extern const struct cli_type cli_types[];
extern const size_t cli_n_types;
