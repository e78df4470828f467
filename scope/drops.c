#include "scope/drops.h"

/* The type of wg/, for its names. */
ENUM_DEFINE_AS(static const struct enum_type type_drop, wg_drop, WG_DROP_LIST);

#define WORDS_ROWS(X)                                                                              \
	X(WG_DROP_NONE, {"not dropped", NULL})                                                     \
	X(WG_DROP_NOT_IP, {"sent into the tunnel, and neither IPv4 nor IPv6",                      \
		"what writes such packets to the interface?"})                                     \
	X(WG_DROP_NO_PEER, {"no peer has the destination among its allowed IPs",                   \
		"add it to the allowed IPs of the peer that it is behind"})                        \
	X(WG_DROP_NO_ENDPOINT, {"the peer's address is not known",                                 \
		"give it an Endpoint, or let the peer send first"})                                \
	X(WG_DROP_STAGED_FULL, {"too many packets wait for a handshake; the oldest goes",          \
		"why is there no session? See the handshake"})                                     \
	X(WG_DROP_STAGED_FLUSHED, {"waited for a session that did not come, or the link went down", \
		"why is there no session? See the handshake"})                                     \
	X(WG_DROP_TOO_BIG, {"longer than a datagram can carry", "lower the MTU of the interface"}) \
	X(WG_DROP_LOOP, {"the tunnel's own message was routed into the tunnel",                    \
		"the peer's endpoint needs a route outside the tunnel, or a firewall mark"})       \
	X(WG_DROP_SEND_FAILED, {"the UDP socket refused to send",                                  \
		"is there a route to the endpoint (ip route get), does a firewall forbid it, "     \
		"is its family in use here?"})                                                     \
	X(WG_DROP_MALFORMED, {"type and length fit no message of WireGuard",                       \
		"something else sends to this port"})                                              \
	X(WG_DROP_UNKNOWN_INDEX, {"of a session that this end does not have",                      \
		"this end may have restarted; the peer notices within 15 s"})                      \
	X(WG_DROP_KEY_EXPIRED, {"the session is older than 180 s",                                 \
		"why was it not renewed? See the handshake"})                                      \
	X(WG_DROP_COUNTER_LIMIT, {"a counter past the protocol's limit",                           \
		"no sound implementation sends that: which one is the peer's?"})                   \
	X(WG_DROP_BAD_TAG, {"not what the peer sent: authentication failed",                       \
		"damaged on the way, or forged"})                                                  \
	X(WG_DROP_REPLAY, {"its counter was seen before, or is too old",                           \
		"sent twice on the way, or overtaken by more than 8,000 packets"})                 \
	X(WG_DROP_INNER_NOT_IP, {"what was in it is neither IPv4 nor IPv6",                        \
		"what does the peer send into its tunnel?"})                                       \
	X(WG_DROP_INNER_LENGTH, {"the packet in it says that it is longer than it is",             \
		"what does the peer send into its tunnel?"})                                       \
	X(WG_DROP_INNER_SOURCE, {"its source is not among the peer's allowed IPs",                 \
		"add it to the peer's AllowedIPs, or let the peer use the address that it has"})   \
	X(WG_DROP_TUN_WRITE, {"the interface refused what arrived",                                \
		"is it up? The kernel takes nothing longer than its MTU allows"})                  \
	X(WG_DROP_TRUNCATED, {"a datagram larger than the buffer for it",                          \
		"something else sends to this port"})                                              \
	X(WG_DROP_QUEUE_FULL, {"too many messages of handshakes wait",                             \
		"a flood: from where? Peers try again by themselves"})                             \
	X(WG_DROP_NO_PRIVATE_KEY, {"this end has no private key",                                  \
		"set PrivateKey of the interface"})                                                \
	X(WG_DROP_BAD_MAC1, {"meant for another public key than ours",                             \
		"at the sender, is PublicKey of this end's [Peer] right?"})                        \
	X(WG_DROP_COOKIE_SENT, {"under load, and it had no valid cookie: one was sent",            \
		"the peer comes again with it by itself"})                                         \
	X(WG_DROP_RATE_LIMIT, {"under load, and too many from this address",                       \
		"peers behind one address share 20 a second; they try again by themselves"})       \
	X(WG_DROP_BAD_HANDSHAKE, {"it does not decrypt",                                           \
		"damaged on the way, or made by somebody without the right private key"})          \
	X(WG_DROP_UNKNOWN_PEER, {"mac1 is valid, but no peer here has its public key",             \
		"add this peer?"})                                                                 \
	X(WG_DROP_LOW_ORDER, {"a public key with which every secret is zero",                      \
		"is the peer's PublicKey right? Nobody generates such a key"})                     \
	X(WG_DROP_OLD_TIMESTAMP, {"its timestamp is not newer than the last",                      \
		"sent again by somebody, or the clock of the peer went back: set its clock"})      \
	X(WG_DROP_FLOOD, {"within 20 ms of this peer's last initiation",                           \
		"do two machines use this peer's key?"})                                           \
	X(WG_DROP_WRONG_STATE, {"an answer to no handshake that is under way",                     \
		"late, or sent twice; a new handshake may have begun meanwhile"})                  \
	X(WG_DROP_BAD_COOKIE, {"a cookie that was not asked for, or is not the peer's",            \
		"late, or forged"})                                                                \
	X(WG_DROP_LINK_DOWN, {"the interface is down, or has no UDP socket",                        \
		"ip link set it up; if it is, the daemon's log says why it has none"})                       \
	X(WG_DROP_NO_MEMORY, {"an allocation failed", "is the machine, or its cgroup, out of memory?"}) \
	X(WG_DROP_RECEIVE_FULL, {"the socket's buffer was full",                                   \
		"more arrives than this machine handles: raise net.core.rmem_max, or use more workers"}) \
	X(WG_DROP_ICMP_REFUSED, {"the interface refused the ICMP error about a packet that no peer can take", \
		"is it up?"})                                                                      \
	X(WG_DROP_TUN_READ, {"the interface failed to hand over what it had",                      \
		"the log of the kernel may say why"})
ENUM_TABLE(struct drop_words, words, wg_drop, WORDS_ROWS);

const struct drop_words *drops_words(enum wg_drop drop)
{
	return words(drop);
}

const char *drops_name(unsigned drop)
{
	return enum_name(&type_drop, drop);
}
