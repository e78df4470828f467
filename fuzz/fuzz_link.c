/*
 * A datagram of rtnetlink messages: they are taken one after the other up to its end, and names end where they must.
 */
#include "fuzz/fuzz.h"
#include "tunnel/link_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char filled[LINK_NAME_SIZE];
	cleanup(free_ptr) uint8_t *buf = fuzz_copy(data, len);
	struct link_messages messages = link_messages_of(buf, len);
	struct link_message m;
	size_t n = 0, name;

	while (link_messages_next(&messages, &m)) {
		bool link = m.type == RTM_NEWLINK || m.type == RTM_DELLINK;
		bool nsid = m.type == RTM_NEWNSID || m.type == RTM_DELNSID;

		MUST(++n <= len / sizeof(struct nlmsghdr));
		MUST(messages.left < (int)len);
		name = strnlen(m.state.name, LINK_NAME_SIZE);
		MUST(name < LINK_NAME_SIZE);
		MUST(!memcmp(m.state.name + name, filled, LINK_NAME_SIZE - name));
		if (!link || m.bad)
			MUST(!m.whole && !m.state.ifindex && !m.state.up && !m.state.mtu && !name);
		MUST(!m.whole || (m.state.mtu && name));
		MUST(nsid || m.nsid == -1);
		MUST(m.type == NLMSG_ERROR || !m.error);
	}
	MUST(!link_messages_next(&messages, &m));
	return 0;
}
