#!/bin/bash
# A tunnel as an interface of Wireshark's: by extcap, and from afar by Wireshark's own sshdump, decrypted live by a tshark
# that was never configured.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
foreign SSHD bookworm openssh-server
lab_enter 600 "$@"

bin=$(cd "$(dirname "$WG")" && pwd)
export HOME=/run/lab/home XDG_CONFIG_HOME=/run/lab/home/.config
mkdir -p "$HOME/.config/wireshark/extcap" /etc 2>/dev/null
ln -s "$bin/ginnel-scope" "$HOME/.config/wireshark/extcap/ginnel-extcap"
extcap=$HOME/.config/wireshark/extcap/ginnel-extcap

lab_pair
wg_start a wg1
wg_start b wg2
lab_tunnel

# --- what Wireshark asks

is "without a tunnel of that name there is none in the list [extcap-list]" \
	"$(tshark -D 2>/dev/null | grep -c 'ginnel-wg3')" 0
is "tshark lists each tunnel [extcap-list]" \
	"$(tshark -D 2>/dev/null | sed -n 's/^[0-9]*\. \(ginnel-.*\)/\1/p')" \
	$'ginnel-wg1 (Ginnel tunnel wg1)\nginnel-wg2 (Ginnel tunnel wg2)'
is "the type of its packets is raw IP [extcap-list]" "$("$extcap" --extcap-interface ginnel-wg1 --extcap-dlts)" \
	"dlt {number=101}{name=RAW}{display=Raw IP}"
ok "its peers can be chosen [extcap-options]" \
	grep -F "value {arg=1}{value=$pub2}" <("$extcap" --extcap-interface=ginnel-wg1 --extcap-config)
ok "what to show can be chosen, and no secret by default [extcap-options]" \
	grep -F "value {arg=0}{value=inner}" <("$extcap" --extcap-interface=ginnel-wg1 --extcap-config | grep default=true)
ok "tshark understands the options [extcap-options]" \
	bash -c 'tshark -i ginnel-wg1 -L 2>&1 | grep -w RAW'
ok "an option of a later Wireshark is skipped [extcap-options]" \
	grep -w RAW <("$extcap" --extcap-interface ginnel-wg1 --extcap-later=1 --extcap-dlts --extcap-version=9.0)
fails "another's interface is refused [extcap-bad]" "$extcap" --extcap-interface eth0 --extcap-dlts
fails "without anything it says who calls it, and fails [extcap-bad]" "$extcap"
fails "a view that there is not is refused [extcap-bad]" \
	"$extcap" --capture --extcap-interface ginnel-wg1 --fifo /dev/null --view=none
fails "a tunnel that there is not is refused [extcap-bad]" \
	"$extcap" --capture --extcap-interface ginnel-wg3 --fifo /dev/null

# --- live

# seen FILE PATTERN COUNT: one more ping, and whether there are so many lines.  What passes before the handshake that a
# listener to keys brings about is not read.
seen() { in_ns a ping -n -q -c 1 -W 20 192.168.241.2 && (($(grep -c "$2" "$1") >= $3)); }

# live NAME ARGUMENTS...: tshark prints what it sees, decrypted, of pings; then it is told to end.
live()
{
	local out=/run/lab/$1.out
	shift

	tshark -n -l "$@" -T fields -e frame.interface_name -e _ws.col.Info >"$out" 2>"$out.err" &
	local pid=$!
	within 60 listens || { cat "$out.err"; kill "$pid"; return 1; }
	within 60 seen "$out" "$pattern" 6 || { cat "$out" "$out.err"; kill "$pid"; wait "$pid"; return 1; }
	kill -INT "$pid"
	wait "$pid"
}

# The daemon of host a says that somebody listens.
listeners() { grep -c 'capture: a listener came' "${wg_log[wg1]}"; }
listens() { (($(listeners) > had)); }

pattern='^wg1[[:space:]].*Echo (ping)' had=$(listeners)
ok "packets inside, live [extcap-inner]" live inner -i ginnel-wg1
pattern='^wg1.outer[[:space:]].*Echo (ping)' had=$(listeners)
ok "messages outside, decrypted live [extcap-keys]" live keys -i ginnel-wg1 -o extcap.ginnel_wg1.view:keys
pattern='^wg1.outer[[:space:]].*Transport Data' had=$(listeners)
ok "messages outside, encrypted [extcap-outer]" live outer -i ginnel-wg1 -o extcap.ginnel_wg1.view:outer
ok "nothing of ours is left running [extcap-end]" within 60 bash -c '! pgrep -x ginnel-extcap'

had=$(listeners)
tshark -q -i ginnel-wg1 -o extcap.ginnel_wg1.view:keys -w /run/lab/saved.pcapng >/dev/null 2>&1 &
saving=$!
within 60 listens
in_file()
{
	in_ns a ping -n -q -c 1 -W 20 192.168.241.2 && (($(tshark -n -r /run/lab/saved.pcapng -Y icmp 2>/dev/null | wc -l) >= 4))
}
ok "what tshark saves of it decrypts later [extcap-saved]" within 60 in_file
kill -INT $saving
wait $saving 2>/dev/null

# --- from afar

if [[ ! -d $SSHD ]]; then
	tap 1 "there is an SSH server to test with: $SSHD [extcap-sshdump]"
else
	# Its user exists here only.
	cp /etc/passwd /run/lab/passwd
	grep -q '^sshd:' /run/lab/passwd || echo 'sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin' >>/run/lab/passwd
	mount --bind /run/lab/passwd /etc/passwd
	mkdir -p /run/sshd && chmod 755 /run/sshd
	ssh-keygen -q -t ed25519 -N '' -f /run/lab/hostkey
	ssh-keygen -q -t rsa -b 2048 -m PEM -N '' -f /run/lab/userkey
	cp /run/lab/userkey.pub /run/lab/authorized && chmod 600 /run/lab/authorized
	cat >/run/lab/sshd_config <<-END
		ListenAddress 127.0.0.1:2222
		HostKey /run/lab/hostkey
		AuthorizedKeysFile /run/lab/authorized
		PermitRootLogin yes
		UsePAM no
		StrictModes no
		PubkeyAcceptedAlgorithms +ssh-rsa
		PidFile none
	END
	"$SSHD/usr/sbin/sshd" -D -e -f /run/lab/sshd_config >/run/lab/sshd.log 2>&1 &
	within 60 bash -c 'exec 3<>/dev/tcp/127.0.0.1/2222' 2>/dev/null
	pattern='^wg1.outer[[:space:]].*Echo (ping)' had=$(listeners)
	ok "over SSH, by Wireshark's sshdump and one line, decrypted live [extcap-sshdump]" live ssh -i sshdump \
		-o extcap.sshdump.remotehost:127.0.0.1 -o extcap.sshdump.remoteport:2222 -o extcap.sshdump.remoteusername:root \
		-o extcap.sshdump.sshkey:/run/lab/userkey -o extcap.sshdump.remotecapturecommandselect:other \
		-o "extcap.sshdump.remotecapturecommand:$bin/ginnel-scope capture --keys wg1"
	((tap_failed)) && sed 's/^/# sshd: /' /run/lab/sshd.log
fi

# --- installed

where=$(tshark -G folders 2>/dev/null | sed -n 's/^.*Extcap path:[[:space:]]*//p' | tail -n 1)
built=$(cd "$bin/.." && pwd)
ok "it can be installed [extcap-installed]" env DESTDIR=/run/lab/root meson install -C "$built" --no-rebuild --quiet
is "where tshark looks for it, it finds the program [extcap-installed]" \
	"$(readlink "/run/lab/root$where/ginnel-extcap")" /usr/local/bin/ginnel-scope
ok "which is there [extcap-installed]" test -x /run/lab/root/usr/local/bin/ginnel-scope
lab_end
