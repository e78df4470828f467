/*
 * base/pages.h - what a process keeps in memory of the files that it is made of.
 */
#pragma once

/*
 * pages_forget_libraries(): the system may have back the pages of code and constants of all libraries but
 * the C library; a daemon needs most of them for starting only.  What is used again is read again, from the
 * page cache as a rule.  What was ever written to, relocations say, stays.
 */
void pages_forget_libraries(void);
