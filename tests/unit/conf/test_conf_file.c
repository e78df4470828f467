#include "conf/file.h"

#include "base/test.h"
#include "tests/unit/conf/keys.h"

#include <errno.h>
#include <stdio.h>

#define HEAD "[Interface]\nPrivateKey = " KEY_A "\n"

static struct buf errors = {.max = 100000}, warnings = {.max = 10000};

static struct conf_file *parse_with(const char *text, unsigned left)
{
	struct conf_file *c = NULL;
	int r;

	buf_done(&errors);
	buf_done(&warnings);
	r = conf_read("f", text, strlen(text), left, &c, &errors, &warnings);
	CHECK_EQ(r, errors.len ? -EINVAL : 0);
	CHECK((c != NULL) == (r == 0));
	return c;
}

static struct conf_file *parse(const char *text)
{
	return parse_with(text, 0);
}

/* The errors of a file that is wrong. */
static const char *wrong(const char *text)
{
	CHECK(!parse(text));
	return buf_str(&errors);
}

static void whole(void)
{
	cleanup(conf_freep) struct conf_file *c = parse("# a comment\n"
		"[interface]\r\n"
		"  privatekey=" KEY_A " # mine\n"
		"ListenPort = 51820\n"
		"FwMark = 0xca6c\n"
		"Address = 10.0.0.1/24, fd00::1/64\n"
		"Address = 10.1.0.1\n"
		"MTU = 1300\nTable = off\nSaveConfig = false\n\n"
		"[Peer]\n"
		"PublicKey = " KEY_C "\n"
		"AllowedIPs = 10.2.3.4/8,fd00::/64\n"
		"AllowedIPs = 10.0.0.0/8, 192.168.0.1\n"
		"Endpoint = vpn.example.org:51820\n"
		"PresharedKey = " KEY_D "\n"
		"PersistentKeepalive = 25\n"
		"[PEER]\nPublicKey = " KEY_B "\nAllowedIPs =\nPersistentKeepalive = off");
	const struct conf_peer *p;

	CHECK(c && c->has_private_key && c->private_key[0] == 0x40);
	CHECK(c->listen_port == 51820 && c->fwmark == 0xca6c && c->mtu == 1300 && c->table == CONF_TABLE_OFF);
	CHECK_EQ(c->n_addresses, 3);
	CHECK(c->addresses[0].bits == 24 && c->addresses[0].bytes[3] == 1 && c->addresses[1].family == AF_INET6);
	CHECK_EQ(c->addresses[2].bits, 32);
	CHECK_EQ(c->n_peers, 2);
	/* In the order of their keys. */
	p = &c->peers[1];
	CHECK_EQ(p->public_key[0], 0xf0);
	CHECK_EQ(p->n_allowed, 3);
	CHECK(p->allowed[0].bits == 8 && p->allowed[0].bytes[1] == 0);
	CHECK_STR(p->endpoint.host, "vpn.example.org");
	CHECK(p->endpoint.is_name && p->endpoint.port == 51820 && p->keepalive == 25 && p->psk[0] == 0xd8);
	p = &c->peers[0];
	CHECK(p->n_allowed == 0 && !p->endpoint.host[0] && p->keepalive == 0 && p->psk[0] == 0);
	CHECK_EQ(warnings.len, 0);
}

static void defaults(void)
{
	cleanup(conf_freep) struct conf_file *c = parse(HEAD);

	CHECK(c && !c->listen_port && !c->fwmark && !c->mtu && c->table == CONF_TABLE_AUTO && !c->n_peers && !c->n_addresses);
	conf_freep(&c);
	c = parse(HEAD "Table = main\nFwMark = off\n");
	CHECK(c && c->table == 254 && !c->fwmark);
	conf_freep(&c);
	c = parse(HEAD "[Peer]\nPublicKey=" KEY_B "\nAllowedIPs=0.0.0.0/0,fd00::/1\n");
	CHECK(c && conf_takes_all(c, AF_INET) && !conf_takes_all(c, AF_INET6));
}

static void places(void)
{
	CHECK_STR(wrong(HEAD "MUT = 1300\n"), "f:3:1: unknown key \"MUT\": did you mean MTU?\n");
	CHECK_STR(wrong(HEAD "  ListnPort = 1\n"), "f:3:3: unknown key \"ListnPort\": did you mean ListenPort?\n");
	CHECK_STR(wrong(HEAD "ListenPort = 65536\n"), "f:3:14: ListenPort: \"65536\" must be a number from 0 to 65535\n");
	CHECK_STR(wrong(HEAD "ListenPort = 1\nListenPort = 2\n"), "f:4:1: ListenPort was set before, in line 3\n");
	CHECK_STR(wrong(HEAD "Address = 10.0.0.1/24, 10.0.0.256\n"),
		"f:3:24: Address: \"10.0.0.256\" must be an address and the bits of its network, as 10.0.0.1/24\n");
	CHECK_STR(wrong(HEAD "MTU\n"), "f:3:1: \"Key = value\" is expected, or [Interface] or [Peer]\n");
	CHECK_STR(wrong(HEAD "MTU =\n"), "f:3:6: MTU: the value is missing\n");
	CHECK_STR(wrong(HEAD "Address = 10.0.0.1,,10.0.0.2\n"), "f:3:20: something is missing between commas\n");
	CHECK_STR(wrong(HEAD "Endpoint = h:1\n"), "f:3:1: Endpoint belongs into a [Peer]\n");
	CHECK_STR(wrong("MTU = 1300\n" HEAD), "f:1:1: [Interface] or [Peer] must come first\n");
	CHECK_STR(wrong(HEAD "[Pear]\nanything = 1\n"), "f:3:1: a section is [Interface] or [Peer]\n");
	CHECK_STR(wrong(HEAD "[Interface]\n"), "f:3:1: there is an [Interface] already, in line 1\n");
	CHECK_STR(wrong(HEAD "\n[Peer]\n"), "f:4:1: this [Peer] has no PublicKey\n");
	CHECK_STR(wrong(""), "f:1:1: there is no [Interface]\n");
	CHECK_STR(wrong("[Interface]\n"), "f:1:1: the [Interface] has no PrivateKey\n");
	CHECK_STR(wrong(HEAD "MTU = 1300\001\n"), "f:3:11: a control character\n");
	CHECK_STR(wrong(HEAD "[Peer]\nPublicKey=" KEY_B "\n[Peer]\nPublicKey=" KEY_B "\n"),
		"f:5:1: this peer was given before, in line 3\n");
	CHECK_STR(wrong(HEAD "[Peer]\nPublicKey=" KEY_C "\nAllowedIPs=10.0.0.1/8\n[Peer]\nPublicKey=" KEY_B "\nAllowedIPs=10.0.0.0/8\n"),
		"f:6:1: 10.0.0.0/8 is among the AllowedIPs of this peer and of the one in line 3: one can have it\n");
}

static void at_once(void)
{
	CHECK_STR(wrong("[Interface]\nMTU = x\nPrivateKey = " KEY_A "\nTable = y\n[Peer]\nPublicKey = z\n"),
		"f:2:7: MTU: \"x\" must be a number from 576 to 65535\n"
		"f:4:9: Table: \"y\" must be auto, off, main or the number of a table\n"
		"f:6:13: PublicKey: \"z\" is no key: 44 characters as wg genkey, wg genpsk and wg pubkey print them\n");
}

/* A mistyped secret is still nearly one. */
static void secrets(void)
{
	CHECK(!strstr(wrong("[Interface]\nPrivateKey = sEcReT0\n[Peer]\nPublicKey = " KEY_B "\nPresharedKey = sEcReT1\n"), "sEcReT"));
	CHECK(strstr(buf_str(&errors), "f:2:14: PrivateKey: is no key"));
	CHECK(strstr(buf_str(&errors), "f:5:16: PresharedKey: is no key"));
}

static void not_done(void)
{
	static const char text[] = HEAD "PostUp = iptables -A x\nPreDown = y\nDNS = 1.1.1.1, example.org\nSaveConfig = true\n";
	cleanup(conf_freep) struct conf_file *c = NULL;

	wrong(text);
	CHECK(strstr(buf_str(&errors), "f:3:10: PostUp is not done here") && strstr(buf_str(&errors), "--leave=hooks"));
	CHECK(strstr(buf_str(&errors), "f:4:11: PreDown is not done here"));
	CHECK(strstr(buf_str(&errors), "f:5:7: DNS is not done here") && strstr(buf_str(&errors), "--leave=dns"));
	CHECK(strstr(buf_str(&errors), "f:6:14: SaveConfig is not done here") && strstr(buf_str(&errors), "--leave=save"));
	CHECK(!parse_with(text, CONF_LEFT_HOOKS | CONF_LEFT_DNS));
	CHECK(!strstr(buf_str(&errors), "PostUp") && strstr(buf_str(&errors), "SaveConfig"));
	c = parse_with(text, (unsigned)conf_left_enum.mask);
	CHECK(c != NULL);
}

static void many(void)
{
	cleanup(buf_done) struct buf text = buf_of_max(1 << 24);
	cleanup(conf_freep) struct conf_file *c = NULL;

	buf_puts(&text, HEAD);
	for (unsigned i = 0; i < 5000; i++) {
		uint8_t key[KEY_LEN] = {(uint8_t)(i * 7), (uint8_t)(i >> 8), (uint8_t)i};

		buf_puts(&text, "[Peer]\nPublicKey = ");
		text_put_key(key, &text);
		buf_printf(&text, "\nAllowedIPs = 10.%u.%u.0/24, fd00:%x::/32\n", i >> 8, i & 255, i);
	}
	c = parse(buf_str(&text));
	CHECK(c && c->n_peers == 5000);
	for (size_t i = 0; i < c->n_peers; i++) {
		CHECK_EQ(c->peers[i].n_allowed, 2);
		CHECK(!i || memcmp(c->peers[i - 1].public_key, c->peers[i].public_key, KEY_LEN) < 0);
	}
}

int main(void)
{
	test_run("a file is read as wg-quick reads it: any case, comments, lists, repeated keys [conf-file]", whole);
	test_run("what a file does not say has its default [conf-file]", defaults);
	test_run("every error has its line and column, and says what was meant [conf-file-errors]", places);
	test_run("all errors of a file are told at once [conf-file-errors]", at_once);
	test_run("no error repeats what may be a secret [conf-file-secrets]", secrets);
	test_run("commands, name servers and saving are refused until somebody says that they are known [conf-left]", not_done);
	test_run("a file of 5,000 peers is read [conf-file]", many);
	buf_done(&errors);
	buf_done(&warnings);
	return test_done();
}
