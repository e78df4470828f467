#include "office/settle.h"

#include "office/space.h"

#include <errno.h>
#include <stdio.h>

struct settling {
	const struct office	*file, *lock;	/* lock: NULL, there was none */
	const char		*name, *lock_name;
	struct office		*o;
	struct buf		*errors;
	const struct member	**old;		/* the lock's, by name, the newest of a name first */
	size_t			 n_old;
	bool			*used;		/* for each of the lock: it goes on under its id */
	bool			 bad;
};

static void complain(struct settling *s, struct place at, const char *what)
{
	s->bad = true;
	buf_printf(s->errors, "%s:%u:%u: %s\n", s->name, max(at.line, 1u), max(at.column, 1u), what);
}

static int by_name_newest_first(const void *a, const void *b)
{
	const struct member *const *x = a, *const *y = b;
	int r = strcmp((*x)->name, (*y)->name);

	if (r)
		return r;
	return (*x)->id > (*y)->id ? -1 : (*x)->id < (*y)->id;
}

/* The newest of this name that the lock knows. */
static const struct member *find_old(const struct settling *s, const char *name)
{
	size_t low = 0, high = s->n_old;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(s->old[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->n_old && !strcmp(s->old[low]->name, name) ? s->old[low] : NULL;
}

/* ---- the prefixes that all addresses are of ---- */

static bool is_private(const struct prefix *p)
{
	static const struct prefix ranges[] = {{AF_INET, 8, {10}}, {AF_INET, 12, {172, 16}},
		{AF_INET, 16, {192, 168}}, {AF_INET, 10, {100, 64}}};

	for (size_t i = 0; i < array_size(ranges); i++)
		if (ipv4_holds(&ranges[i], p))
			return true;
	return false;
}

/* The block behind the net, or where that would be somebody's on the internet, the one before it. */
static bool find_aliases(const struct prefix *net, struct prefix *ret)
{
	uint32_t size = ~ipv4_mask(net->bits) + 1;
	struct prefix next = ipv4_prefix(ipv4_first(net) + size, net->bits),
		      before = ipv4_prefix(ipv4_first(net) - size, net->bits);

	*ret = is_private(&next) ? next : before;
	return is_private(ret);
}

static void settle_prefixes(struct settling *s)
{
	struct office *o = s->o;
	bool locked = s->lock && s->lock->net.family;

	if (s->file->net.family)
		o->net = s->file->net;
	else if (locked)
		o->net = s->lock->net;
	else
		text_prefix(SETTLE_NET, strlen(SETTLE_NET), &o->net);
	if (s->file->aliases.family)
		o->aliases = s->file->aliases;
	else if (locked && s->lock->aliases.family && !ipv4_overlap(&s->lock->aliases, &o->net))
		o->aliases = s->lock->aliases;
	else if (!find_aliases(&o->net, &o->aliases))
		complain(s, s->file->net_place,
			"net: there is no private block beside it for the LANs' aliases: say one, as aliases 10.71.0.0/16");
	o->net_place = s->file->net_place;
	o->aliases_place = s->file->aliases_place;
	o->port = s->file->port ? s->file->port : SETTLE_PORT;
	o->mtu = s->file->mtu ? s->file->mtu : SETTLE_MTU;
	o->psk = s->file->psk;
}

/* ---- members ---- */

static bool has_address(enum member_kind kind)
{
	return kind != MEMBER_HOST;
}

/* What was given to ${old} before goes to ${m}, which is it or comes after it. */
static void inherit_addresses(const struct office *o, struct member *m, const struct member *old)
{
	if (has_address(m->kind) && !m->address.family && old->address.family && ipv4_holds(&o->net, &old->address))
		m->address = old->address;
	if (m->kind == MEMBER_NODE && !m->alias.family && old->alias.family && old->alias.bits == m->lan.bits &&
		ipv4_holds(&o->aliases, &old->alias))
		m->alias = old->alias;
}

static void inherit(const struct office *o, struct member *m, const struct member *old)
{
	m->id = old->id;
	m->has_key = old->has_key;
	memcpy(m->public_key, old->public_key, KEY_LEN);
	m->has_next_key = old->has_next_key;
	memcpy(m->next_key, old->next_key, KEY_LEN);
	m->learnt_mtu = old->learnt_mtu;
	m->given = old->given;
	/* What another gateway did says nothing of this one. */
	if (m->kind == MEMBER_NODE && !prefix_compare(&m->lan, &old->lan) &&
		!prefix_compare(&m->gateway, &old->gateway))
		m->learnt_mode = old->learnt_mode;
}

/* The number would be one that no lock may have. */
static void give_id(struct settling *s, struct member *m)
{
	struct office *o = s->o;

	m->id = min(o->next_id, (unsigned)OFFICE_ID_MAX);
	if (o->next_id <= OFFICE_ID_MAX)
		o->next_id++;
	else
		complain(s, m->place, "no id is left, says the lock: has somebody written into it?");
}

static void settle_member(struct settling *s, const struct member *from)
{
	struct office *o = s->o;
	struct member *m = &o->members[o->n_members++];
	const struct member *old = s->lock ? find_old(s, from->name) : NULL;

	*m = *from;
	m->id = 0;
	m->has_key = m->has_next_key = false;
	m->psk = NULL;
	m->given = 0;
	m->learnt_mtu = 0;
	m->learnt_mode = RETURN_AUTO;
	if (old && !old->gone && old->kind == from->kind) {
		inherit(o, m, old);
		s->used[old - s->lock->members] = true;
	}
	if (old)
		inherit_addresses(o, m, old);
	if (!m->id)
		give_id(s, m);
	if (m->kind == MEMBER_HUB && !m->endpoint.port)
		m->endpoint.port = o->port;
}

static void settle_members(struct settling *s)
{
	struct office *o = s->o;

	if (s->lock) {
		o->next_id = s->lock->next_id;
		for (size_t i = 0; i < s->lock->n_members; i++)
			o->next_id = max(o->next_id, s->lock->members[i].id + 1);
	}
	o->next_id = max(o->next_id, 1u);
	for (size_t i = 0; i < s->file->n_members; i++)
		if (!s->file->members[i].gone)
			settle_member(s, &s->file->members[i]);
}

static int by_address_said_first(const void *a, const void *b)
{
	const struct member *const *x = a, *const *y = b;
	int r = prefix_compare(&(*x)->address, &(*y)->address);

	return r ? r : ((*x)->column.address == 0) - ((*y)->column.address == 0);
}

/* An address that the file says now and the lock gave to somebody who says none: neither may lose it silently. */
static int find_taken(struct settling *s)
{
	struct office *o = s->o;
	cleanup(free_ptr) const struct member **all = calloc(o->n_members + 1, sizeof(struct member *));
	size_t n = 0;

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_members; i++)
		if (o->members[i].address.family)
			all[n++] = &o->members[i];
	qsort(all, n, sizeof(struct member *), by_address_said_first);
	for (size_t i = 1; i < n; i++) {
		const struct member *says = all[i - 1], *has = all[i], *old;
		cleanup(buf_done) struct buf text = buf_of_max(512);

		if (prefix_compare(&says->address, &has->address) != 0 || has->column.address)
			continue;
		old = find_old(s, has->name);
		if (!says->column.address) {
			buf_printf(&text, "%s: it has the address of %s, says %s:%u: remove that line, and its key is to be accepted anew",
				has->name, says->name, s->lock_name, old ? old->place.line : 0);
			complain(s, has->place, buf_str(&text));
			continue;
		}
		buf_printf(&text, "%s: this address is %s's, as %s:%u has it: take another, or say one for %s", says->name,
			has->name, s->lock_name, old ? old->place.line : 0, has->name);
		complain(s, (struct place){says->place.line, says->column.address}, buf_str(&text));
	}
	return 0;
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

static bool is_there(const struct prefix *p, const struct prefix *sorted, size_t n)
{
	return p->family && bsearch(p, sorted, n, sizeof(*p), by_prefix);
}

/* Of those who are no longer there, what nobody has taken over by saying so, or by coming back. */
static int keep_gone(struct settling *s)
{
	struct office *o = s->o;
	size_t living = o->n_members, n = 0;
	cleanup(free_ptr) struct prefix *have = calloc(2 * living + 1, sizeof(*have));

	if (!s->lock)
		return 0;
	if (!have)
		return -ENOMEM;
	for (size_t i = 0; i < living; i++) {
		if (o->members[i].address.family)
			have[n++] = o->members[i].address;
		if (o->members[i].alias.family)
			have[n++] = o->members[i].alias;
	}
	qsort(have, n, sizeof(*have), by_prefix);
	for (size_t i = 0; i < s->lock->n_members; i++) {
		struct member *m = &o->members[o->n_members];

		if (s->used[i] || !has_address(s->lock->members[i].kind))
			continue;
		*m = s->lock->members[i];
		if (is_there(&m->address, have, n))
			m->address = (struct prefix){0};
		if (is_there(&m->alias, have, n))
			m->alias = (struct prefix){0};
		if (!m->address.family && !m->alias.family)
			continue;
		m->gone = true;
		m->has_next_key = m->phone = false;
		m->psk = NULL;
		m->given = 0;
		m->engine = ENGINE_GINNEL;
		m->mtu = m->learnt_mtu = 0;
		m->lan_address = m->gateway = (struct prefix){0};
		m->device[0] = '\0';
		m->mode = m->learnt_mode = RETURN_AUTO;
		memset(m->ports, 0, sizeof(m->ports));
		m->place = (struct place){0};
		m->column = (struct columns){0};
		o->n_members++;
	}
	return 0;
}

/* ---- what is given out now ---- */

static void none_left(struct settling *s, const struct member *m, const char *what, const struct prefix *of)
{
	cleanup(buf_done) struct buf text = buf_of_max(512);

	buf_printf(&text, "no %s is left in ", what);
	text_put_prefix(of, &text);
	buf_printf(&text, " for %s", m->name);
	complain(s, m->place, buf_str(&text));
}

static int give_addresses(struct settling *s)
{
	cleanup(space_done) struct space space = {.n = 0};
	struct office *o = s->o;
	int r = 0;

	space_init(&space, &o->net, 1);
	for (size_t i = 0; i < o->n_members && !r; i++)
		if (o->members[i].address.family)
			r = space_take(&space, &o->members[i].address);
	space_sort(&space);
	for (struct member *m = o->members; m < o->members + o->n_members && r != -ENOMEM; m++) {
		if (m->gone || !has_address(m->kind) || m->address.family)
			continue;
		r = space_give(&space, 32, &m->address);
		if (r == -ENOSPC)
			none_left(s, m, "address", &o->net);
	}
	return r == -ENOMEM ? r : 0;
}

/* The first block is left free, as .0 is among addresses, unless a LAN needs all there is. */
static int give_alias(struct space *space, const struct prefix *aliases, unsigned bits, struct prefix *ret)
{
	if (bits < aliases->bits)
		return -ENOSPC;
	if (bits > aliases->bits)
		space->next[bits] = max(space->next[bits], (uint64_t)ipv4_first(aliases) + (1ull << (32 - bits)));
	return space_give(space, bits, ret);
}

static int give_aliases(struct settling *s)
{
	cleanup(space_done) struct space space = {.n = 0};
	struct office *o = s->o;
	int r = 0;

	if (!o->aliases.family)
		return 0;
	space_init(&space, &o->aliases, 0);
	for (size_t i = 0; i < o->n_members && !r; i++)
		if (o->members[i].alias.family)
			r = space_take(&space, &o->members[i].alias);
	space_sort(&space);
	for (struct member *m = o->members; m < o->members + o->n_members && r != -ENOMEM; m++) {
		if (m->gone || m->kind != MEMBER_NODE || m->alias.family)
			continue;
		r = give_alias(&space, &o->aliases, m->lan.bits, &m->alias);
		if (r == -ENOSPC)
			none_left(s, m, "block for the alias", &o->aliases);
	}
	return r == -ENOMEM ? r : 0;
}

/* ---- together ---- */

static int by_id(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int prepare(struct settling *s)
{
	size_t n = s->lock ? s->lock->n_members : 0;

	s->o = calloc(1, sizeof(*s->o));
	if (!s->o)
		return -ENOMEM;
	s->old = calloc(n + 1, sizeof(struct member *));
	s->used = calloc(n + 1, sizeof(*s->used));
	s->o->members = calloc(s->file->n_members + n + 1, sizeof(*s->o->members));
	if (!s->old || !s->used || !s->o->members)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		s->old[s->n_old++] = &s->lock->members[i];
	qsort(s->old, s->n_old, sizeof(struct member *), by_name_newest_first);
	return 0;
}

static void settling_done(struct settling *s)
{
	free(s->old);
	free(s->used);
	office_free(s->o);
}

int settle(const struct office *file, const char *name, const struct office *lock, const char *lock_name,
	struct office **ret, struct buf *errors)
{
	cleanup(settling_done) struct settling s = {.file = file, .name = name, .lock = lock, .lock_name = lock_name,
		.errors = errors};
	int r = prepare(&s);

	if (r < 0)
		return r;
	settle_prefixes(&s);
	settle_members(&s);
	r = find_taken(&s);
	if (!r)
		r = keep_gone(&s);
	if (!r)
		r = give_addresses(&s);
	if (!r)
		r = give_aliases(&s);
	if (!r && s.bad)
		r = -EINVAL;
	if (r < 0)
		return r;
	qsort(s.o->members, s.o->n_members, sizeof(*s.o->members), by_id);
	r = office_index(s.o);
	if (r < 0)
		return r;
	*ret = steal(s.o);
	return 0;
}

static void strip(struct member *m)
{
	m->has_key = m->has_next_key = false;
	m->engine = ENGINE_GINNEL;
	m->mtu = m->learnt_mtu = 0;
	m->lan_address = m->gateway = (struct prefix){0};
	m->device[0] = '\0';
	m->mode = m->learnt_mode = RETURN_AUTO;
}

int settle_part(const struct office *o, const struct member *m, struct office **ret)
{
	cleanup(office_freep) struct office *part = calloc(1, sizeof(*part));
	int r;

	if (!part)
		return -ENOMEM;
	part->net = o->net;
	part->aliases = o->aliases;
	part->port = o->port;
	part->mtu = o->mtu;
	memcpy(part->self, m->name, sizeof(part->self));
	part->members = calloc(o->n_members + 1, sizeof(*part->members));
	if (!part->members)
		return -ENOMEM;
	for (const struct member *other = o->members; other < o->members + o->n_members; other++) {
		struct member *to;
		bool met = m->kind == MEMBER_HUB || other->kind == MEMBER_HUB || other == m;

		if (other->gone || other->kind == MEMBER_HOST || (!met && other->kind != MEMBER_NODE))
			continue;
		to = &part->members[part->n_members++];
		*to = *other;
		to->psk = NULL;
		if (!met)
			strip(to);
		else if (other->psk && member_set_psk(to, other->psk) < 0)
			return -ENOMEM;
	}
	r = office_index(part);
	if (r < 0)
		return r;
	*ret = steal(part);
	return 0;
}
