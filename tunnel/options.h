/*
 * tunnel/options.h - the command line and the environment of ginnel-wg, as wireguard-go has them.
 *
 * Pure: looks at its arguments only; prints where it is told to.
 */
#pragma once

#include "base/cmd.h"
#include "base/log.h"
#include "tunnel/bind.h"
#include "tunnel/fast_path.h"

#include <limits.h>
#include <stdio.h>

#define OPTIONS_NAME_MAX 15 /* IFNAMSIZ - 1 */
#define OPTIONS_VARIABLE "GINNEL_WG_OPTIONS"

#define OPTIONS_ACTION_LIST(X)                                                                     \
	X(OPTIONS_RUN, 1, "run", "be the tunnel NAME")                                             \
	X(OPTIONS_HELP, 2, "help", "print the usage; exit 0")                                      \
	X(OPTIONS_VERSION, 3, "version", "print the version; exit 0")
ENUM_DECLARE(options_action, OPTIONS_ACTION_LIST);

struct options {
	bool			 foreground;
	bool			 version;
	bool			 replace;	/* take over from the daemon that serves the name */
	bool			 upgrade;	/* likewise, unless it is what we would be */
	unsigned		 workers;	/* 0: one for each processor */
	unsigned		 without;	/* pieces of the fast path: FAST_PATH_... */
	bool			 retain;	/* wg/retain.h */
	struct bind		 bind;
	unsigned		 n_v4, n_v6;	/* how many addresses were given for ${bind} */
	/* set by options_parse() */
	enum options_action	 action;
	const char		*name;		/* borrowed from argv; set for OPTIONS_RUN */
};

/* The table of options, for --help, --dump-options and the test that the manual has them all. */
extern const struct cmd options_cmd;

/*
 * options_parse(argc, argv, variable, ret, err): -EINVAL after one line to ${err} that says what is
 * wrong.  No name at all, or more than one, is OPTIONS_HELP, for which wireguard-go exits with 0
 * too.  ${argv} is reordered.  --completion and --dump-options, as first argument, are carried out
 * at once and end the process.
 *
 * ${variable} is what OPTIONS_VARIABLE holds, or NULL: more options with blanks between them, as if
 * they stood in front of those in ${argv}.  Looked at only when there is a tunnel to be run.
 */
int options_parse(int argc, char *argv[], const char *variable, struct options *ret, FILE *err);

/* options_usage(program, out), options_version(out). */
void options_usage(const char *program, FILE *out);
void options_version(FILE *out);

/*
 * May an interface be called so?  1 to 15 bytes, no blank, no '/' or ':', not "." or "..", no
 * control character.
 */
bool options_name_valid(const char *name);

struct environment {
	enum log_level	log_level;	/* LOG_LEVEL: verbose, debug, info, error, silent; else error */
	bool		log_level_set;	/* it was given: standard error stays open in the background */
	bool		foreground;	/* WG_PROCESS_FOREGROUND is "1" */
	uint64_t	main_pid;	/* MAINPID: whose service reloads; 0: none */
	int		tun_fd;		/* WG_TUN_FD, or -1 */
	int		uapi_fd;	/* WG_UAPI_FD, or -1 */
	char		key_log[PATH_MAX];	/* WG_KEYLOGFILE, or WGKEYLOGFILE; "": none */
};

/*
 * environment_read(ret, err): read the variables above.  All but LOG_LEVEL, and OPTIONS_VARIABLE,
 * are removed from the environment, so that no child inherits them.  A MAINPID that is no number is none.  A level that is none is told
 * to ${err} and is error.  The path of the key log becomes an absolute one.  -EINVAL after one line to
 * ${err}: a descriptor number or a path that is none.
 * Looks at no descriptor.
 */
int environment_read(struct environment *ret, FILE *err);
