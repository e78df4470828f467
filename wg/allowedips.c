#include "wg/allowedips.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

/*
 * A node is a prefix.  Its children are longer prefixes of it that differ in the bit behind it;
 * those of an IPv4 trie and those of an IPv6 trie never meet.  A node without an owner has two
 * children: it is where they part.
 *
 * Locks: [I] set before it is published  [a] atomic, read by anybody  the rest: the writer's.
 * What was taken out keeps its children for readers that still stand on it; the writer's members
 * then serve the reclaimer.
 */
struct allowedips_node {
	struct allowedips_node	*_Atomic child[2];	/* [a] */
	struct allowedips_owner	*_Atomic owner;		/* [a] NULL: nobody's */
	uint8_t			 cidr;			/* [I] */
	uint8_t			 is6;			/* [I] then it is a struct node6 */
	uint16_t		 place;			/* [I] the slab's */
	uint32_t		 bits4;			/* [I] IPv4: the prefix, host order */
	union {
		struct {
			TAILQ_ENTRY(allowedips_node) entry;	/* of the owner's list */
			struct allowedips_node *parent;		/* NULL: the trie's root */
		};
		struct reclaim_item item;
	};
};

struct node6 {
	struct allowedips_node	n;
	uint64_t		bits[2];	/* [I] the prefix, host order */
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct allowedips_node) == 56, "an IPv4 node");
_Static_assert(sizeof(void *) != 8 || sizeof(struct node6) == 72, "an IPv6 node");

/* An address or prefix of either family, its first bit on top. */
struct key {
	uint64_t hi, lo;
};

static uint64_t get_be64(const uint8_t *p)
{
	return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

static struct key key_of(bool is6, const uint8_t *addr)
{
	if (is6)
		return (struct key){get_be64(addr), get_be64(addr + 8)};
	return (struct key){(uint64_t)get_be32(addr) << 32, 0};
}

static struct key key_mask(struct key k, unsigned cidr)
{
	if (cidr <= 64)
		return (struct key){cidr ? k.hi >> (64 - cidr) << (64 - cidr) : 0, 0};
	return (struct key){k.hi, k.lo >> (128 - cidr) << (128 - cidr)};
}

/* Bit ${i}, 0 on top. */
static inline unsigned key_bit(struct key k, unsigned i)
{
	return (unsigned)((i < 64 ? k.hi >> (63 - i) : k.lo >> (127 - i)) & 1);
}

/* How many bits are equal from the top. */
static inline unsigned key_common(struct key a, struct key b)
{
	if (a.hi != b.hi)
		return (unsigned)__builtin_clzll(a.hi ^ b.hi);
	return a.lo != b.lo ? 64 + (unsigned)__builtin_clzll(a.lo ^ b.lo) : 128;
}

static inline struct key node_key(const struct allowedips_node *n)
{
	const struct node6 *n6 = (const void *)n;

	return n->is6 ? (struct key){n6->bits[0], n6->bits[1]} :
			(struct key){(uint64_t)n->bits4 << 32, 0};
}

static inline struct allowedips_node *load(struct allowedips_node *const _Atomic *slot)
{
	return atomic_load_explicit(slot, memory_order_acquire);
}

/* What hangs in the trie was complete before: release. */
static void publish(struct allowedips_node *_Atomic *slot, struct allowedips_node *n)
{
	atomic_store_explicit(slot, n, memory_order_release);
}

/* ---- readers ---- */

struct allowedips_owner *allowedips_lookup4(const struct allowedips *t, const uint8_t addr[4])
{
	struct allowedips_owner *best = NULL, *owner;
	struct allowedips_node *n = load(&t->root4);
	uint32_t a = get_be32(addr);

	while (n && !((uint64_t)(a ^ n->bits4) >> (32 - n->cidr))) {
		owner = atomic_load_explicit(&n->owner, memory_order_acquire);
		if (owner)
			best = owner;
		if (n->cidr == 32)
			break;
		n = load(&n->child[a >> (31 - n->cidr) & 1]);
	}
	return best;
}

struct allowedips_owner *allowedips_lookup6(const struct allowedips *t, const uint8_t addr[16])
{
	struct allowedips_owner *best = NULL, *owner;
	struct allowedips_node *n = load(&t->root6);
	struct key k = key_of(true, addr);

	while (n && key_common(k, node_key(n)) >= n->cidr) {
		owner = atomic_load_explicit(&n->owner, memory_order_acquire);
		if (owner)
			best = owner;
		if (n->cidr == 128)
			break;
		n = load(&n->child[key_bit(k, n->cidr)]);
	}
	return best;
}

/* ---- the writer ---- */

void allowedips_init(struct allowedips *t, struct reclaim *reclaim)
{
	atomic_init(&t->root4, NULL);
	atomic_init(&t->root6, NULL);
	t->last = NULL;
	slab_init(&t->nodes4, sizeof(struct allowedips_node));
	slab_init(&t->nodes6, sizeof(struct node6));
	t->reclaim = reclaim;
}

void allowedips_done(struct allowedips *t)
{
	assert(!load(&t->root4) && !load(&t->root6));
}

void allowedips_owner_init(struct allowedips_owner *o)
{
	TAILQ_INIT(&o->prefixes);
}

static struct allowedips_owner *owner_of(const struct allowedips_node *n)
{
	return atomic_load_explicit(&n->owner, memory_order_relaxed);
}

static void set_owner(struct allowedips_node *n, struct allowedips_owner *owner)
{
	if (owner_of(n))
		TAILQ_REMOVE(&owner_of(n)->prefixes, n, entry);
	if (owner)
		TAILQ_INSERT_TAIL(&owner->prefixes, n, entry);
	atomic_store_explicit(&n->owner, owner, memory_order_release);
}

/* Where the node for ${k} hangs when ${parent} is the longest prefix of it. */
static struct allowedips_node *_Atomic *slot_of(
	struct allowedips *t, bool is6, struct allowedips_node *parent, struct key k)
{
	if (parent)
		return &parent->child[key_bit(k, parent->cidr)];
	return is6 ? &t->root6 : &t->root4;
}

static struct allowedips_node *node_new(struct allowedips *t, bool is6, struct key k, unsigned cidr)
{
	uint16_t place;
	struct allowedips_node *n = slab_alloc(is6 ? &t->nodes6 : &t->nodes4, &place);

	if (!n)
		return NULL;
	k = key_mask(k, cidr);
	*n = (struct allowedips_node){.cidr = (uint8_t)cidr, .is6 = is6, .place = place};
	if (is6)
		memcpy(((struct node6 *)(void *)n)->bits, (uint64_t[]){k.hi, k.lo}, sizeof(uint64_t[2]));
	else
		n->bits4 = (uint32_t)(k.hi >> 32);
	return n;
}

/* Hang ${child} below ${n}, which nobody sees yet. */
static void adopt(struct allowedips_node *n, struct allowedips_node *child)
{
	atomic_store_explicit(
		&n->child[key_bit(node_key(child), n->cidr)], child, memory_order_relaxed);
	child->parent = n;
}

static inline bool is_shorter(const struct allowedips_node *n, struct key k, unsigned cidr)
{
	return n->cidr < cidr && key_common(k, node_key(n)) >= n->cidr;
}

/*
 * A strictly shorter prefix, or NULL: not from the root but from where the last one was inserted,
 * for lists are mostly in order.
 */
static struct allowedips_node *near_last(const struct allowedips *t, bool is6, struct key k, unsigned cidr)
{
	struct allowedips_node *n = t->last;

	if (!n || n->is6 != is6)
		return NULL;
	while (n && !is_shorter(n, k, cidr))
		n = n->parent;
	return n;
}

/*
 * The node of exactly this prefix, or NULL; in any case the longest strictly shorter one (NULL:
 * none) in ${ret_parent} and what hangs where the prefix belongs (NULL: nothing) in ${ret_there}.
 */
static struct allowedips_node *find(struct allowedips *t, bool is6, struct key k, unsigned cidr,
	struct allowedips_node **ret_parent, struct allowedips_node **ret_there)
{
	struct allowedips_node *parent = near_last(t, is6, k, cidr), *n;

	while ((n = load(slot_of(t, is6, parent, k))) && is_shorter(n, k, cidr))
		parent = n;
	*ret_parent = parent;
	*ret_there = n;
	return n && n->cidr == cidr && key_common(k, node_key(n)) >= cidr ? n : NULL;
}

static bool family_check(int family, unsigned cidr)
{
	return (family == AF_INET && cidr <= 32) || (family == AF_INET6 && cidr <= 128);
}

int allowedips_insert(struct allowedips *t, int family, const void *addr, unsigned cidr,
	struct allowedips_owner *owner)
{
	bool is6 = family == AF_INET6;
	struct allowedips_node *parent, *there, *n, *fork;
	struct key k;
	unsigned common;

	if (!family_check(family, cidr))
		return -EINVAL;
	k = key_of(is6, addr);
	n = find(t, is6, k, cidr, &parent, &there);
	if (n) {
		if (owner_of(n) != owner)
			set_owner(n, owner);
		return 0;
	}
	n = fork = node_new(t, is6, k, cidr);
	if (!n)
		return -ENOMEM;
	if (there) {
		common = min(key_common(k, node_key(there)), cidr);
		if (common < cidr) {
			fork = node_new(t, is6, k, common);
			if (!fork) {
				slab_free(n, n->place);
				return -ENOMEM;
			}
			adopt(fork, n);
		}
		adopt(fork, there);
	}
	fork->parent = parent;
	set_owner(n, owner);
	publish(slot_of(t, is6, parent, k), fork);
	t->last = n;
	return 0;
}

static void node_free(struct reclaim_item *item)
{
	struct allowedips_node *n = container_of(item, struct allowedips_node, item);

	slab_free(n, n->place);
}

/* Put the only child of ${n} (or nothing) in its place.  Returns its parent. */
static struct allowedips_node *splice(struct allowedips *t, struct allowedips_node *n)
{
	struct allowedips_node *parent = n->parent, *child = load(&n->child[0]);

	if (!child)
		child = load(&n->child[1]);
	if (child)
		child->parent = parent;
	publish(slot_of(t, n->is6, parent, node_key(n)), child);
	if (t->last == n)
		t->last = NULL;
	reclaim_later(t->reclaim, &n->item, node_free);
	return parent;
}

static bool serves_nobody(const struct allowedips_node *n)
{
	return !owner_of(n) && (!load(&n->child[0]) || !load(&n->child[1]));
}

static void remove_node(struct allowedips *t, struct allowedips_node *n)
{
	set_owner(n, NULL);
	while (n && serves_nobody(n))
		n = splice(t, n);
}

void allowedips_remove(struct allowedips *t, int family, const void *addr, unsigned cidr,
	struct allowedips_owner *owner)
{
	bool is6 = family == AF_INET6;
	struct allowedips_node *parent, *there, *n;

	if (!family_check(family, cidr))
		return;
	n = find(t, is6, key_of(is6, addr), cidr, &parent, &there);
	if (n && owner_of(n) == owner)
		remove_node(t, n);
}

void allowedips_remove_owner(struct allowedips *t, struct allowedips_owner *owner)
{
	struct allowedips_node *n;

	while ((n = TAILQ_FIRST(&owner->prefixes)))
		remove_node(t, n);
}

struct allowedips_node *allowedips_next(const struct allowedips_owner *owner,
	struct allowedips_node *node, int *ret_family, uint8_t ret_addr[16], unsigned *ret_cidr)
{
	struct allowedips_node *n = node ? TAILQ_NEXT(node, entry) : TAILQ_FIRST(&owner->prefixes);
	struct key k;

	if (!n)
		return NULL;
	k = node_key(n);
	if (ret_family)
		*ret_family = n->is6 ? AF_INET6 : AF_INET;
	if (ret_addr) { /* IPv4 fills the first 4 */
		put_be64(ret_addr, k.hi);
		put_be64(ret_addr + 8, k.lo);
	}
	if (ret_cidr)
		*ret_cidr = n->cidr;
	return n;
}

/* In preorder; ${n}'s next is its child, or that of the first ancestor with one to the right. */
static size_t count(struct allowedips_node *n)
{
	size_t total = 0;

	while (n) {
		struct allowedips_node *next = load(&n->child[0]);

		total++;
		if (!next)
			next = load(&n->child[1]);
		while (!next && n->parent) {
			struct allowedips_node *right = load(&n->parent->child[1]);

			if (right != n)
				next = right;
			n = n->parent;
		}
		n = next;
	}
	return total;
}

size_t allowedips_n_nodes(const struct allowedips *t)
{
	return count(load(&t->root4)) + count(load(&t->root6));
}
