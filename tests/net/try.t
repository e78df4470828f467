#!/usr/bin/env bash
# ./try, as whoever comes first runs it: to its end, with a figure in every row, and nothing is left.
. "${0%/*}/lib.sh"
lab_enter 900 "$@"

said=$(TRY_WG=$WG "$top/try" 2>&1 </dev/null)
status=$?
is "./try comes to its end [try-works]" "$status $(tail -n 1 <<<"$said")" \
	"0 Tunnel and office work. All hosts and all in them are gone."
((status == 0)) || sed 's/^/# /' <<<"$said"
is "with a figure in each of its rows [try-works]" \
	"$(awk -F'  +' '/^  .*  +[0-9]+\.[0-9]+ / { print $2 }' <<<"${said%%ginnel status*}")" \
"started in
handshake and first ping
IPv4 inside IPv4
IPv6 inside IPv4
IPv4 inside IPv6
IPv6 inside IPv6
left to right
right to left
at rest
greatest
up in
b reaches d
d reaches b
e reaches d
f reaches d
e reaches f
f reaches e"
is "in the office everybody is seen as who it is [try-works]" \
	"$(sed -n 's/^  \(.\) reaches .* where it is seen as \(.*\)/\1 \2/p' <<<"$said")" \
"b 192.168.201.55
d 192.168.200.244
e 10.70.0.4
f 10.70.0.5
e 10.70.0.4
f 10.70.0.5"
is "the hub says that it speaks with all of them [try-works]" \
	"$(awk '/^ginnel status/ { said = 1 } said && / up$/ { print $1, $2, $3, $NF }' <<<"$said")" \
"a node 10.70.0.2 up
c node 10.70.0.3 up
e person 10.70.0.4 up
f person 10.70.0.5 up"
is "and nothing is left of it [try-works]" "$(pgrep -x "${WG##*/}"; ip -br link | grep -v '^lo'; ls /run/netns)" ""
out=$("$top/try" now 2>&1)
is "a word that it does not know is answered by its usage [try-works]" "$? $(tail -n 1 <<<"$out")" "2 usage: ./try"

lab_end
