/*
 * A stream of a device: taken or refused, never a device that is broken - what was taken is exported, taken and exported again
 * to the same bytes, and the device runs.
 */
#include "fuzz/fuzz.h"
#include "wg/handover.h"
#include "base/test.h"

#include <errno.h>

static void device_random(void *arg, void *buf, size_t len)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(test_random(arg) >> 32);
}

static struct wg_device *device_new(uint64_t *random, unsigned workers)
{
	struct wg_device_config config = {.random = device_random, .arg = random, .workers = workers};
	struct wg_device *d;

	if (wg_device_new(&config, &d) < 0)
		abort();
	return d;
}

static void run(struct wg_device *d, struct wg_now now)
{
	for (int i = 0; i < 30; i++) {
		struct wg_effect e;

		wg_device_run(d, now);
		while (wg_device_effect(d, &e))
			MUST(e.len > 0 && e.len < 65536);
		now.boot_ns += 7 * NS_PER_S;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const unsigned both = WG_HANDOVER_CONFIG | WG_HANDOVER_STATE;
	struct wg_now now = {.boot_ns = NS_PER_S * 2000, .real_ns = NS_PER_S * 1767225600};
	cleanup(free_ptr) uint8_t *copy = fuzz_copy(data, len);
	cleanup(buf_done) struct buf why = buf_of_max(4096), first = buf_of_max(WG_HANDOVER_MAX);
	cleanup(buf_done) struct buf second = buf_of_max(WG_HANDOVER_MAX);
	uint64_t random = 1;
	struct wg_device *d = device_new(&random, 1), *other = device_new(&random, 2);
	int r = wg_handover_import(d, now, copy, len, &why);

	MUST(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT || r == -ESTALE);
	MUST((r < 0) == (why.len > 0) && fuzz_printable(why.data, why.len));
	if (!r) {
		MUST(!wg_handover_export(d, now, both, &first));
		MUST(!wg_handover_import(other, now, first.data, first.len, &why));
		MUST(!wg_handover_export(other, now, both, &second));
		MUST(first.len == second.len && !memcmp(first.data, second.data, first.len));
		run(d, now);
		run(other, now);
	}
	wg_device_free(d);
	wg_device_free(other);
	return 0;
}
