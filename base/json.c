#include "base/json.h"

void json_put_text(const char *text, struct buf *ret)
{
	buf_puts(ret, "\"");
	for (; *text; text++) {
		if ((unsigned char)*text < ' ')
			buf_printf(ret, "\\u%04x", *text);
		else
			buf_printf(ret, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
	}
	buf_puts(ret, "\"");
}
