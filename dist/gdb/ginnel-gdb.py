"""
ginnel-gdb.py - what a debugger shows of a tunnel: its peers, sessions, timers and allowed IPs, as the daemon sees them.

GDB loads it with ginnel-wg (docs/DEBUGGING.md says how), or by `source ginnel-gdb.py`.  It reads the process's memory
and calls nothing in it, so that it works on a live daemon, wherever that was stopped.  Keys are shown in base64, as
wg(8) has them; secret ones, and bytes that may be secret, only after `set wg-secrets on`.
"""
import base64
import ipaddress
import socket
import sys
import time
import types

import gdb

KEY_LEN = 32
NS = 10 ** 9
OFF = 2 ** 64 - 1  # a timer that is not armed
HIDDEN = '(hidden: set wg-secrets on)'


# --- settings

class Secrets(gdb.Parameter):
    """Show private and pre-shared keys, session keys and all bytes that may be one."""
    set_doc = 'Set whether secret keys are shown.'
    show_doc = 'Show whether secret keys are shown.'

    def __init__(self):
        super().__init__('wg-secrets', gdb.COMMAND_DATA, gdb.PARAM_BOOLEAN)
        self.value = False

    def get_set_string(self):
        return ''

    def get_show_string(self, value):
        return 'Secret keys are %s.' % ('hidden' if value == 'off' else 'shown')


class DeviceSetting(gdb.Parameter):
    """What the wg- commands look at: an expression of type struct wg_device *.

The daemon's own by default.  In a unit test that is, for example, `set wg-device host->device`; timers then count from
the time that this device was last told."""
    set_doc = 'Set the device that the wg- commands look at.'
    show_doc = 'Show the device that the wg- commands look at.'
    DEFAULT = 'ginnel_device'

    def __init__(self):
        super().__init__('wg-device', gdb.COMMAND_DATA, gdb.PARAM_STRING)
        self.value = self.DEFAULT

    def get_set_string(self):
        return ''

    def get_show_string(self, value):
        return 'The wg- commands look at %s.' % value


# --- values

def raw(value):
    """The bytes of an array."""
    return bytes(gdb.selected_inferior().read_memory(int(value.address), value.type.sizeof))


def key_text(data):
    return base64.b64encode(data).decode()


def secret_text(value):
    """A secret key; that there is none is no secret."""
    data = raw(value)
    if not any(data):
        return '(none)'
    return key_text(data) if secrets.value else HIDDEN


def enum_text(tag, value):
    """The name in the program's own table, as its logs and statistics have it."""
    try:
        table = gdb.parse_and_eval(tag + '_enum')
    except gdb.error:
        return str(int(value))
    for i in range(int(table['n_members'])):
        if int(table['members'][i]['value']) == int(value):
            return table['members'][i]['name'].string()
    return str(int(value))


def address_text(family, data, scope=0):
    if family == socket.AF_INET:
        return str(ipaddress.IPv4Address(data[:4]))
    text = str(ipaddress.IPv6Address(data[:16]))
    return '%s%%%d' % (text, scope) if scope else text


def addr_text(addr):
    """struct wg_addr, as wg(8) prints an endpoint."""
    family = int(addr['family'])
    if not family:
        return '(none)'
    host = address_text(family, raw(addr['bytes']), int(addr['scope_id']))
    return ('%s:%d' if family == socket.AF_INET else '[%s]:%d') % (host, int(addr['port']))


def endpoint_of(cell):
    """struct endpoint_cell -> struct wg_endpoint: its words are the struct's bytes."""
    pointer = gdb.Value(int(cell['words'].address)).cast(gdb.lookup_type('struct wg_endpoint').pointer())
    return pointer.dereference()


def seconds_text(ns):
    return '%.1f s' % (ns / NS)


def tailq(head, link, most):
    """The elements of a TAILQ.  Bounded: the program may have stopped while it changes the list."""
    at = head['tqh_first']
    while int(at) and most:
        yield at
        at = at.dereference()[link]['tqe_next']
        most -= 1


# --- the device and its parts

def device():
    if gdb.selected_inferior().pid == 0:
        raise gdb.GdbError('There is no process: gdb -p PID, or run.')
    try:
        d = gdb.parse_and_eval(device_setting.value)
        d.dereference()['peers']
    except gdb.error as e:
        if device_setting.value != device_setting.DEFAULT:
            raise gdb.GdbError('wg-device is %s: %s' % (device_setting.value, e))
        raise gdb.GdbError('The program has no symbols (%s).  Install them: the package ginnel-wg-dbgsym; or debug the '
                           'program of `make debug`.' % e)
    if not int(d):
        raise gdb.GdbError('There is no device yet, or no longer.')
    return d.dereference()


def peers(d):
    return list(p.dereference() for p in tailq(d['peers'], 'in_order', int(d['n_peers'])))


def boot_ns(d):
    """The time by which timers go: of a daemon this machine's, of a test the one that it was told."""
    if device_setting.value == device_setting.DEFAULT:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return int(d['now']['boot_ns'])


def chosen(d, text):
    """The peer by its number, or by its public key or the beginning of that."""
    found = [p for p in peers(d) if text == str(int(p['number']))] or \
        [p for p in peers(d) if key_text(raw(p['public_key'])).startswith(text)]
    if len(found) != 1:
        raise gdb.GdbError('%s peer has the number or key %s: see wg-peers.' %
                           ('More than one' if found else 'No', text))
    return found[0]


def keypairs(p):
    for which in ('current', 'next', 'previous'):
        pointer = p[which]
        if int(pointer):
            yield which, pointer.dereference()


def timers(p):
    """(ns of boot time, name) of those that are armed."""
    due = p['timers']['due_ns']
    low, high = due.type.range()
    return sorted((int(due[i]), enum_text('peer_timer', i)) for i in range(low, high + 1) if int(due[i]) != OFF)


def node_prefix(node):
    """Of a struct allowedips_node: (family, its first address as bytes, the length)."""
    if int(node['is6']):
        six = node.address.cast(gdb.lookup_type('struct node6').pointer())
        data = b''.join(int(six['bits'][i]).to_bytes(8, 'big') for i in range(2))
        return socket.AF_INET6, data, int(node['cidr'])
    return socket.AF_INET, int(node['bits4']).to_bytes(4, 'big'), int(node['cidr'])


def node_text(node):
    family, data, cidr = node_prefix(node)
    return '%s/%d' % (address_text(family, data), cidr)


def allowed_ips(p):
    return [node_text(n.dereference()) for n in tailq(p['allowed']['prefixes'], 'entry', 2 ** 24)]


def node_children(node):
    for i in range(2):
        child = node['child'][i]
        if int(child):
            yield child.dereference()


def handshake_text(p):
    at = int(p['last_handshake_real_ns'])
    return '%d (%d s ago)' % (at // NS, time.time() - at / NS) if at else '0 (never)'


# --- commands

def table(head, rows):
    rows = [head] + [[str(c) for c in r] for r in rows]
    widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
    for r in rows:
        gdb.write('  '.join(c.ljust(w) for c, w in zip(r, widths)).rstrip() + '\n')


class Command(gdb.Command):
    """A command whose name is in its class, and which runs show(device, words)."""
    most = 0

    def __init__(self):
        super().__init__(self.name, gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if not self.least() <= len(words) <= self.most:
            raise gdb.GdbError('Usage: ' + self.__doc__.strip().split('\n')[-1].strip())
        try:
            self.show(device(), words)
        except gdb.MemoryError as e:
            raise gdb.GdbError('%s: the program may have stopped while it changed this; continue, and again.' % e)

    def least(self):
        return 0


class Peers(Command):
    """Print the peers: number, public key, where they are, and what passed.

wg-peers"""
    name = 'wg-peers'

    def show(self, d, words):
        rows = []
        for p in peers(d):
            sessions = [which for which, _ in keypairs(p)]
            rows.append((int(p['number']), key_text(raw(p['public_key'])), addr_text(endpoint_of(p['endpoint'])['dst']),
                         handshake_text(p), int(p['rx_bytes']), int(p['tx_bytes']),
                         '+'.join(sessions) or '-'))
        table(('#', 'public key', 'endpoint', 'latest handshake', 'received', 'sent', 'sessions'), rows)


class Peer(Command):
    """Print all of one peer: by its number or its public key, or the beginning of that.

wg-peer NUMBER|KEY"""
    name = 'wg-peer'
    most = 1

    def least(self):
        return 1

    def show(self, d, words):
        p = chosen(d, words[0])
        now = boot_ns(d)
        at = endpoint_of(p['endpoint'])
        source = ''
        if any(raw(at['src'])):
            source = ', from %s' % address_text(int(at['dst']['family']), raw(at['src']))
        handshake = '(none)'
        if int(p['handshake']):
            handshake = 'ours, index 0x%08x, retries %d' % (int(p['handshake']['entry']['index']),
                                                            int(p['timers']['attempts']))
        signals = [enum_text('peer_signal', 1 << i) for i in range(32) if int(p['signals']) >> i & 1]
        for name, text in (
                ('public key', key_text(raw(p['public_key']))),
                ('preshared key', secret_text(p['preshared_key'])),
                ('endpoint', addr_text(at['dst']) + source),
                ('allowed ips', ', '.join(allowed_ips(p)) or '(none)'),
                ('latest handshake', handshake_text(p)),
                ('transfer', '%d received, %d sent' % (int(p['rx_bytes']), int(p['tx_bytes']))),
                ('persistent keepalive', '%d' % int(p['keepalive_s']) if int(p['keepalive_s']) else 'off'),
                ('handshake under way', handshake),
                ('packets that wait', int(p['n_staged'])),
                ('signals', ', '.join(signals) or '(none)'),
                ('timers', ', '.join('%s in %s' % (t, seconds_text(due - now)) for due, t in timers(p)) or '(none)')):
            gdb.write('%s: %s\n' % (name, text))
        gdb.write('structure: *(struct wg_peer *) 0x%x\n' % int(p.address))
        print_keypairs(d, [p])


class Timers(Command):
    """Print the timers that are armed, the next one first.

wg-timers"""
    name = 'wg-timers'

    def show(self, d, words):
        now = boot_ns(d)
        due = sorted((at, int(p['number']), name) for p in peers(d) for at, name in timers(p))
        table(('peer', 'timer', 'due in'), [(number, name, seconds_text(at - now)) for at, number, name in due])
        if not due:
            gdb.write('none is armed\n')


def print_keypairs(d, of):
    now = boot_ns(d)
    rows = []
    for p in of:
        for which, k in keypairs(p):
            state = 'initiator' if int(k['initiator']) else 'responder'
            if int(k['send_invalid']):
                state += ', sends no more'
            rows.append((int(p['number']), which, '0x%08x' % int(k['entry']['index']), '0x%08x' % int(k['remote_index']),
                         state, seconds_text(now - int(k['created_ns'])), int(k['send_counter']),
                         int(k['window']['greatest']), secret_text(k['keys']['send']),
                         secret_text(k['keys']['receive'])))
    if not rows:
        gdb.write('no sessions\n')
        return
    table(('peer', 'session', 'our index', 'its index', 'we are', 'age', 'next to send', 'received up to', 'send key',
           'receive key'), rows)


class Keypairs(Command):
    """Print the sessions of all peers, or of one.  "received up to" is one more than the greatest counter seen.

wg-keypairs [NUMBER|KEY]"""
    name = 'wg-keypairs'
    most = 1

    def show(self, d, words):
        print_keypairs(d, [chosen(d, words[0])] if words else peers(d))


class AllowedIps(Command):
    """Print the trees by which a packet finds its peer: a line is a prefix, those below and further to the right are
parts of it.  "fork" is a prefix that is nobody's, where two others part.

wg-allowedips"""
    name = 'wg-allowedips'

    def show(self, d, words):
        numbers = {int(p['allowed'].address): int(p['number']) for p in peers(d)}
        for family, root in (('IPv4', 'root4'), ('IPv6', 'root6')):
            gdb.write(family + '\n')
            pointer = d['allowedips'][root]
            todo = [(1, pointer.dereference())] if int(pointer) else []
            while todo:
                depth, node = todo.pop()
                owner = int(node['owner'])
                whose = 'peer %d' % numbers[owner] if owner in numbers else 'a peer that goes' if owner else 'fork'
                gdb.write('%s%s  %s\n' % ('  ' * depth, node_text(node), whose))
                todo += reversed([(depth + 1, child) for child in node_children(node)])


class KeyFunction(gdb.Function):
    """Base64 of the 32 bytes at an address: print $wg_key(peer_public).

For public keys: nothing is hidden of what is asked for by address."""

    def __init__(self):
        super().__init__('wg_key')

    def invoke(self, where):
        if where.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY:
            where = where.address
        return key_text(bytes(gdb.selected_inferior().read_memory(int(where), KEY_LEN)))


# --- how print, info locals and backtraces show them

class Bytes:
    """Bytes of a key's length, or an address of bytes: as a text they could be a secret."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        if self.value.type.strip_typedefs().code == gdb.TYPE_CODE_PTR:
            return '0x%x' % int(self.value)
        return '(%d bytes%s' % (self.value.type.sizeof, HIDDEN.replace('(', ', '))


class Address:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        return addr_text(self.value)


class Struct:
    """A struct, with the members that are known to be public in base64 or hex."""

    def __init__(self, value, public):
        self.value = value
        self.public = public

    def children(self):
        for f in self.value.type.strip_typedefs().fields():
            value = self.value[f]
            if f.name in self.public:
                data = raw(value)
                yield f.name, key_text(data) if len(data) == KEY_LEN else data.hex()
            else:
                yield f.name or '', value

    def to_string(self):
        return None


PUBLIC = {
    'wg_peer': ('public_key', 'last_timestamp'),
    'wg_peer_info': ('public_key',),
    'x25519': ('public',),
    'event': ('public_key',),
    'wg_initiation': ('type', 'sender', 'ephemeral', 'static_', 'timestamp'),
    'wg_response': ('type', 'sender', 'receiver', 'ephemeral', 'empty'),
    'wg_macs': ('mac1', 'mac2'),
    'wg_cookie_reply': ('type', 'receiver', 'nonce', 'cookie'),
    'wg_data': ('type', 'receiver', 'counter'),
}


def printer(value):
    t = value.type.strip_typedefs().unqualified()
    if t.code == gdb.TYPE_CODE_STRUCT:
        if t.tag == 'wg_addr':
            return Address(value)
        return Struct(value, PUBLIC[t.tag]) if t.tag in PUBLIC else None
    if t.code not in (gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_ARRAY) or secrets.value:
        return None
    element = t.target().strip_typedefs().unqualified()
    if element.code != gdb.TYPE_CODE_INT or element.sizeof != 1 or element.name == 'char':
        return None
    return Bytes(value) if t.code == gdb.TYPE_CODE_PTR or 16 <= t.sizeof <= 64 else None


# GDB runs all scripts in one namespace, and this one for each program of ours: it becomes a module, once.
if __name__ == '__main__':
    if 'ginnel_gdb' not in sys.modules:
        module = sys.modules['ginnel_gdb'] = types.ModuleType('ginnel_gdb')
        with open(__file__, encoding='utf-8') as source:
            exec(compile(source.read(), __file__, 'exec'), module.__dict__)
else:
    secrets = Secrets()
    device_setting = DeviceSetting()
    for make in (Peers, Peer, Timers, Keypairs, AllowedIps, KeyFunction):
        make()
    printer.name = 'ginnel'
    gdb.pretty_printers.append(printer)
