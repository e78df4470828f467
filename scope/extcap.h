/*
 * scope/extcap.h - a tunnel as an interface of Wireshark's (doc/extcap.adoc of Wireshark).
 */
#pragma once

#define EXTCAP_PROGRAM "ginnel-extcap" /* called by this name, the program is nothing else */

/* extcap_main(argc, argv): the whole of a main(). */
int extcap_main(int argc, char **argv);
