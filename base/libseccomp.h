/*
 * base/libseccomp.h - what base/sandbox.c calls of libseccomp.
 */
#pragma once

#include "base/library.h"

#include <seccomp.h>

/* clang-format off */
#define LIBSECCOMP_FUNCTIONS(X)                 \
	X(seccomp_attr_set)                     \
	X(seccomp_init)                         \
	X(seccomp_load)                         \
	X(seccomp_release)                      \
	X(seccomp_rule_add)                     \
	X(seccomp_rule_add_array)
/* clang-format on */
