/* base/json.h - text as JSON writes it. */
#pragma once

#include "base/buf.h"

/* json_put_text(text, ret): append the string in quotes; ${text} is UTF-8. */
void json_put_text(const char *text, struct buf *ret);
