#include "stats/text.h"

#include <stdio.h>
#include <time.h>

void text_key_short(const uint8_t key[KEY_LEN], char ret[16])
{
	char all[KEY_TEXT_LEN + 1];

	key_text_format(key, all);
	snprintf(ret, 16, "%.4s...%.3s", all, all + 40);
}

void text_age(uint64_t ns, char ret[32])
{
	unsigned long long s = ns / 1000000000;

	if (s < 60)
		snprintf(ret, 32, "%llu s", s);
	else if (s < 3600)
		snprintf(ret, 32, "%llu min %llu s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(ret, 32, "%llu h %llu min", s / 3600, s / 60 % 60);
	else
		snprintf(ret, 32, "%llu d %llu h", s / 86400, s / 3600 % 24);
}

void text_bytes(uint64_t n, char ret[32])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)n / 1024;
	size_t unit = 0;

	if (n < 1024) {
		snprintf(ret, 32, "%llu B", (unsigned long long)n);
		return;
	}
	/* What would be rounded to 1024.0 is one of the next unit. */
	for (; v >= 1023.95 && unit + 1 < array_size(units); unit++)
		v /= 1024;
	snprintf(ret, 32, "%.1f %s", v, units[unit]);
}

void text_time(uint64_t ns, char ret[40])
{
	time_t s = (time_t)(ns / 1000000000);
	struct tm tm = {.tm_year = 0};
	char date[32];

	if (!gmtime_r(&s, &tm) || !strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm))
		date[0] = '\0';
	snprintf(ret, 40, "%s.%03uZ", date, (unsigned)(ns / 1000000 % 1000));
}
