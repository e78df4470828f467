#include "office/verbs.h"

#include "base/protect.h"
#include "office/bring_up.h"
#include "office/stay.h"

int verb_up(const struct cmd_call *call, void *into)
{
	const struct verb_settings *s = into;
	struct bring_up b = {
		.interface = s->interface,
		.from = call->n_operands ? call->operands[0] : NULL,
		.ask = true,
		.ask_again = s->probe,
		.renew = s->stay,
	};

	int r;

	if (!verb_on_member(s))
		return 1;
	protect();
	r = s->stay ? stay_run(&b, s->clock_wait_s) : bring_up(&b);
	return r == -ENOKEY && s->stay ? VERB_STATUS_LACKING : r < 0;
}
