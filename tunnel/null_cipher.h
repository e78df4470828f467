/*
 * tunnel/null_cipher.h - a daemon without a cipher, for measuring, runs for nobody who has not asked
 * for exactly that.  Only in builds with -Dnull_cipher=true.
 */
#pragma once

#include "base/util.h"

#include <stdio.h>

#define NULL_CIPHER_VARIABLE "GINNEL_NULL_CIPHER_BENCHMARK"

/*
 * null_cipher_allowed(err): the environment has NULL_CIPHER_VARIABLE=1.  Says on ${err} what this
 * program is in either case, whatever the log level.
 */
bool null_cipher_allowed(FILE *err);
