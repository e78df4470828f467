#include "tests/unit/office/office.h"

#include "office/status.h"

#define NOW 1000000
/* Of 32 bytes each: the last letters differ. */
#define KEY_OF_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
#define KEY_OF_C "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="
#define KEY_OF_E "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAM="
#define LOCK                                                                                       \
	"version 1\nnet 10.70.0.0/16\naliases 10.71.0.0/16\nport 51820\nmtu 1420\nnext 6\n"           \
	"z hub z.example.com:51820 id 1 address 10.70.0.1\n"                                       \
	"a node 192.168.201.0/24 id 2 address 10.70.0.2 alias 10.71.1.0/24 key " KEY_OF_A "\n"     \
	"c node 192.168.200.0/24 id 3 address 10.70.0.3 alias 10.71.2.0/24 key " KEY_OF_C "\n"     \
	"e person 10.70.0.4 id 4 key " KEY_OF_E "\n"                                               \
	"f person 10.70.0.5 id 5\n"

static const char daemon_says[] =
	"public_key=0000000000000000000000000000000000000000000000000000000000000001\n"
	"endpoint=203.0.113.21:40000\nlast_handshake_time_sec=999820\ntx_bytes=100\nrx_bytes=2048\n"
	"public_key=0000000000000000000000000000000000000000000000000000000000000002\n"
	"endpoint=203.0.113.22:40000\nlast_handshake_time_sec=999819\ntx_bytes=0\nrx_bytes=0\n"
	"errno=0\n\n";

struct fixture {
	struct office	*o;
	struct plan	*plan;
	struct running	*running;
	struct status	 status;
};

static void begin(struct fixture *f)
{
	f->o = read_text(DIALECT_LOCK, LOCK);
	CHECK_EQ(plan_make(f->o, office_find(f->o, "z"), &f->plan), 0);
	CHECK_EQ(running_read(daemon_says, sizeof(daemon_says) - 1, &f->running), 0);
	f->status = (struct status){.plan = f->plan, .interface = "office", .running = f->running, .now_s = NOW};
}

static void end(struct fixture *f)
{
	running_free(f->running);
	plan_free(f->plan);
	office_free(f->o);
}

static void states(void)
{
	static const enum peer_state want[] = {PEER_UP, PEER_AWAY, PEER_MISSING, PEER_NO_KEY};
	struct fixture f;

	begin(&f);
	CHECK_EQ(f.plan->n_peers, array_size(want));
	for (size_t i = 0; i < array_size(want) && i < f.plan->n_peers; i++)
		CHECK_EQ(status_of(&f.status, &f.plan->peers[i]), want[i]);
	/* A clock that went back makes nobody older than new. */
	f.status.now_s = 0;
	CHECK_EQ(status_of(&f.status, &f.plan->peers[0]), PEER_UP);
	end(&f);
}

static void words(void)
{
	cleanup(buf_done) struct buf out = buf_of_max(1 << 16);
	struct fixture f;

	begin(&f);
	status_words(&f.status, &out);
	CHECK_STR(buf_str(&out),
		"z hub 10.70.0.1, interface office\n"
		"name  kind    address    at                      handshake  received   sent  state\n"
		"a     node    10.70.0.2  203.0.113.21:40000  3 min 0 s ago   2.0 KiB  100 B  up\n"
		"c     node    10.70.0.3  203.0.113.22:40000  3 min 1 s ago       0 B    0 B  away\n"
		"e     person  10.70.0.4  -                               -         -      -  missing\n"
		"f     person  10.70.0.5  -                               -         -      -  no-key\n");
	end(&f);
}

static void json(void)
{
	cleanup(buf_done) struct buf out = buf_of_max(1 << 16);
	struct fixture f;

	begin(&f);
	status_json(&f.status, &out);
	CHECK_STR(buf_str(&out),
		"{\"name\": \"z\", \"kind\": \"hub\", \"address\": \"10.70.0.1\", \"interface\": \"office\",\n \"peers\": [\n"
		"  {\"name\": \"a\", \"kind\": \"node\", \"address\": \"10.70.0.2\", \"state\": \"up\", "
		"\"endpoint\": \"203.0.113.21:40000\", \"handshake_age_s\": 180, \"received_bytes\": 2048, \"sent_bytes\": 100},\n"
		"  {\"name\": \"c\", \"kind\": \"node\", \"address\": \"10.70.0.3\", \"state\": \"away\", "
		"\"endpoint\": \"203.0.113.22:40000\", \"handshake_age_s\": 181, \"received_bytes\": 0, \"sent_bytes\": 0},\n"
		"  {\"name\": \"e\", \"kind\": \"person\", \"address\": \"10.70.0.4\", \"state\": \"missing\"},\n"
		"  {\"name\": \"f\", \"kind\": \"person\", \"address\": \"10.70.0.5\", \"state\": \"no-key\"}]}\n");
	end(&f);
}

int main(void)
{
	test_run("who answers, who is silent, who never came, who is not known [office-status]", states);
	test_run("a member's peers as a table [office-status]", words);
	test_run("and as JSON [office-status]", json);
	return test_done();
}
