#include "base/enum.h"

const char *enum_name(const struct enum_type *type, int64_t value)
{
	for (size_t i = 0; i < type->n_members; i++)
		if (type->members[i].value == value)
			return type->members[i].name;
	return NULL;
}
