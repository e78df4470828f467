#include "base/private_file.h"

bool private_file_is_ours(uid_t uid)
{
	const char *sudo = getenv("SUDO_UID");

	return uid == geteuid() || (sudo && *sudo && uid == strtoul(sudo, NULL, 10));
}

const char *private_file_objection(const struct stat *st)
{
	if (!private_file_is_ours(st->st_uid))
		return "belongs to somebody else, who could read the keys";
	if (st->st_mode & 077)
		return "may be opened by others, who could read the keys: chmod 600, or take another";
	return NULL;
}
