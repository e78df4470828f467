/*
 * Frames of a control channel: what opens has only fields that are what they say, and made anew from them it is the same frame.
 */
#include "fuzz/fuzz.h"
#include "base/ctl.h"

#include <errno.h>

static void put(struct buf *b, const struct ctl_field *f)
{
	cleanup(free_ptr) char *text = fuzz_text(f->data, f->len);

	switch (f->kind) {
	case CTL_NUMBER:
		ctl_put_number(b, f->tag, f->number);
		break;
	case CTL_TEXT:
		MUST(strlen(text) == f->len);
		ctl_put_text(b, f->tag, text);
		break;
	case CTL_BYTES:
		ctl_put_bytes(b, f->tag, f->data, f->len);
		break;
	default:
		MUST(!"a kind that is none");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(free_ptr) uint8_t *frame = fuzz_copy(data, len);
	cleanup(buf_done) struct buf again = buf_of_max(CTL_FRAME_MAX), small = buf_of_max(len / 2);
	struct rd r = {.bad = true}, loose = rd_of(frame, len);
	struct ctl_field f;
	uint16_t type = 0x5a5a;
	size_t fields = 0, checked = 0;
	int opened;

	/* Fields of a frame that was not checked: as many as there are, then the end or an error. */
	while (ctl_next(&loose, &f)) {
		MUST(f.data >= frame && f.data + f.len <= frame + len);
		MUST(++checked <= len / 5);
	}
	MUST(loose.bad != rd_at_end(&loose));
	if (len > CTL_FRAME_MAX)
		return 0;
	opened = ctl_open(&r, frame, len, &type);
	if (opened < 0) {
		MUST(opened == -EBADMSG || (opened == -EPROTONOSUPPORT && frame[0] != CTL_VERSION));
		MUST(r.bad && type == 0x5a5a);
		return 0;
	}
	ctl_begin(&again, type);
	ctl_begin(&small, type);
	while (ctl_next(&r, &f)) {
		put(&again, &f);
		put(&small, &f);
		fields++;
	}
	MUST(rd_at_end(&r) && fields <= len / 5);
	MUST(!again.error && again.len == len && !memcmp(again.data, frame, len));
	/* A buffer that is too small says so, and holds whole fields only. */
	if (len >= 8)
		MUST(small.error == -ENOBUFS && (small.len < 4 || ctl_open(&r, small.data, small.len, &type) == 0));
	return 0;
}
