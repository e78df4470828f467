/* What office/probe.h finds: probe DEVICE OWN GATEWAY TARGET [TIMEOUT_MS].  Prints the mode, or the error's name. */
#include "office/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	enum return_mode mode = RETURN_AUTO;
	struct prefix address[3];
	int r;

	if (argc < 5)
		return 2;
	for (int i = 0; i < 3; i++) {
		if (text_prefix(argv[2 + i], strlen(argv[2 + i]), &address[i]) < 0)
			return 2;
	}
	r = probe_gateway(argv[1], &address[0], &address[1], &address[2], argc > 5 ? atoi(argv[5]) : 60000, &mode);
	puts(r < 0 ? strerrorname_np(-r) : enum_name(&return_mode_enum, mode));
	return r < 0;
}
