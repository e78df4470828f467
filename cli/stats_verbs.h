/* cli/stats_verbs.h - "ginnel stats", "ginnel metrics" and "ginnel report". */
#pragma once

#include "base/cmd.h"

#define LISTEN_MAX 256

struct stats_settings {
	bool		json, all, hide_addresses;
	unsigned	watch_s;		/* 0: once */
	char		listen[LISTEN_MAX];	/* "": print once */
};

/* Operands: names of tunnels, none for all.  ${settings} are struct stats_settings. */
int stats_verb(const struct cmd_call *call, const struct stats_settings *settings);
int metrics_verb(const struct cmd_call *call, const struct stats_settings *settings);
int report_verb(const struct cmd_call *call, const struct stats_settings *settings);
