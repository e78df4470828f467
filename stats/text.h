/* stats/text.h - keys, ages and amounts as people read them. */
#pragma once

#include "stats/stats.h"

/* text_key_short(key, ret): the first and last characters, as the daemon's log has them. */
void text_key_short(const uint8_t key[KEY_LEN], char ret[16]);

/* text_age(ns, ret): "12 s", "3 min 5 s", "2 h 10 min", "9 d 4 h". */
void text_age(uint64_t ns, char ret[32]);

/* text_bytes(n, ret): "512 B", "1.2 KiB", "3.4 MiB" ... */
void text_bytes(uint64_t n, char ret[32]);

/* text_time(ns, ret): "2026-03-01T12:00:00.123Z". */
void text_time(uint64_t ns, char ret[40]);
