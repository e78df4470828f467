/*
 * crypto/ipsec_mb.h - what crypto/aead_ipsecmb.c calls of libipsec-mb, which not every machine has.
 */
#pragma once

#include "base/library.h"

#ifdef HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>

/* clang-format off */
#define IPSEC_MB_FUNCTIONS(X)                   \
	X(alloc_mb_mgr)                         \
	X(free_mb_mgr)                          \
	X(imb_get_errno)                        \
	X(imb_get_version_str)                  \
	X(init_mb_mgr_auto)                     \
	X(init_mb_mgr_avx)                      \
	X(init_mb_mgr_avx2)                     \
	X(init_mb_mgr_avx512)
/* clang-format on */

/* All NULL until crypto_load(). */
extern struct ipsec_mb {
	IPSEC_MB_FUNCTIONS(LIBRARY_POINTER)
} ipsec_mb;
#else
#define IPSEC_MB_FUNCTIONS(X)
#endif
