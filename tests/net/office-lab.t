#!/usr/bin/env bash
# The places of an office, from the seven lines of the notes: ginnel lab up FILE, who reaches whom outside the tunnels,
# what breaks and is mended.
#
#	203.0.113.0/24, all but the hub behind a carrier's NAT
#	   |--- z            the hub
#	   |--- a   LAN1 192.168.201.0/24 with b .55
#	   |--- c   LAN2 192.168.200.0/24 with d .244
#	   '--- e   f        at home
. "${0%/*}/lib.sh"
lab_enter 840 "$@"
unset LOG_LEVEL

bin=${WG%/*} state=/run/ginnel-lab
cp "$top/dist/office.net" /run/lab/office.net
lab() { "$bin/ginnel" lab "$@" </dev/null; }
says() # NAME STATUS WORDS ARGUMENT...
{
	local name=$1 status=$2 words=$3 said got
	shift 3
	said=$(lab "$@" 2>&1)
	got=$?
	is "$name" "$got $(grep -cF -- "$words" <<<"$said")" "$status 1"
	[[ $got == "$status" && $said == *"$words"* ]] || sed "s/^/# /" <<<"$said"
}
# left: whatever a lab could leave behind.
left()
{
	find /run -mindepth 1 ! -path '/run/lab*' ! -path /run/netns ! -path /run/mount
	ip netns list
	ip -o link show | grep -v ' lo:'
	pgrep -fx 'sleep infinity'
}
ping_hub() { lab exec "$1" ping -n -q -c 1 -W "${2:-10}" z.example.com; }

# --- what it says before it is up

says "a gateway of nobody is refused [office-lab-refuse]" 1 "there is no node b" up /run/lab/office.net --gateway b=static
says "so is a kind that does not exist [office-lab-refuse]" 2 "sturdy" up /run/lab/office.net --gateway a=sturdy
says "and what is no pair [office-lab-refuse]" 2 "NAME=KIND" up /run/lab/office.net --gateway a
says "so is a file that is not there [office-lab-refuse]" 1 "cannot read /run/lab/nothing" up /run/lab/nothing
echo "y hub y.example.com" >>/run/lab/two.net
cat /run/lab/office.net >>/run/lab/two.net
says "and one of which no plan can be made [office-lab-refuse]" 1 "/run/lab/two.net:3:" up /run/lab/two.net
says "and an option of the lab of two [office-lab-refuse]" 2 "no option but --gateway" up /run/lab/office.net --gdb a
mkfifo /run/lab/pipe
says "and what would be waited for [office-lab-refuse]" 1 "/run/lab/pipe is no file" up /run/lab/pipe
says "and a file without a name [office-lab-refuse]" 2 "has no name" up ""
touch $state
says "and a file where its directory should be [office-lab-refuse]" 1 "no directory, and nothing of the lab's" up /run/lab/office.net
rm $state
says "without a file there are no gateways [office-lab-refuse]" 2 "--gateway needs a file" up --gateway a=static
says "and no faults [office-lab-refuse]" 1 "the lab is down" break nat a
is "none of that left anything [office-lab-refuse]" "$(left)" ""

# --- up

says "the office comes up [office-lab-up]" 0 "The lab is up: 18 hosts" up /run/lab/office.net --gateway a=static --gateway=c=strict
is "the file's directory is as it was [office-lab-copy]" "$(ls /run/lab/office.*)" /run/lab/office.net
ok "the lab's copies are there [office-lab-copy]" cmp /run/lab/office.net $state/office.net
says "up again says so [office-lab-up]" 0 "up already" up /run/lab/office.net
says "the lab of two does not come up beside it [office-lab-up]" 1 "the lab of an office is up" up
is "who is there is in the status [office-lab-status]" \
	"$(lab status | awk '$1 ~ /^(z|a|d|e|a.gateway|e.router|f.carrier)$/ { print $1, $2, $3 }')" \
"z hub 203.0.113.10/24
a.gateway gateway 100.64.0.2/30
a node 192.168.201.2/24
d host 192.168.200.244/24
e.router router 100.64.0.2/30
e person 192.168.1.100/24
f.carrier carrier 203.0.113.24/24"
says "a host that is not there is refused [office-lab-up]" 2 "there is no host 'q'" exec q true
is "exec keeps arguments and input [office-lab-up]" \
	"$(echo in | "$bin/ginnel" lab exec b sh -c 'cat; printf "%s|" "$@"; pwd' sh 'a b' '' --)" $'in\n'"a b||--|$PWD"
is "shell runs a shell on the host [office-lab-up]" \
	"$(echo 'echo $GINNEL_LAB_HOST $(ip -o -4 address show dev eth0 | grep -o "192[0-9.]*/")' | SHELL=/bin/sh "$bin/ginnel" lab shell c)" \
	"c 192.168.200.2/"
for host in a c e f b d; do
	ok "$host reaches the hub's public address by its name [office-lab-internet]" ping_hub $host
done
for host in a c e f; do
	fails "from outside nobody reaches what is behind the carrier of $host [office-lab-nat]" \
		lab exec z ping -n -q -c 1 -W 2 "$(awk -F'\t' -v m=$host '$1 == "public" && $2 == m { sub("/.*", "", $5); print $5 }' $state/plan)"
done
fails "nor LAN1, whatever it is told of the way [office-lab-nat]" \
	lab exec public.internet sh -c 'ip route add 192.168.201.0/24 via 203.0.113.21; ping -n -q -c 1 -W 2 192.168.201.2'
is "hosts find the programs of the one who made them [office-lab-up]" "$(lab exec a sh -c 'command -v ginnel-wg')" "$bin/ginnel-wg"
ok "in a LAN all reach each other [office-lab-up]" lab exec b ping -n -q -c 1 -W 10 192.168.201.2

lab exec a sh -c 'echo secret >/etc/ginnel/x; echo here >/var/lib/ginnel/x; echo run >/run/x'
is "what a keeps is not seen on c, nor on this machine [office-lab-views]" \
	"$(lab exec c cat /etc/ginnel/x /var/lib/ginnel/x /run/x 2>/dev/null; cat /etc/ginnel/x /var/lib/ginnel/x /run/x 2>/dev/null)" ""
is "but on a [office-lab-views]" "$(lab exec a cat /etc/ginnel/x /var/lib/ginnel/x /run/x)" $'secret\nhere\nrun'
is "secrets of a are its own [office-lab-views]" "$(lab exec a stat -c %a /etc/ginnel)" 700
ok "other files are this machine's [office-lab-views]" cmp /etc/passwd <(lab exec a cat /etc/passwd)

# --- what the gateways are to the nodes

probe() { lab exec "$1" "${WG%/bin/*}/tests/net/gateway/probe" eth0 "$2" "$3" "$4"; }
is "a gateway with routes returns [office-lab-gateway]" "$(probe a 192.168.201.2 192.168.201.1 192.168.200.244)" route
is "for people too [office-lab-gateway]" "$(probe a 192.168.201.2 192.168.201.1 10.70.0.4)" route
is "and for aliases [office-lab-gateway]" "$(probe a 192.168.201.2 192.168.201.1 10.71.2.244)" route
is "but not for others [office-lab-gateway]" "$(probe a 192.168.201.2 192.168.201.1 192.168.99.1)" snat
is "a strict one returns whole flows only [office-lab-gateway]" "$(probe c 192.168.200.2 192.168.200.1 192.168.201.55)" route+gw
is "a home's router has no routes [office-lab-gateway]" "$(probe e 192.168.1.100 192.168.1.1 192.168.201.55)" snat

# --- faults

says "a fault that there is not is refused [office-lab-fault]" 2 "no fault 'moon'" break moon
says "and one of nobody [office-lab-fault]" 2 "b is behind no carrier" break nat b
says "and a gateway that has no routes to lose [office-lab-fault]" 2 "no gateway of e" break gateway e
says "and mending of what is whole [office-lab-fault]" 1 "internet of c is not broken" mend internet c
lab break internet c >/dev/null
fails "without its uplink c has no internet [office-lab-fault]" ping_hub c 2
says "status says what is broken [office-lab-status]" 0 "broken: internet c" status
says "it is broken once [office-lab-fault]" 1 "broken already" break internet c
lab mend internet c >/dev/null
ok "with it again c has [office-lab-fault]" within 60 ping_hub c
lab break internet z >/dev/null
fails "the hub has one too [office-lab-fault]" ping_hub e 2
lab mend internet z >/dev/null
ok "and has it back [office-lab-fault]" within 60 ping_hub e
lab break gateway a >/dev/null
is "a gateway that has lost its routes is one without [office-lab-fault]" "$(probe a 192.168.201.2 192.168.201.1 10.70.0.4)" snat
lab mend gateway a >/dev/null
is "until it is mended [office-lab-fault]" "$(probe a 192.168.201.2 192.168.201.1 10.70.0.4)" route

# hear: the hub says from where a datagram came, and answers.
lab exec z python3 -uc 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7))
print("ready")
while True:
    data, peer = s.recvfrom(99)
    s.sendto(peer[0].encode(), peer)' >/run/lab/hear &
within 60 grep -q ready /run/lab/hear
call() { lab exec e python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.connect(("z.example.com", 7))
s.send(b"?")
print(s.recv(99).decode())'; }
is "the hub sees the carrier of e [office-lab-nat]" "$(call)" 203.0.113.23
lab break nat e >/dev/null
is "and its other address when it has changed [office-lab-fault]" "$(call)" 203.0.113.133
lab mend nat e >/dev/null
is "and the first one when it is mended [office-lab-fault]" "$(call)" 203.0.113.23

# --- down

says "up in it is refused [office-lab-up]" 1 "this is host e of the lab; leave it first" exec e "$bin/ginnel" lab up
says "and down [office-lab-down]" 1 "this is host a.carrier of the lab" exec a.carrier "$bin/ginnel" lab down
ip netns del ginnel-lab-d
says "status names the host that is gone [office-lab-status]" 1 "Host d is gone." status
says "up says what to do [office-lab-up]" 1 "ginnel lab down, then up again" up /run/lab/office.net
says "down succeeds [office-lab-down]" 0 "The lab is down." down
is "and nothing is left [office-lab-down]" "$(left)" ""
says "down again says so [office-lab-down]" 0 "There was no lab." down
lab_end
