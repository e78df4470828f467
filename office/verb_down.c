#include "office/verbs.h"

#include "office/stay.h"
#include "office/up.h"

int verb_down(const struct cmd_call *call, void *into)
{
	const struct verb_settings *s = into;

	if (!verb_on_member(s))
		return 1;
	return stay_end(s->interface) < 0 || down(s->interface) < 0;
}
