#!/bin/bash
# shellcheck disable=SC2015,SC2086 # as in lib.sh
# tier: full
# The keys of handshakes for a Wireshark that captures by itself: from WG_KEYLOGFILE, and from ginnel keylog.  tshark with
# an empty profile reads what a cable carried: while it does, and from a file.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
lab_enter 840 "$@"

umask 077
ginnel=${WG%/*}/ginnel
export HOME=/run/lab/home
mkdir $HOME
wg genpsk >/run/lab/psk

# forget HOST [PSK-FILE]: both ends have each other as a new peer; only HOST knows where the other is.
forget()
{
	local psk=${2:+preshared-key $2} e1='' e2=''

	[[ $1 == a ]] && e2='endpoint 10.0.0.2:51820' || e1='endpoint 10.0.0.1:51820'
	wg set wg1 peer "$pub2" remove
	wg set wg2 peer "$pub1" remove
	wg set wg1 peer "$pub2" allowed-ips 192.168.241.2/32 $e2 $psk
	wg set wg2 peer "$pub1" allowed-ips 192.168.241.1/32 $e1 $psk
}
# meet HOST [PSK-FILE]: HOST begins a handshake; 2 packets there and back.
meet()
{
	local to=192.168.241.2

	[[ $1 == a ]] || to=192.168.241.1
	forget "$@" && ping4 "$1" $to 2
}
# all_meet: each role, without and with a pre-shared key, at both ends: 16 packets inside.
all_meet() { meet a && meet b && meet a /run/lab/psk && meet b /run/lab/psk; }

# inside KEYS: how many packets inside the tunnel tshark sees in what the cable carried.
inside()
{
	tshark -n -r "$(capture_file b eth)" -o wg.keylog_file:"$1" -Y icmp 2>/dev/null | wc -l
}
blocks() { grep -c "^${2:-LOCAL_EPHEMERAL_PRIVATE_KEY}=" "$1"; }
has() { [[ $(blocks "$1") -ge $2 ]]; }
logged() { grep -cF -- "$2" "${wg_log[$1]}"; }

lab_pair
export WG_KEYLOGFILE=/run/lab/daemon.keys
wg_start a wg1 || exit
unset WG_KEYLOGFILE
wg_start b wg2 || exit
lab_tunnel
# Other protocols have the ports of the other tests, and Wireshark looks for those there.
wg set wg1 listen-port 51820
wg set wg2 listen-port 51820
is "the log says where keys go [keylog-daemon]" "$(logged wg1 'written to /run/lab/daemon.keys')" 1
is "they go into a file for its owner only [keylog-private]" "$(stat -c %a /run/lab/daemon.keys)" 600

# Live: the keys come while tshark reads.
mkfifo /run/lab/wire
tshark -l -n -i - -o wg.keylog_file:/run/lab/daemon.keys -Y icmp </run/lab/wire >/run/lab/live 2>/run/lab/live.err &
live=$!
in_ns_exec a tcpdump --immediate-mode -U -s 0 -w - -i eth udp >/run/lab/wire 2>/run/lab/wire.err &
wire=$!
capture b eth udp -s 0
"$ginnel" keylog /run/lab/keys wg2 2>/run/lab/keylog.err &
keylog=$!
within 60 grep -q 'who reads' /run/lab/keylog.err
all_meet >/dev/null
live_lines() { [[ $(wc -l </run/lab/live) -ge 16 ]]; }
within 60 live_lines
kill $wire
wait $wire $live
is "tshark reads the tunnel while it runs, with the daemon's keys: initiator and responder, with and without a \
pre-shared key [keylog-daemon]" "$(wc -l </run/lab/live)" 16
capture_end b eth 10.0.0.1
is "and later from a file [keylog-daemon]" "$(inside /run/lab/daemon.keys)" 16
within 60 has /run/lab/keys 4
is "ginnel keylog writes the keys of every handshake too [keylog-tunnel]" "$(inside /run/lab/keys)" 16
is "without keys there is nothing to see [keylog-tunnel]" "$(inside /dev/null)" 0
is "a block for each handshake, a pre-shared key only where there is one [keylog-format]" \
	"$(blocks /run/lab/keys) $(blocks /run/lab/keys PRESHARED_KEY)" "4 2"
is "it warns once of what is in the file [keylog-tunnel]" "$(wc -l </run/lab/keylog.err)" 1
is "the file is for its owner only [keylog-private]" "$(stat -c %a /run/lab/keys)" 600
kill $keylog
wait $keylog
is "a signal ends it with success [keylog-tunnel]" $? 0

# In the middle of a session.
cp /run/lab/keys /run/lab/before
capture b eth udp -s 0
"$ginnel" keylog /run/lab/keys 2>/dev/null wg2 &
keylog=$!
ok "begun within a session, it brings about a handshake, without traffic [keylog-tunnel]" within 60 has /run/lab/keys 5
# What passes until the other end has answered is of the session before.
readable() { ping4 b 192.168.241.1 1 && (($(inside /run/lab/keys) >= 4)); }
ok "and the session is readable from there [keylog-tunnel]" within 60 readable
capture_end b eth 10.0.0.1
ok "what was in the file stays [keylog-append]" cmp -n "$(stat -c %s /run/lab/before)" /run/lab/before /run/lab/keys
kill $keylog
wait $keylog

# says NAME STATUS WORDS ARGUMENT...
says()
{
	local name=$1 status=$2 words=$3 said got
	shift 3
	said=$("$ginnel" keylog "$@" 2>&1 </dev/null)
	got=$?
	is "$name" "$got $(grep -cF -- "$words" <<<"$said")" "$status 1"
}
touch /run/lab/open && chmod 644 /run/lab/open && ln -s keys /run/lab/link && mkdir /run/lab/folder
says "a file that others may read is refused [keylog-private]" 1 "chmod 600" /run/lab/open wg1
is "and nothing is written [keylog-private]" "$(wc -c </run/lab/open)" 0
says "so is a link [keylog-private]" 1 "symbolic link" /run/lab/link wg1
says "so is a directory [keylog-bad]" 1 "Is a directory" /run/lab/folder wg1
says "so is a directory that is not there [keylog-bad]" 1 "No such file" /run/lab/none/keys wg1
says "a tunnel that is not there is said so [keylog-bad]" 1 "no ginnel-wg runs for wg9" /run/lab/keys wg9
says "several tunnels are listed where none is named [keylog-bad]" 1 "wg1, wg2" /run/lab/keys
is "keys are not for a terminal [keylog-private]" \
	"$(script -qec "$ginnel keylog - wg1" /dev/null | tr -d '\r')" \
	"ginnel keylog: keys are not for a terminal: give a file, or a pipe"
"$ginnel" keylog - wg1 2>/run/lab/pipe.err | head -n 1 >/run/lab/first &
within 60 test -s /run/lab/first
meet a >/dev/null
ok "that the reader of a pipe is gone ends it, and is said [keylog-bad]" \
	within 60 grep -qE 'cannot write keys to standard output: (Broken pipe|nobody reads it any more)' /run/lab/pipe.err

# What the daemon cannot write.
# fresh PATH: wg1 with that key log.
fresh()
{
	wg_stop wg1
	WG_KEYLOGFILE=$1 wg_start a wg1
	wg set wg1 private-key <(echo "$key1") listen-port 51820 && addr a wg1 192.168.241.1/24 && ip -n a link set wg1 up
}
fresh /run/lab/link
is "a key log that is refused is told [keylog-daemon]" "$(logged wg1 "symbolic link: name the file itself; going on without")" 1
ok "and the tunnel goes on [keylog-never-waits]" meet a
mkfifo /run/lab/pipe
exec 9<>/run/lab/pipe # so that it can be opened
dd if=/dev/zero of=/run/lab/pipe bs=4096 oflag=nonblock 2>/dev/null
fresh /run/lab/pipe
ok "a pipe that is full and that nobody reads holds no handshake up [keylog-never-waits]" meet a
ok "nor the next [keylog-never-waits]" meet b
is "that keys are missing is told once [keylog-never-waits]" "$(logged wg1 "keys are missing")" 1
mkdir /run/lab/small && mount -t tmpfs -o size=8k small /run/lab/small
touch /run/lab/small/keys && chmod 600 /run/lab/small/keys
dd if=/dev/zero of=/run/lab/small/fill bs=1k 2>/dev/null
fresh /run/lab/small/keys
ok "nor does a disk that is full [keylog-never-waits]" meet a
is "which is told once [keylog-never-waits]" "$(logged wg1 "keys are missing")" 1
rm /run/lab/small/fill
capture b eth udp -s 0
meet b >/dev/null
meet a /run/lab/psk >/dev/null
capture_end b eth 10.0.0.1
is "with room on it again keys are whole again [keylog-append]" "$(inside /run/lab/small/keys)" 8

mkfifo /run/lab/reader
"$ginnel" keylog /run/lab/reader wg1 2>/run/lab/reader.err &
keylog=$!
exec {reader}</run/lab/reader
read -r -t 60 -u $reader line
is "a pipe with a name is written to when somebody reads it [keylog-tunnel]" "${line%%=*}" LOCAL_STATIC_PRIVATE_KEY
wg_stop wg1
wait $keylog
is "that the tunnel ended is said, with status 1 [keylog-bad]" "$? $(grep -c 'wg1 ended' /run/lab/reader.err)" "1 1"
lab_end
