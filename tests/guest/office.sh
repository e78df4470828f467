# shellcheck shell=bash disable=SC2034,SC2154,SC2015
# tests/guest/office.sh - an office of which the guest is the node a and the person e.  To be read after lib.sh of tests/net
# and of tests/guest; enters the laboratory.
#
#	  guest                                         z, the hub             c, a node
#	+------------------------+                   +--------------+        +--------------------+
#	| a 10.70.0.2  office    |                   |  10.70.0.1   |        |  10.70.0.3         |
#	| e 10.70.0.4            |-------------------| eth 10.0.0.1 |--------| eth 10.0.1.2       |
#	| eth0 10.0.0.2          |                   | to-c 10.0.1.1|        | lan 192.168.200.2  |
#	| lan 192.168.201.2 -- b |                   +--------------+        +-- d .244 ----------+
#	+------------------------+
#
# b is a namespace of the guest.  z and c run ginnel up with the program under test, each on an interface of its own name.
lab_enter 840 "$@"

programs=$(dirname "$WG")
desk=/run/lab/desk
bail() { echo "Bail out! $*"; lab_logs; guest_logs; exit 1; }
in_guest() { guest_run 300 "$@"; }
office() { "$programs/ginnel-office" "$1" --file=$desk/office.net "${@:2}" 2>>/run/lab/office.said; }
accept() { office accept >/dev/null; }

# office_file WORDS-OF-A WORDS-OF-E [LINE...]
office_file()
{
	printf '%s\n' 'z hub 10.0.0.1' "a node 192.168.201.0/24 return route at .2 $1" 'c node 192.168.200.0/24 return route at .2' \
		'b host a .55' 'd host c .244' "e person 10.70.0.4 $2" "${@:3}" >$desk/office.net
}

# up_in NAME: a member of the laboratory.
up_in() { office export "$1" | in_ns "$1" "$programs/ginnel-office" up --interface="$1" - >>"/run/lab/$1.log" 2>&1; }

# up_guest NAME [INTERFACE]: what it says.
up_guest()
{
	office export "$1" >/run/lab/bundle || return
	in_guest "ginnel-office up --interface=${2:-office} -" /run/lab/bundle
}

# guest_pings OPTION... ADDRESS: soon.
guest_pings() { guest_run 120 "for i in \$(seq 60); do ping -n -q -c 1 -W 2 ${*: -1} >/dev/null && break; done; ping -n -q -c 2 -i 0.2 -W 60 $*"; }
b_pings() { guest_run 120 "for i in \$(seq 60); do ip netns exec b ping -n -q -c 1 -W 2 $1 >/dev/null && break; done; ip netns exec b ping -n -q -c 2 -i 0.2 -W 60 $1"; }

# put_programs: into the guest; a test may have another way.
put_programs()
{
	local m

	for m in ginnel-office ginnel-wg; do
		strip -o "/run/lab/$m" "$programs/$m" && guest_put "/run/lab/$m" "/usr/bin/$m" || return
	done
}

# office_hosts NAME SCRIPT: the hosts; NAME is the one at the other end of the guest's cable, SCRIPT plugs "lan" in the guest.
office_hosts()
{
	mkdir $desk && mount -t tmpfs own /var/lib && cp -a /etc /run/lab/etc && mount --bind /run/lab/etc /etc || return
	ns_add "$1" c d && link_add "$1" to-c c eth && link_add c lan d eth &&
		addr "$1" to-c 10.0.1.1/24 && addr c eth 10.0.1.2/24 && addr c lan 192.168.200.2/24 && addr d eth 192.168.200.244/24 &&
		ip -n c route add default via 10.0.1.1 && ip -n d route add default via 192.168.200.2 || return
	guest_boot "$1" eth && addr "$1" eth 10.0.0.1/24 || return
	put_programs || return
	in_guest "set -e
		ip link set lo up; ip link set eth0 up; ip addr add 10.0.0.2/24 dev eth0; ip route add default via 10.0.0.1
		ip netns add b; $2
		ip -n b link set lo up; ip -n b link set eth up; ip -n b addr add 192.168.201.55/24 dev eth; ip -n b route add default via 192.168.201.2
		modprobe -a tun nf_tables
		# Their own IPv6 addresses come when the kernel has seen their carrier and nobody who has the same.
		for i in \$(seq 100); do
			[ \"\$(ip -6 -o addr show scope link | grep -c -v tentative)\" = \"\$(ip -o link show up | grep -c -v LOOPBACK)\" ] && exit
			sleep 1
		done
		false"
}

office_build()
{
	local m

	office_hosts z 'ip link add lan type veth peer name eth netns b; ip link set lan up; ip addr add 192.168.201.2/24 dev lan' || return
	office_file '' ''
	for m in z c; do
		in_ns $m "$programs/ginnel-office" key --interface=$m $m | accept || return
	done
	in_guest 'ginnel-office key a; ginnel-office key --interface=away e' >/run/lab/keys && accept </run/lab/keys &&
		up_in z && up_in c
}
