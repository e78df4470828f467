#include "office/office.h"

#include <errno.h>

ENUM_DEFINE(member_kind, MEMBER_KIND_LIST);
ENUM_DEFINE(return_mode, RETURN_MODE_LIST);
ENUM_DEFINE(engine, ENGINE_LIST);
ENUM_DEFINE(dialect, DIALECT_LIST);

int member_set_psk(struct member *m, const uint8_t key[KEY_LEN])
{
	uint8_t *psk = key ? malloc(KEY_LEN) : NULL;

	if (key && !psk)
		return -ENOMEM;
	if (key)
		memcpy(psk, key, KEY_LEN);
	if (m->psk)
		explicit_bzero(m->psk, KEY_LEN);
	free(m->psk);
	m->psk = psk;
	return 0;
}

void office_free(struct office *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->n_members; i++)
		member_set_psk(&o->members[i], NULL);
	free(o->by_name);
	free(o->nodes);
	free(o->members);
	free(o);
}

static int compare_names(const void *a, const void *b)
{
	const struct member *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int compare_lans(const void *a, const void *b)
{
	const struct member *const *x = a, *const *y = b;
	int r = memcmp((*x)->lan.bytes, (*y)->lan.bytes, sizeof((*x)->lan.bytes));

	return r ? r : (int)(*x)->lan.bits - (int)(*y)->lan.bits;
}

int office_index(struct office *o)
{
	free(o->by_name);
	free(o->nodes);
	o->n_by_name = o->n_nodes = 0;
	o->hub = NULL;
	o->by_name = calloc(o->n_members + 1, sizeof(struct member *));
	o->nodes = calloc(o->n_members + 1, sizeof(struct member *));
	if (!o->by_name || !o->nodes)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_members; i++) {
		const struct member *m = &o->members[i];

		if (m->gone)
			continue;
		o->by_name[o->n_by_name++] = m;
		if (m->kind == MEMBER_NODE)
			o->nodes[o->n_nodes++] = m;
		if (m->kind == MEMBER_HUB && !o->hub)
			o->hub = m;
	}
	qsort(o->by_name, o->n_by_name, sizeof(struct member *), compare_names);
	qsort(o->nodes, o->n_nodes, sizeof(struct member *), compare_lans);
	return 0;
}

const struct member *office_find(const struct office *o, const char *name)
{
	size_t low = 0, high = o->n_by_name;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int r = strcmp(name, o->by_name[middle]->name);

		if (!r)
			return o->by_name[middle];
		if (r < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct member *office_hub(const struct office *o)
{
	return o->hub;
}
