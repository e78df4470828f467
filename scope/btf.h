/*
 * scope/btf.h - where a member of a structure is, as a running kernel says of itself (BTF).
 *
 * Pure: bytes in, a number out.
 */
#pragma once

#include "base/util.h"

struct btf {
	const uint8_t	*data;
	size_t		 len;
};

/*
 * btf_member_offset(base, module, type, member, ret):
 * How many bytes ${member} lies behind the beginning of struct ${type}, which a module has.  ${base}:
 * the kernel's own, which has part of the module's names; empty where ${module} stands for itself.
 * 0; -ENOENT: there is no such structure or member; -EBADMSG: that is no BTF.
 */
int btf_member_offset(
	struct btf base, struct btf module, const char *type, const char *member, size_t *ret);
