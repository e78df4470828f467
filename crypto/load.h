/*
 * crypto/load.h - loads the libraries that do the work of this floor.
 */
#pragma once

/*
 * crypto_load(): NULL, or why they cannot be loaded, in words.  The first call does it, and what needs
 * them calls it; who will be without files, or wants to say why, does so before.
 */
const char *crypto_load(void);

/* crypto_need(): the same, and the program ends where they cannot be loaded. */
void crypto_need(void);
