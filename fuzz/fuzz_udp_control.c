/*
 * Control data as it comes with a datagram; two bytes before it say how long the datagram is.  A run keeps a segment that it can be
 * cut by, and nothing is read behind the control data.
 */
#include "fuzz/fuzz.h"
#include "tunnel/udp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(free_ptr) uint8_t *control = len < 2 ? NULL : fuzz_copy(data + 2, len - 2);
	const struct wg_addr from = wg_addr_v4("\1\2\3\4", 5);
	struct udp_run run = {.from.dst = from}, other;
	struct msghdr msg = {0};

	if (!control)
		return 0;
	run.len = run.segment = get_be16(data);
	msg.msg_control = control;
	msg.msg_controllen = len - 2;
	other = run;
	udp_run_control(&run, &msg);
	MUST(run.segment <= run.len && (run.segment || !run.len));
	MUST(run.len == other.len && run.data == other.data && run.truncated == other.truncated);
	MUST(wg_addr_equal(&run.from.dst, &from));
	/* It depends on nothing else. */
	udp_run_control(&other, &msg);
	MUST(run.segment == other.segment && run.tos == other.tos && wg_endpoint_equal(&run.from, &other.from));
	return 0;
}
