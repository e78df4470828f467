#!/bin/bash
# The daemon without a cipher, which bench/run measures: the ordinary program has nothing of it, nobody runs it by
# mistake, and it is not installed.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
ordinary=.build/gcc build=.build/null n=0 failed=0
log=$(mktemp) staging=$(mktemp -d) || exit 1
trap 'rm -rf "$log" "$staging"' EXIT

ok() { # NAME COMMAND...
	local name=$1 verdict=ok
	shift
	"$@" >"$log" 2>&1 || verdict='not ok'
	echo "$verdict $((++n)) - $name"
	[[ $verdict == ok ]] || { ((++failed)); sed 's/^/# /' "$log"; }
}

built()
{
	[[ -e $build/build.ninja ]] || meson setup "$build" --buildtype=release -Dnull_cipher=true || return
	ninja -C "$build" -j "${JOBS:-$(nproc)}"
}
null=$build/bin/ginnel-wg-without-cipher

# traces FILE: the names that only a build without a cipher has.
traces() { grep -aoiE 'aead_null|null_cipher|no cipher at all|without-cipher' "$1" | sort -u; }
none() { [[ -s $1 && -z $(traces "$1") ]] || { traces "$1"; return 1; }; }
has() { [[ $(traces "$1" | wc -l) -ge 2 ]] || { traces "$1"; return 1; }; }

alone=(unshare -n)
((EUID)) && alone+=(-r) # a user namespace, which not every place allows
refuses() # VALUE
{
	local said status
	said=$(env ${1+GINNEL_NULL_CIPHER_BENCHMARK="$1"} LOG_LEVEL=silent timeout 120 "${alone[@]}" "$null" -f null0 2>&1)
	status=$?
	echo "exit status $status: $said"
	[[ $status == 1 && $said == *"built without a cipher"* && $said == *"make release"* ]]
}
warns()
{
	local said
	# A descriptor that cannot be a TUN is refused later, so that it ends by itself after what it has to say.
	said=$(GINNEL_NULL_CIPHER_BENCHMARK=1 LOG_LEVEL=silent WG_TUN_FD=0 timeout 120 "$null" -f null0 2>&1)
	echo "$said"
	[[ $said == *"THIS DAEMON HAS NO CIPHER"* ]]
}
nothing_installed()
{
	mkdir -p "$staging/none"
	DESTDIR=$staging/none meson install -C "$build" --no-rebuild || return
	find "$staging/none" -type f
	[[ -z $(find "$staging/none" -type f) ]]
}
installed()
{
	rm -rf "$staging/all"
	DESTDIR=$staging/all meson install -C "$ordinary" --no-rebuild >/dev/null || return
	find "$staging/all" -type f -name 'ginnel-wg' | grep -q . || { echo "no ginnel-wg was installed"; return 1; }
	find "$staging/all" -type f | while read -r file; do none "$file" || exit 1; done
}

ok "the daemon without a cipher builds" built
ok "it bears the names that are looked for [null-cipher-absent]" has "$null"
ok "the ordinary daemon has none of them [null-cipher-absent]" none $ordinary/bin/ginnel-wg
ok "what is installed has none of them [null-cipher-absent]" installed
ok "a build without a cipher installs nothing [null-cipher-absent]" nothing_installed
ok "without a word it refuses to run [null-cipher-refuses]" refuses
ok "nor does it run for any value [null-cipher-refuses]" refuses yes
ok "asked in the right way it says loudly what it is [null-cipher-refuses]" warns
echo "1..$n"
exit $((failed > 0))
