#!/usr/bin/env bash
# shellcheck disable=SC2016,SC2317 # programs of the guest; functions called by name
# tier: full release
# ginnel lab up --kernel-peer and --capture: a stock Debian kernel in QEMU as host b, and a file that Wireshark reads.
# shellcheck source=tests/net/lib.sh
. "${0%/*}/lib.sh"
if [[ $(uname -m) != x86_64 ]]; then
	echo "1..0 # SKIP the guest is an amd64 Debian"
	exit 0
fi

# What is fetched is fetched now: from inside the laboratory there is no way out.
export GINNEL_LAB_CACHE=$top/.build/lab-cache
fetch_all()
{
	die() { echo "Bail out! $*"; exit 1; }
	run() { "$@" || die "$*"; }
	# shellcheck source=lab/kernel-peer
	. "$top/lab/kernel-peer"
	find_busybox >&2
	find_kernel >&2
}
[[ ${GINNEL_LAB-} ]] || (fetch_all) || exit
lab_enter 600 "$@"

# As they are installed, where nobody finds their sources.
mkdir -p /run/lab/bin /run/lab/share/ginnel
cp "$WG" /run/lab/bin/ginnel-wg && cp "${WG%/*}"/ginnel{,-lab,-scope} /run/lab/bin &&
	cp "${WG%/*}"/ginnel-lab-{kernel-peer,office} /run/lab/share/ginnel || exit
unset LOG_LEVEL
export HOME=/run/lab/home
mkdir $HOME
lab() { /run/lab/bin/ginnel lab "$@" </dev/null; }
left() { compgen -G '/run/*/ginnel-lab*'; compgen -G '/run/ginnel-lab*'; }
pings() { lab exec "$1" ping -c 2 "$2"; }

ok "it comes up, with the kernel under its debugger's stub [lab-kernel] [lab-capture]" \
	eval 'lab up --kernel-peer=gdb --capture=/run/lab/file.pcapng >/run/lab/said 2>&1 || { cat /run/lab/said; false; }'
ok "a reaches b's kernel through the tunnel [lab-kernel]" pings a 192.168.241.2
ok "and b's kernel reaches a [lab-kernel]" pings b 192.168.241.1
ok "in both families [lab-kernel]" pings a fd00:241::2
ok "b's interface is the kernel's own [lab-kernel]" eval 'lab exec b ip -d link show ginnel-lab-b | grep -qw wireguard'
ok "and another kernel than this one [lab-kernel]" test "$(lab exec b uname -r)" != "$(uname -r)"
is "exec keeps arguments there [lab-kernel]" "$(lab exec b printf '%s|' 'a b' '' -- --help '$x' $'new\nline')" \
	$'a b||--|--help|$x|new\nline|'
is "and input, errors and status [lab-kernel]" \
	"$(echo in | /run/lab/bin/ginnel lab exec b sh -c 'cat; echo err >&2; exit 7' 2>/run/lab/errors; echo $?; cat /run/lab/errors)" \
	$'in\n7\nerr'
ok "status shows both ends of the tunnel [lab-kernel]" test "$(lab status | grep -c 'latest handshake')" = 2
# As docs/DEBUGGING.md has it.
kernel_says() { lab exec b dmesg | grep -q 'wireguard: ginnel-lab-b: Receiving handshake initiation'; }
ok "the kernel's WireGuard can be told to say what it does [lab-says]" \
	lab exec b sh -c 'echo module wireguard +p >/sys/kernel/debug/dynamic_debug/control'
ok "a new handshake is made [lab-says]" \
	eval '/run/lab/bin/ginnel capture --keys -c 2 -d 60 -w /run/lab/renewed.pcapng ginnel-lab-a'
ok "and it does [lab-says]" within 60 kernel_says
# The command that is printed, and what a person would type.
gdb_command=$(grep '^gdb ' /run/lab/said)
is "the command that is printed attaches GDB [lab-kernel-gdb]" \
	"$(eval "${gdb_command/gdb/gdb -nx -batch}" -ex "'x/2i \$pc'" -ex detach 2>/dev/null | grep -cP '^(=>)? +0x\S+:\t')" 2
ok "and the kernel goes on afterwards [lab-kernel-gdb]" pings a 192.168.241.2
is "up again says that it is up [lab-idempotent]" "$(lab up --kernel-peer)" "The lab is up already."
echoes() { tshark -n -r /run/lab/file.pcapng -Y 'icmp || icmpv6.type == 128 || icmpv6.type == 129' 2>/dev/null | wc -l; }
all_captured() { [[ $(echoes) -ge 16 ]]; }
within 60 all_captured
is "down removes it [lab-kernel]" "$(lab down)" "The lab is down."
running() { pgrep -x qemu-system-x86; pgrep -x ginnel-wg; pgrep -x ginnel-scope; }
# Who is about to end is not left.
within 60 eval '[[ ! $(running) ]]'
is "and leaves nothing [lab-kernel]" "$(left; running)" ""
is "but the capture, with every packet of both hosts [lab-capture]" \
	"$(echoes)" 16
is "which is its owner's only [lab-capture]" "$(stat -c %a /run/lab/file.pcapng)" 600
mkdir /run/lab/empty
ln -s /usr/bin/{bash,env,dirname,readlink,sed,mkdir,flock,rm,ip,wg,grep,tail,uname,cat,ls,mktemp} /run/lab/empty
is "without QEMU it says what to install, and leaves nothing [lab-kernel]" \
	"$(PATH=/run/lab/empty sed 's|^export PATH.*||' /run/lab/bin/ginnel-lab >/run/lab/bin/bare
	PATH=/run/lab/empty bash /run/lab/bin/bare up --kernel-peer 2>&1; left)" \
	"ginnel lab: qemu-system-x86_64 is missing: --kernel-peer takes a Debian with qemu-system-x86"
is "an option that is none is refused [lab-kernel]" "$(lab up --kernel 2>&1; echo $?)" \
	$'ginnel lab: up has no option --kernel; see ginnel lab --help\n2'
lab_end
