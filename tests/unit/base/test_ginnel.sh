#!/bin/bash
# The front program as a person calls it.  Prints TAP.
set -u
source='@SOURCE@'
ginnel='@BUILD@/bin/ginnel'
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
n=0 failed=0

result() { # STATUS NAME
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		failed=$((failed + 1))
		echo "not ok $n - $2"
		sed 's/^/# /' "$scratch/out" "$scratch/err"
	fi
}

run() { # ARGUMENT...: status in $status
	"$ginnel" "$@" >"$scratch/out" 2>"$scratch/err"
	status=$?
}

for how in version --version; do
	run $how
	[ $status = 0 ] && grep -Eqx 'ginnel [0-9]+\.[0-9]+\.[0-9]+' "$scratch/out"
	result $? "$how prints one line"
done

run enum show wg_drop
[ $status = 0 ] && grep -Eq '^ +10  unknown-index +rx: no session' "$scratch/out" && [ ! -s "$scratch/err" ]
result $? "an enumeration is shown with values, names and meaning [enum-list]"

run enum list --json
[ $status = 0 ] && /usr/bin/python3 - "$scratch/out" "$source/tests/enum.lock" <<'END'
import json, sys
types = json.load(open(sys.argv[1]))
rows = {"%s=%d=%s" % (t["type"], m["value"], m["name"]) for t in types for m in t["members"]}
lock = set(open(sys.argv[2]).read().split("\n")) - {""}
assert lock and lock <= rows, lock - rows
assert all(m["identifier"].isidentifier() and "doc" in m for t in types for m in t["members"])
END
result $? "the JSON of all enumerations holds every locked line [enum-list]"

run enum show --json log_level
[ $status = 0 ] && /usr/bin/python3 -c '
import json, sys
t = json.load(open(sys.argv[1]))
assert t["type"] == "log_level" and t["members"][1] == {"name": "error", "value": 1,
    "identifier": "LOG_LEVEL_ERROR", "doc": "what needs somebody'\''s attention"}, t' "$scratch/out"
result $? "the JSON of one enumeration has names, values, identifiers and meaning"

run enum show wg_drp
[ $status = 1 ] && [ ! -s "$scratch/out" ] &&
	[ "$(cat "$scratch/err")" = "ginnel enum show: no enumeration is called wg_drp: did you mean wg_drop?" ]
result $? "an unknown enumeration is one line on standard error and status 1"

run enum show zebra
[ $status = 1 ] && [ ! -s "$scratch/out" ] &&
	[ "$(cat "$scratch/err")" = "ginnel enum show: no enumeration is called zebra; ginnel enum list prints their names" ]
result $? "an unknown enumeration that is like none is told where their names are"

run enmu
[ $status = 2 ] && [ ! -s "$scratch/out" ] &&
	[ "$(cat "$scratch/err")" = "ginnel: unknown command enmu: did you mean enum?" ]
result $? "an unknown verb is one line on standard error and status 2 [cmd-errors]"

run help enum show
cp "$scratch/out" "$scratch/first"
run enum show --help
[ $status = 0 ] && [ -s "$scratch/out" ] && cmp -s "$scratch/out" "$scratch/first"
result $? "help of a verb is the verb's --help [cmd-help]"

"$ginnel" enum list >/dev/full 2>"$scratch/err"
[ $? = 1 ] && [ "$(wc -l <"$scratch/err")" = 1 ]
result $? "output that cannot be written is an error"

# A verb that is a program: a copy of the front beside a program that says how it was called.
cp "$ginnel" "$scratch/ginnel"
printf '#!/bin/sh\nprintf "%%s\\n" "${0##*/}" "$@"\nexit 7\n' >"$scratch/ginnel-wg"
chmod +x "$scratch/ginnel-wg"
ginnel=$scratch/ginnel
run wg -f --help '' 'a b' --
[ $status = 7 ] && [ "$(cat "$scratch/out")" = "$(printf '%s\n' ginnel-wg -f --help '' 'a b' --)" ]
result $? "a verb that is a program gets its arguments as they are, and its status is kept [cmd-raw]"

ln -s "$scratch/ginnel" "$scratch/elsewhere"
ginnel=$scratch/elsewhere
run wg
[ $status = 7 ] && [ "$(cat "$scratch/out")" = ginnel-wg ]
result $? "the program is found beside the real file, not beside a link"
ginnel=$scratch/ginnel

rm "$scratch/ginnel-wg"
PATH=$scratch:$PATH run wg up
[ $status = 1 ] && [ "$(wc -l <"$scratch/err")" = 1 ] && grep -q "$scratch/ginnel-wg" "$scratch/err"
result $? "a program that is not there is one line that names it"

# The manual has every command and option of the dump.
run --dump-options
mandoc -T utf8 -O width=200 "$source/man/ginnel.1" | sed 's/.\x08//g; s/\xe2\x80\x90/-/g; s/\xe2\x88\x92/-/g' >"$scratch/manual"
missing=0 seen=0
while IFS=$'\t' read -r kind path third letter _; do
	case $kind in
	command) words=${path#ginnel} ;;
	option) words="$third $letter" ;;
	esac
	for word in $words; do
		[ "$word" = - ] && continue
		seen=$((seen + 1))
		grep -Eq -- "(^|[^a-z-])$word([^a-z-]|\$)" "$scratch/manual" && continue
		echo "$word is not in the manual" >>"$scratch/err"
		missing=$((missing + 1))
	done
done <"$scratch/out"
[ $status = 0 ] && [ "$missing" = 0 ] && [ "$seen" -gt 10 ]
result $? "the manual has every command and every option [cmd-dump]"

run --completion=bash
[ $status = 0 ] && bash -n "$scratch/out" && grep -q '^complete .* ginnel$' "$scratch/out"
result $? "the completion script is one that bash can read [cmd-completion]"

# Words of the line, the last to be completed.
completed() { bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ginnel; echo "${COMPREPLY[*]}"' "$scratch/out" "$@"; }
[ "$(completed ginnel enum show ctl_m)" = ctl_message ] && [ "$(completed ginnel lab exec '')" = "a b" ]
result $? "names of enumerations and of the laboratory's hosts are completed [cmd-completion]"

echo "1..$n"
exit $((failed > 0))
