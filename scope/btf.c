#include "scope/btf.h"

#include "base/rd.h"

#include <errno.h>
#include <linux/btf.h>

struct sections {
	struct rd	 types;
	const char	*names;
	size_t		 names_len;
};

static int open_sections(struct btf b, struct sections *ret)
{
	struct btf_header h;
	struct rd r = rd_of(b.data, b.len), names;

	rd_copy(&r, &h, sizeof(h));
	if (r.bad || h.magic != BTF_MAGIC || h.hdr_len < sizeof(h))
		return -EBADMSG;
	r = rd_of(b.data, b.len);
	rd_bytes(&r, h.hdr_len);
	names = ret->types = r;
	rd_bytes(&ret->types, h.type_off);
	r = ret->types;
	ret->types = rd_of(r.at, h.type_len);
	rd_bytes(&r, h.type_len);
	rd_bytes(&names, h.str_off);
	ret->names = (const char *)rd_bytes(&names, h.str_len);
	ret->names_len = h.str_len;
	return r.bad || names.bad || !h.str_len || ret->names[h.str_len - 1] ? -EBADMSG : 0;
}

/* Names are counted on from those of the base. */
static const char *name_of(const struct sections *base, const struct sections *module, uint32_t at)
{
	if (at < base->names_len)
		return base->names + at;
	at -= (uint32_t)base->names_len;
	return at < module->names_len ? module->names + at : "";
}

/* What stands behind a type. */
static size_t size_behind(uint32_t info)
{
	static const struct {
		uint8_t kind, once, each;
	} sizes[] = {
		{BTF_KIND_INT, 4, 0},
		{BTF_KIND_ARRAY, sizeof(struct btf_array), 0},
		{BTF_KIND_STRUCT, 0, sizeof(struct btf_member)},
		{BTF_KIND_UNION, 0, sizeof(struct btf_member)},
		{BTF_KIND_ENUM, 0, sizeof(struct btf_enum)},
		{BTF_KIND_FUNC_PROTO, 0, sizeof(struct btf_param)},
		{BTF_KIND_VAR, sizeof(struct btf_var), 0},
		{BTF_KIND_DATASEC, 0, sizeof(struct btf_var_secinfo)},
		{BTF_KIND_DECL_TAG, 4, 0},
		{BTF_KIND_ENUM64, 0, 12},
	};

	for (size_t i = 0; i < array_size(sizes); i++)
		if (sizes[i].kind == BTF_INFO_KIND(info))
			return sizes[i].once + (size_t)sizes[i].each * BTF_INFO_VLEN(info);
	return 0;
}

int btf_member_offset(
	struct btf base, struct btf module, const char *type, const char *member, size_t *ret)
{
	struct sections b = {.names_len = 0}, m;
	int r = base.len ? open_sections(base, &b) : 0;

	if (r >= 0)
		r = open_sections(module, &m);
	if (r < 0)
		return r;
	while (rd_left(&m.types)) {
		struct btf_member field;
		struct btf_type t;
		struct rd behind;

		rd_copy(&m.types, &t, sizeof(t));
		behind = m.types;
		rd_bytes(&m.types, size_behind(t.info));
		if (m.types.bad)
			return -EBADMSG;
		if (BTF_INFO_KIND(t.info) != BTF_KIND_STRUCT || strcmp(name_of(&b, &m, t.name_off), type))
			continue;
		for (unsigned i = BTF_INFO_VLEN(t.info); i; i--) {
			rd_copy(&behind, &field, sizeof(field));
			if (strcmp(name_of(&b, &m, field.name_off), member))
				continue;
			*ret = (BTF_INFO_KFLAG(t.info) ? BTF_MEMBER_BIT_OFFSET(field.offset) : field.offset) / 8;
			return 0;
		}
	}
	return -ENOENT;
}
