/* ginnel-office: the office network, from one file. */
#include "office/verbs.h"

#include "base/log.h"

#include <stdio.h>

bool verb_interface(const struct verb_settings *s)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
			  others[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	if (strchr(first, s->interface[0]) && strspn(s->interface, others) == strlen(s->interface))
		return true;
	fprintf(stderr, "ginnel-office: %s: an interface's name is of letters, digits, _ and -, a letter first\n", s->interface);
	return false;
}

bool verb_on_member(const struct verb_settings *s)
{
	char prefix[64];

	if (!verb_interface(s))
		return false;
	snprintf(prefix, sizeof(prefix), "ginnel-office(%s)", s->interface);
	log_open(prefix, LOG_LEVEL_INFO);
	return true;
}

static const struct cmd_option desk_options[] = {
	{"file", .metavar = "FILE", .value = VALUE_TEXT_AT(verb_settings, file, 1, VERB_FILE),
		.help = "the office's file, beside which its lock is"},
};

static const struct cmd_option plan_options[] = {
	{"file", .metavar = "FILE", .value = VALUE_TEXT_AT(verb_settings, file, 1, VERB_FILE),
		.help = "the office's file, beside which its lock is"},
	{"json", .value = VALUE_BOOL_AT(verb_settings, json), .help = "print JSON"},
	{"dot", .value = VALUE_BOOL_AT(verb_settings, dot), .help = "print a drawing as text for Graphviz"},
	{"svg", .value = VALUE_BOOL_AT(verb_settings, svg), .help = "print the drawing as SVG; runs dot of Graphviz"},
};

static const struct cmd_option member_options[] = {
	{"interface", .metavar = "NAME", .value = VALUE_TEXT_AT(verb_settings, interface, 1, VERB_INTERFACE),
		.help = "the tunnel's interface, after which files are called too"},
};

static const struct cmd_option up_options[] = {
	{"interface", .metavar = "NAME", .value = VALUE_TEXT_AT(verb_settings, interface, 1, VERB_INTERFACE),
		.help = "the tunnel's interface, after which files are called too"},
	{"probe", .value = VALUE_BOOL_AT(verb_settings, probe),
		.help = "ask again what was found before: the gateway of a LAN whose return mode is auto, and the MTU"},
	{"stay", .value = VALUE_BOOL_AT(verb_settings, stay),
		.help = "stay afterwards, and repair what others change, until SIGTERM or down"},
	{"clock-wait", .metavar = "SECONDS", .value = VALUE_INT_AT(verb_settings, clock_wait_s, 0, 86400, "60"),
		.help = "with --stay: how long to wait for a clock that is wrong to be set"},
};

static const struct cmd_option status_options[] = {
	{"interface", .metavar = "NAME", .value = VALUE_TEXT_AT(verb_settings, interface, 1, VERB_INTERFACE),
		.help = "the tunnel's interface, after which files are called too"},
	{"json", .value = VALUE_BOOL_AT(verb_settings, json), .help = "print JSON"},
	{"watch", .metavar = "SECONDS", .absent = "2", .value = VALUE_INT_AT(verb_settings, watch_s, 1, 86400, NULL),
		.help = "print again and again, every 2 s or so often"},
};

static const struct cmd_option export_options[] = {
	{"file", .metavar = "FILE", .value = VALUE_TEXT_AT(verb_settings, file, 1, VERB_FILE),
		.help = "the office's file, beside which its lock is"},
	{"interface", .metavar = "NAME", .value = VALUE_TEXT_AT(verb_settings, interface, 1, VERB_INTERFACE),
		.help = "the tunnel's interface, after which files are called too"},
	{"into", .metavar = "DIR", .value = VALUE_TEXT_AT(verb_settings, into, 0, ""),
		.help = "write the files of networkd or nm into this directory"},
};

static const struct cmd_option qr_options[] = {
	{"file", .metavar = "FILE", .value = VALUE_TEXT_AT(verb_settings, file, 1, VERB_FILE),
		.help = "the office's file, beside which its lock is"},
	{"text", .value = VALUE_BOOL_AT(verb_settings, text), .help = "show the text itself, for applications without a camera"},
	{"new", .value = VALUE_BOOL_AT(verb_settings, new_key),
		.help = "another key for who has one, which then stops working"},
};

static const struct cmd commands[] = {
	{"check", .run = verb_check, CMD_OPTIONS(desk_options),
		.help = "say what is wrong with the file, and what will not go well"},
	{"lab-plan", .operands = "DIR [NAME=KIND...]", .least = 1, .most = CMD_MOST_ANY, .run = verb_lab_plan,
		CMD_OPTIONS(desk_options), .help = "write what ginnel lab makes of the file, for ginnel-lab"},
	{"plan", .operands = "[NAME...]", .most = CMD_MOST_ANY, .run = verb_plan, CMD_OPTIONS(plan_options),
		.help = "say what each member gets, and what changes against the lock"},
	{"key", .operands = "NAME", .least = 1, .most = 1, .run = verb_key, CMD_OPTIONS(member_options),
		.help = "make this machine's private key, and print the public one for accept"},
	{"rotate", .operands = "NAME", .least = 1, .most = 1, .run = verb_rotate, CMD_OPTIONS(member_options),
		.help = "make another private key beside this machine's, to take over, and print both public ones for accept"},
	{"accept", .operands = "[NAME [WORD VALUE]]", .most = 3, .run = verb_accept, CMD_OPTIONS(desk_options),
		.help = "take in what members say of themselves: keys, return modes, MTUs"},
	{"export", .operands = "NAME [FORM]", .least = 1, .most = 2, .words = verb_export_words, .run = verb_export,
		CMD_OPTIONS(export_options), .help = "print a member's part, for ginnel up or for other programs"},
	{"qr", .operands = "NAME", .least = 1, .most = 1, .run = verb_qr, CMD_OPTIONS(qr_options),
		.help = "make a telephone's key, and show it once with the rest that it needs"},
	{"up", .operands = "[BUNDLE]", .most = 1, .run = verb_up, CMD_OPTIONS(up_options),
		.help = "make this machine what its part of the network says"},
	{"status", .run = verb_status, CMD_OPTIONS(status_options),
		.help = "say whom this machine speaks with, since when and how much"},
	{"down", .run = verb_down, CMD_OPTIONS(member_options),
		.help = "undo what up made"},
};

static const struct cmd root = {
	"ginnel-office", CMD_COMMANDS(commands), .help = "an office network from one file"};

int main(int argc, char **argv)
{
	struct verb_settings settings = {.file = ""};

	return cmd_main(&root, argc, argv, &settings, VERB_STATUS_USAGE);
}
