# shellcheck shell=bash
# tests/net/variants.sh - network tests once more, under other circumstances: each whole test script is one result.
#
#	. "${0%/*}/variants.sh"
#	variant "with one worker [id]" peer.t GINNEL_WG_OPTIONS=--workers=1
#	variants_end

variants_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
variants_count=0 variants_failed=0

# variant NAME SCRIPT VARIABLE=VALUE...: run it with these variables; ok if it says so itself, with a plan, and tested
# something.
variant()
{
	local name=$1 script=$2 said status tests
	shift 2

	said=$(env "$@" "$variants_here/$script" 2>&1)
	status=$?
	tests=$(grep -c '^ok ' <<<"$said")
	((++variants_count))
	if ((status == 0 && tests)) && grep -q "^1\.\.$tests\$" <<<"$said"; then
		echo "ok $variants_count - $script, $tests tests, $name"
	else
		((++variants_failed))
		echo "not ok $variants_count - $script $name"
		echo "# $* $script: exit status $status"
		grep -v '^ok ' <<<"$said" | sed 's/^/#   /'
	fi
}

variants_end()
{
	echo "1..$variants_count"
	exit $((variants_failed > 0))
}
