/* ginnel-office: the office network, from one file. */
#include "office/verbs.h"

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

static const struct cmd commands[] = {
	{"check", .run = verb_check, CMD_OPTIONS(desk_options),
		.help = "say what is wrong with the file, and what will not go well"},
	{"plan", .operands = "[NAME...]", .most = CMD_MOST_ANY, .run = verb_plan, CMD_OPTIONS(plan_options),
		.help = "say what each member gets, and what changes against the lock"},
};

static const struct cmd root = {
	"ginnel-office", CMD_COMMANDS(commands), .help = "an office network from one file"};

int main(int argc, char **argv)
{
	struct verb_settings settings = {.file = ""};

	return cmd_main(&root, argc, argv, &settings, VERB_STATUS_USAGE);
}
