/*
 * bench/office.c - what an office of 1,000 people, 100 LANs and 2,000 hosts costs, in milliseconds.
 *
 *	.build/bench/bench/office
 *
 * Each figure is the best of several rounds, so that other work on the machine disturbs it least.
 */
#include "office/check.h"
#include "office/plan.h"
#include "office/settle.h"

#include <stdio.h>
#include <time.h>

#define ROUNDS 25
#define LANS 100
#define PEOPLE 1000
#define HOSTS 2000

struct office_parts {
	struct buf	 text, lock_text, said;
	struct office	*file, *settled, *lock;
	size_t		 n_plans, n_prefixes;
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void make_text(struct buf *ret)
{
	buf_puts(ret, "z hub z.example.com\n");
	for (unsigned i = 0; i < LANS; i++)
		buf_printf(ret, "lan%u node 192.168.%u.0/24 gw .1\n", i, 100 + i);
	for (unsigned i = 0; i < HOSTS; i++)
		buf_printf(ret, "host%u host lan%u .%u\n", i, i % LANS, 10 + i / LANS);
	for (unsigned i = 0; i < PEOPLE; i++)
		buf_printf(ret, "person%u person\n", i);
}

static bool read_file(struct office_parts *p)
{
	office_free(p->file);
	p->file = NULL;
	return office_read(DIALECT_FILE, "x", buf_str(&p->text), p->text.len, &p->file, &p->said) == 0;
}

static bool settle_file(struct office_parts *p)
{
	office_free(p->settled);
	p->settled = NULL;
	return settle(p->file, "x", p->lock, "x.lock", &p->settled, &p->said) == 0;
}

static bool check_all(struct office_parts *p)
{
	buf_clear(&p->said);
	return check(p->settled, "x", &p->said, &p->said);
}

static bool plan_all(struct office_parts *p)
{
	p->n_plans = p->n_prefixes = 0;
	for (size_t i = 0; i < p->settled->n_members; i++) {
		cleanup(plan_freep) struct plan *plan = NULL;

		if (p->settled->members[i].kind == MEMBER_HOST)
			continue;
		if (plan_make(p->settled, &p->settled->members[i], &plan) < 0)
			return false;
		p->n_plans++;
		for (size_t j = 0; j < plan->n_peers; j++)
			p->n_prefixes += plan->peers[j].n_allowed;
	}
	return true;
}

static bool write_lock(struct office_parts *p)
{
	buf_clear(&p->lock_text);
	return office_write(p->settled, DIALECT_LOCK, &p->lock_text) == 0;
}

static bool read_lock(struct office_parts *p)
{
	office_free(p->lock);
	p->lock = NULL;
	return office_read(DIALECT_LOCK, "x", buf_str(&p->lock_text), p->lock_text.len, &p->lock, &p->said) == 0;
}

static const struct {
	const char *name;
	bool (*run)(struct office_parts *p);
} steps[] = {{"read the file", read_file}, {"read the lock", read_lock}, {"settle", settle_file}, {"check", check_all},
	{"plan all members", plan_all}, {"write the lock", write_lock}};

int main(void)
{
	struct office_parts p = {.text = buf_of_max(OFFICE_TEXT_MAX), .lock_text = buf_of_max(OFFICE_TEXT_MAX),
		.said = buf_of_max(OFFICE_TEXT_MAX)};
	double best[array_size(steps)], all = 1e18;

	make_text(&p.text);
	if (!read_file(&p) || !settle_file(&p) || !write_lock(&p))
		return 1;
	for (int round = 0; round < ROUNDS; round++) {
		double begun = now_ms(), start = begun;

		for (size_t i = 0; i < array_size(steps); i++) {
			double end;

			if (!steps[i].run(&p)) {
				fprintf(stderr, "%s: %s\n", steps[i].name, buf_str(&p.said));
				return 1;
			}
			end = now_ms();
			best[i] = round ? min(best[i], end - start) : end - start;
			start = end;
		}
		all = min(all, start - begun);
	}
	printf("%d LANs, %d people, %d hosts: %zu plans with %zu prefixes\n", LANS, PEOPLE, HOSTS, p.n_plans, p.n_prefixes);
	for (size_t i = 0; i < array_size(steps); i++)
		printf("%-18s %8.2f ms\n", steps[i].name, best[i]);
	printf("%-18s %8.2f ms\n", "together", all);
	return 0;
}
