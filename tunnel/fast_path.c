#include "tunnel/fast_path.h"

#include "base/clock.h"

#include <pthread.h>

FLAGS_DEFINE_ALIASES(fast_path, FAST_PATH_LIST, FAST_PATH_ALIASES);
ENUM_DEFINE(fast_path_why, FAST_PATH_WHY_LIST);
_Static_assert(FAST_PATH_ALL == (1 << FAST_PATH_COUNT) - 1, "one entry for each bit");

/* By bit; [lock]. */
static struct fast_path_piece known[FAST_PATH_COUNT];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void fast_path_fell_back(unsigned pieces, enum fast_path_why why, int error)
{
	uint64_t now = clock_ns(CLOCK_REALTIME);

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < FAST_PATH_COUNT; i++) {
		struct fast_path_piece *p = &known[i];

		if (!(pieces & 1u << i) || why < p->why)
			continue;
		if (why != p->why)
			*p = (struct fast_path_piece){.why = why, .since_real_ns = now};
		p->error = error;
		p->last_real_ns = now;
		p->times++;
	}
	pthread_mutex_unlock(&lock);
}

void fast_path_tried_again(unsigned pieces)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < FAST_PATH_COUNT; i++)
		if (pieces & 1u << i && known[i].why != FAST_PATH_EXCLUDED)
			known[i] = (struct fast_path_piece){.why = FAST_PATH_WORKS};
	pthread_mutex_unlock(&lock);
}

void fast_path_state(struct fast_path_piece ret[FAST_PATH_COUNT])
{
	pthread_mutex_lock(&lock);
	memcpy(ret, known, sizeof(known));
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; i < FAST_PATH_COUNT; i++)
		ret[i].piece = 1u << i;
}
