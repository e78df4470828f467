/* ginnel-scope: see inside a running tunnel. */
#include "scope/extcap.h"
#include "scope/verbs.h"

#include "ctl/capture.h"

#define USAGE_STATUS 2

static const struct cmd_option capture_options[] = {
	{"write", 'w', .metavar = "FILE", .value = VALUE_TEXT_AT(scope_settings, file, 1, NULL),
		.help = "write to this file, readable by its owner only; - or none: standard output"},
	{"inner", .value = VALUE_BOOL_AT(scope_settings, inner),
		.help = "packets inside the tunnel; this is the default"},
	{"outer", .value = VALUE_BOOL_AT(scope_settings, outer),
		.help = "messages outside, with what is encrypted in them"},
	{"keys", .value = VALUE_BOOL_AT(scope_settings, keys),
		.help = "messages outside, and in the file the keys with which Wireshark reads them"},
	{"peer", .metavar = "PEER", .value = VALUE_TEXT_AT(scope_settings, peer, 1, NULL),
		.help = "of this peer only: its name in the tunnel's file, or its public key"},
	{"snap", .metavar = "N", .value = VALUE_INT_AT(scope_settings, snap, 64, CAPTURE_SNAP_MAX, "65535"),
		.help = "keep the first N bytes of each packet"},
	{"count", 'c', .metavar = "N", .value = VALUE_INT_AT(scope_settings, count, 1, INT64_MAX, NULL),
		.help = "end after N packets"},
	{"duration", 'd', .metavar = "SECONDS", .value = VALUE_INT_AT(scope_settings, seconds, 1, 31536000, NULL),
		.help = "end after so many seconds"},
	{"rotate", .metavar = "SIZE[:N]", .value = VALUE_TEXT_AT(scope_settings, rotate, 1, NULL),
		.help = "begin a new file after SIZE bytes (K, M and G are understood), and keep the last N"},
};

static const struct cmd_option keylog_options[] = {
	{"kernel", .value = VALUE_BOOL_AT(scope_settings, kernel),
		.help = "of the kernel's own WireGuard, all its interfaces; takes root"},
	{"duration", 'd', .metavar = "SECONDS", .value = VALUE_INT_AT(scope_settings, seconds, 1, 31536000, NULL),
		.help = "end after so many seconds"},
};

static const struct cmd_option trace_options[] = {
	{"peer", .metavar = "PEER", .value = VALUE_TEXT_AT(scope_settings, peer, 1, NULL),
		.help = "of this peer only: its name in the tunnel's file, or its public key"},
	{"json", .value = VALUE_BOOL_AT(scope_settings, json), .help = "print one JSON object a line"},
	{"verbose", 'v', .value = VALUE_BOOL_AT(scope_settings, verbose),
		.help = "keepalives too, and each of many lines of one kind"},
};

static const struct cmd commands[] = {
	{"capture", .operands = "[INTERFACE]", .most = 1, .run = capture_verb, CMD_OPTIONS(capture_options),
		.help = "write what goes through a tunnel as pcapng, for Wireshark"},
	{"keylog", .operands = "FILE [INTERFACE]", .least = 1, .most = 2, .run = keylog_verb,
		CMD_OPTIONS(keylog_options),
		.help = "write the keys of handshakes, for Wireshark to read a capture of its own"},
	{"trace", .operands = "[INTERFACE]", .most = 1, .run = trace_verb, CMD_OPTIONS(trace_options),
		.help = "print what happens, one line each, with cause and next step"},
};

static const struct cmd root = {
	"ginnel-scope", CMD_COMMANDS(commands), .help = "see inside a running tunnel"};

int main(int argc, char **argv)
{
	struct scope_settings settings = {.inner = false};
	const char *slash = argc ? strrchr(argv[0], '/') : NULL;

	if (argc && !strcmp(slash ? slash + 1 : argv[0], EXTCAP_PROGRAM))
		return extcap_main(argc, argv);

	return cmd_main(&root, argc, argv, &settings, USAGE_STATUS);
}
