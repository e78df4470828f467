# shellcheck shell=bash disable=SC2034,SC2154
# tests/net/office.sh - an office in the laboratory, for tests and ./try: who reaches whom, and as whom it is seen there.
#
# Sourced behind lib.sh, used inside.  Programs are those beside $WG.

office_bin=${WG%/*}
office_state=/run/ginnel-lab

lab() { "$office_bin/ginnel" lab "$@" </dev/null; }

# office_watch HOST...: from now on these see who comes.
office_watch()
{
	local host

	for host; do
		lab exec "$host" "$top/tests/net/saw.py" >"/run/lab/saw.$host" 2>&1 &
	done
	for host; do
		within 60 grep -q ready "/run/lab/saw.$host" || return
	done
}

# office_saw FROM TO ADDRESS [SECONDS [SECONDS-FOR-TCP]]: as whom TO saw host FROM, which used ADDRESS: by ping, then by TCP.
# "-": not at all.
office_saw()
{
	local id said ping=- tcp=-

	# One that none before had.
	echo >>/run/lab/saw.ids
	id=$(wc -l </run/lab/saw.ids)
	said=$("$office_bin/ginnel" lab exec "$1" "$top/tests/net/saw.py" ask "${4:-5}" "${5:-${4:-5}}" <<<"$3 $id")
	if grep -q ' ping' <<<"$said"; then
		# The answer was the kernel's; the line comes when it comes.
		within 60 grep -q "^ping .* $id\$" "/run/lab/saw.$2"
		ping=$(awk -v id=$id '$1 == "ping" && $3 == id { print $2; exit }' "/run/lab/saw.$2")
	fi
	! grep -q ' tcp ' <<<"$said" || tcp=$(sed -n 's/.* tcp //p' <<<"$said")
	echo "${ping:-?} $tcp"
}

# office_reaches NAME FROM TO ADDRESS SEEN: soon, by ping and TCP, and is seen as that.
office_reaches()
{
	local end=$((SECONDS + 90)) got

	until got=$(office_saw "$2" "$3" "$4") && [[ $got == "$5 $5" ]]; do
		((SECONDS < end)) || break
	done
	is "$1" "$got" "$5 $5"
}

# office_lost NAME FROM TO ADDRESS [GOT]: neither ping nor TCP get there and back, or only what is said: a ping may take longer.
office_lost() { is "$1" "$(office_saw "$2" "$3" "$4" $((${#5} ? 60 : 3)) 3)" "${5:-- -}"; }
