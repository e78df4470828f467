#include "scope/btf.h"

#include "base/buf.h"
#include "base/test.h"

#include <errno.h>
#include <linux/btf.h>

/* A module as a compiler would describe it, and a kernel that has the name "first" already. */
static const char kernel_names[] = "\0first\0u8";
static const char module_names[] = "noise\0second\0third\0other";
#define IN_KERNEL 1u
#define NOISE ((uint32_t)sizeof(kernel_names))
#define SECOND (NOISE + 6)
#define THIRD (NOISE + 13)
#define OTHER (NOISE + 19)

static void put_type(struct buf *b, uint32_t name, unsigned kind, unsigned n, bool flag)
{
	const struct btf_type t = {.name_off = name, .info = kind << 24 | n | (uint32_t)flag << 31};

	buf_put(b, &t, sizeof(t));
}

static void put_member(struct buf *b, uint32_t name, uint32_t offset)
{
	const struct btf_member m = {.name_off = name, .offset = offset};

	buf_put(b, &m, sizeof(m));
}

static void finish(struct buf *types, const char *names, size_t names_len, struct buf *ret)
{
	const struct btf_header h = {.magic = BTF_MAGIC,
		.version = 1,
		.hdr_len = sizeof(h),
		.type_len = (uint32_t)types->len,
		.str_off = (uint32_t)types->len,
		.str_len = (uint32_t)names_len};

	buf_put(ret, &h, sizeof(h));
	if (types->len)
		buf_put(ret, types->data, types->len);
	buf_put(ret, names, names_len);
}

static void make(struct buf *kernel, struct buf *module)
{
	/* What stands behind a type of each kind that is no structure. */
	static const struct {
		uint8_t kind, n, behind;
	} others[] = {{BTF_KIND_INT, 0, 4}, {BTF_KIND_PTR, 0, 0}, {BTF_KIND_ARRAY, 0, 12},
		{BTF_KIND_UNION, 2, 24}, {BTF_KIND_ENUM, 3, 24}, {BTF_KIND_FWD, 0, 0},
		{BTF_KIND_TYPEDEF, 0, 0}, {BTF_KIND_VOLATILE, 0, 0}, {BTF_KIND_CONST, 0, 0},
		{BTF_KIND_RESTRICT, 0, 0}, {BTF_KIND_FUNC, 1, 0}, {BTF_KIND_FUNC_PROTO, 2, 16},
		{BTF_KIND_VAR, 0, 4}, {BTF_KIND_DATASEC, 2, 24}, {BTF_KIND_FLOAT, 0, 0},
		{BTF_KIND_DECL_TAG, 0, 4}, {BTF_KIND_TYPE_TAG, 0, 0}, {BTF_KIND_ENUM64, 2, 24}};
	cleanup(buf_done) struct buf none = buf_of_max(1), types = buf_of_max(4096);

	finish(&none, kernel_names, sizeof(kernel_names), kernel);
	for (size_t i = 0; i < array_size(others); i++) {
		put_type(&types, NOISE, others[i].kind, others[i].n, false);
		for (unsigned n = others[i].behind / 4; n; n--)
			buf_put(&types, &(uint32_t){SECOND}, 4);
	}
	put_type(&types, OTHER, BTF_KIND_STRUCT, 1, false);
	put_member(&types, THIRD, 8 * 7);
	put_type(&types, NOISE, BTF_KIND_STRUCT, 2, false);
	put_member(&types, IN_KERNEL, 8 * 16);
	put_member(&types, SECOND, 8 * 56);
	put_type(&types, THIRD, BTF_KIND_STRUCT, 1, true);
	put_member(&types, SECOND, 3u << 24 | 8 * 24);
	finish(&types, module_names, sizeof(module_names), module);
}

static int find(const struct buf *kernel, const struct buf *module, const char *type, const char *member, size_t *ret)
{
	return btf_member_offset((struct btf){kernel->data, kernel->len},
		(struct btf){module->data, module->len}, type, member, ret);
}

static void offsets(void)
{
	cleanup(buf_done) struct buf kernel = buf_of_max(4096), module = buf_of_max(4096);
	size_t at = 0;

	make(&kernel, &module);
	CHECK_EQ(find(&kernel, &module, "noise", "first", &at), 0);
	CHECK_EQ(at, 16);
	CHECK_EQ(find(&kernel, &module, "noise", "second", &at), 0);
	CHECK_EQ(at, 56);
	CHECK_EQ(find(&kernel, &module, "third", "second", &at), 0);
	CHECK_EQ(at, 24);
	CHECK_EQ(find(&kernel, &module, "noise", "third", &at), -ENOENT);
	CHECK_EQ(find(&kernel, &module, "nothing", "second", &at), -ENOENT);
	CHECK_EQ(at, 24);
}

static void damaged(void)
{
	cleanup(buf_done) struct buf kernel = buf_of_max(4096), module = buf_of_max(4096);
	uint64_t seed = 1;
	size_t at;

	make(&kernel, &module);
	CHECK_EQ(find(&kernel, &(struct buf){.max = 0}, "noise", "second", &at), -EBADMSG);
	/* In a block of its own, so that a sanitizer sees what lies behind. */
	for (size_t len = 0; len < module.len; len++) {
		cleanup(buf_done) struct buf cut = buf_of_max(4096);

		if (len)
			buf_put(&cut, module.data, len);
		CHECK(find(&kernel, &cut, "noise", "second", &at) < 0);
	}
	for (int i = 0; i < 20000; i++) {
		cleanup(buf_done) struct buf bad = buf_of_max(4096);

		buf_put(&bad, module.data, module.len);
		for (int n = 0; n < 3; n++)
			bad.data[test_random(&seed) % bad.len] ^= (uint8_t)test_random(&seed);
		(void)find(&kernel, &bad, "noise", "second", &at);
	}
}

int main(void)
{
	test_run("a member is found among types of every kind, by names of kernel and module [btf-offset]", offsets);
	test_run("of what is cut off or damaged nothing is read that is not there [btf-offset]", damaged);
	return test_done();
}
