/* The ring: records in order from several writers to one reader, and either end hostile. */
#include "base/test.h"
#include "ctl/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define THREADS 4
#define EACH 30000u
#define HEADER 4096 /* in front of the records: the reader's tail at 0, lost at 64, sleeps at 128 */

static struct ring_reader *reader;
static struct ring_writer writer;

static void start(size_t size)
{
	CHECK_EQ(ring_reader_new(size, &reader), 0);
	CHECK_EQ(ring_writer_open(&writer, reader->fd), 0);
}

/* With one mapping for both: a thread sanitizer knows atomics by their address. */
static void start_threads(void)
{
	start(RING_SIZE_MIN);
	ring_writer_close(&writer);
	writer = (struct ring_writer){.shared = reader->shared, .data = reader->data, .size = reader->size};
}

static void stop(void)
{
	if (writer.shared != reader->shared)
		ring_writer_close(&writer);
	ring_reader_free(steal(reader));
}

static bool put(uint32_t number, size_t len, size_t spare)
{
	uint8_t *p = ring_reserve(&writer, len, spare);

	if (!p)
		return false;
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(number + i);
	if (len >= 4)
		memcpy(p, &number, 4);
	ring_publish(&writer, p);
	return true;
}

static void expect(uint32_t number, size_t len)
{
	const uint8_t *p;
	const void *record = NULL;
	size_t got = 0;

	CHECK_EQ(ring_next(reader, &record, &got), 1);
	p = record;
	CHECK(got >= len && got < len + 16);
	CHECK_EQ((uintptr_t)p % 16, 0);
	CHECK(!memcmp(p, &number, 4));
	for (size_t i = 4; i < len; i++)
		if (p[i] != (uint8_t)(number + i))
			test_fail(__FILE__, __LINE__, "byte %zu of record %u", i, number);
	ring_release(reader);
}

static void nothing(void)
{
	const void *p;
	size_t len;

	CHECK_EQ(ring_next(reader, &p, &len), 0);
}

static void in_order_round_the_end(void)
{
	uint64_t seed = 1;
	uint32_t in = 0, out = 0;
	size_t lens[512];

	start(RING_SIZE_MIN);
	nothing();
	while (out < 20000) {
		size_t len = 4 + test_random(&seed) % 3000;

		if (in - out < array_size(lens) && test_random(&seed) % 3) {
			lens[in % array_size(lens)] = len;
			in += put(in, len, 0);
		} else if (in != out) {
			expect(out, lens[out % array_size(lens)]);
			out++;
		}
	}
	stop();
}

static void full_is_counted(void)
{
	uint32_t n = 0, more = 0;

	start(RING_SIZE_MIN);
	while (put(n, 1000, 1 << 15))
		n++;
	/* 1016 in 16 each */
	CHECK_EQ(n, (RING_SIZE_MIN - (1 << 15)) / 1024);
	CHECK_EQ(ring_lost(reader), 1);
	/* What may use the spare room still finds some. */
	while (put(n + more, 1000, 0))
		more++;
	CHECK_EQ(n + more, RING_SIZE_MIN / 1024);
	CHECK_EQ(ring_lost(reader), 2);
	CHECK_EQ(ring_writer_lost(&writer), 2);
	CHECK(!ring_reserve(&writer, RING_RECORD_MAX + 1, 0));
	CHECK(!ring_reserve(&writer, SIZE_MAX, 0));
	CHECK_EQ(ring_lost(reader), 4);
	for (uint32_t i = 0; i < n + more; i++)
		expect(i, 1000);
	nothing();
	CHECK(put(7, 1000, 0));
	expect(7, 1000);
	stop();
}

static void begun_holds_back(void)
{
	void *first, *second;

	start(RING_SIZE_MIN);
	first = ring_reserve(&writer, 8, 0);
	second = ring_reserve(&writer, 8, 0);
	CHECK(first && second);
	memcpy(first, &(uint32_t){1}, 4);
	memcpy(second, &(uint32_t){2}, 4);
	ring_publish(&writer, second);
	nothing();
	ring_publish(&writer, first);
	expect(1, 4);
	expect(2, 4);
	stop();
}

static void wiped(void)
{
	static const uint8_t secret[] = "the secret of the record";
	void *p;

	start(RING_SIZE_MIN);
	p = ring_reserve(&writer, sizeof(secret), 0);
	CHECK(p);
	memcpy(p, secret, sizeof(secret));
	ring_publish(&writer, p);
	CHECK(memmem(writer.data, writer.size, secret, sizeof(secret)));
	{
		const void *record;
		size_t len;

		CHECK_EQ(ring_next(reader, &record, &len), 1);
		ring_release(reader);
	}
	CHECK(!memmem(writer.data, writer.size, secret, sizeof(secret)));
	stop();
}

/* ---- threads ---- */

struct thread {
	pthread_t	thread;
	uint32_t	number;
	int		wake;
	bool		patient;	/* what finds no room is tried again */
	uint32_t	lost;
};

static void *write_many(void *arg)
{
	struct thread *t = arg;

	for (uint32_t i = 0; i < EACH; i++) {
		size_t len = 9 + (i * 37 + t->number) % 200;
		uint32_t *p;

		while (!(p = ring_reserve(&writer, len, 0)) && t->patient)
			sched_yield();
		if (!p) {
			t->lost++;
			continue;
		}
		p[0] = t->number;
		p[1] = i;
		memset(p + 2, (int)i, len - 8);
		if (ring_publish(&writer, p) && write(t->wake, &(uint64_t){1}, 8) != 8)
			abort();
	}
	return NULL;
}

/* Reads until all is there or counted as lost; sleeps where there is nothing. */
static void race(bool patient, unsigned pause)
{
	int wake = eventfd(0, 0);
	struct thread t[THREADS];
	uint32_t next[THREADS] = {0};
	uint64_t read_n = 0, slept = 0, lost = 0;
	bool sound = true;

	start_threads();
	for (uint32_t i = 0; i < THREADS; i++) {
		t[i] = (struct thread){.number = i, .wake = wake, .patient = patient};
		if (pthread_create(&t[i].thread, NULL, write_many, &t[i]))
			abort();
	}
	while (patient ? read_n < THREADS * EACH : read_n + ring_lost(reader) < THREADS * EACH) {
		const uint32_t *p;
		const void *record;
		size_t len;
		int r = ring_next(reader, &record, &len);

		if (r < 0) {
			sound = false;
			break;
		}
		if (!r) {
			struct pollfd f = {.fd = wake, .events = POLLIN};
			uint64_t n;

			/* What is lost last wakes nobody. */
			if (!patient && read_n + ring_lost(reader) >= THREADS * EACH)
				break;
			if (!ring_sleep(reader))
				continue;
			slept++;
			if (poll(&f, 1, patient ? 60000 : 10) == 0 && patient) {
				sound = false;
				test_note("a wake-up was lost");
				break;
			}
			if ((f.revents & POLLIN) && read(wake, &n, 8) != 8)
				abort();
			continue;
		}
		p = record;
		if (p[0] >= THREADS || (patient ? p[1] != next[p[0]] : p[1] < next[p[0]]) ||
			((const uint8_t *)p)[8] != (uint8_t)p[1]) {
			sound = false;
			break;
		}
		next[p[0]] = p[1] + 1;
		ring_release(reader);
		read_n++;
		for (volatile unsigned i = 0; i < pause; i++)
			continue;
	}
	if (!sound)
		for (uint32_t i = 0; i < THREADS; i++)
			t[i].patient = false; /* let them end */
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(t[i].thread, NULL);
		lost += t[i].lost;
	}
	CHECK(sound);
	if (!patient) {
		CHECK_EQ(ring_lost(reader), lost);
		CHECK_EQ(read_n, THREADS * EACH - lost);
	} else {
		CHECK_EQ(read_n, THREADS * EACH);
	}
	test_note("read %llu, lost %llu, slept %llu", (unsigned long long)read_n,
		(unsigned long long)lost, (unsigned long long)slept);
	stop();
	close(wake);
}

static void quick_reader(void)
{
	race(true, 0);
}

static void slow_reader(void)
{
	race(false, 500);
}

/* Room that is there is found, whatever other writers and the reader do meanwhile. */
static void *take_turns(void *arg)
{
	uint32_t *lost = arg;

	for (uint32_t i = 0; i < EACH; i++) {
		void *p = ring_reserve(&writer, 16, 0);

		if (!p) {
			++*lost;
			continue;
		}
		ring_publish(&writer, p);
		/* As many as THREADS records are in it at any time, in a ring for thousands. */
		while (atomic_load((_Atomic uint64_t *)reader->shared) + 32 * 64 < atomic_load(&writer.head))
			sched_yield();
	}
	return NULL;
}

static void no_loss_with_room(void)
{
	pthread_t threads[THREADS];
	uint32_t lost[THREADS] = {0};
	uint64_t n = 0;

	start_threads();
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, take_turns, &lost[i]))
			abort();
	while (n + ring_lost(reader) < THREADS * EACH) {
		const void *p;
		size_t len;

		if (ring_next(reader, &p, &len) != 1) {
			sched_yield();
			continue;
		}
		ring_release(reader);
		n++;
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(ring_lost(reader), 0);
	stop();
}

/* ---- hostile ends ---- */

static void hostile_reader(void)
{
	static const uint64_t tails[] = {1, 7, 16, RING_SIZE_MIN, RING_SIZE_MIN + 16, UINT64_MAX, UINT64_MAX - 15, 1ULL << 63, 0};
	uint64_t seed = 3;
	uint8_t *before;

	start(RING_SIZE_MIN);
	/* The writer's map ends with the ring: a step too far is a fault. */
	before = writer.data;
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t tail = i % 2 ? tails[test_random(&seed) % array_size(tails)] : test_random(&seed);
		size_t len = test_random(&seed) % 5000;
		uint8_t *p;

		atomic_store((_Atomic uint64_t *)reader->shared, i % 3 ? tail : atomic_load(&writer.head) - tail % RING_SIZE_MIN);
		/* It may also write over whatever is there. */
		memset(reader->data + test_random(&seed) % (RING_SIZE_MIN - 64), (int)i, 64);
		p = ring_reserve(&writer, len, 0);
		if (!p)
			continue;
		CHECK(p >= before + 16 && p + len <= before + writer.size);
		memset(p, 0xa5, len);
		ring_publish(&writer, p);
	}
	stop();
}

static void hostile_writer(void)
{
	static const uint32_t states[] = {0, 1, 2, 3, 0xffffffff};
	uint64_t seed = 5;
	unsigned refused = 0, read_n = 0;

	for (unsigned i = 0; i < 20000; i++) {
		const void *p;
		size_t len;
		uint32_t *head;

		if (i % 50 == 0) {
			if (i)
				stop();
			start(RING_SIZE_MIN);
		}
		head = (void *)(reader->data + (reader->tail & (RING_SIZE_MIN - 1)));
		head[0] = states[test_random(&seed) % array_size(states)];
		head[1] = (uint32_t)(test_random(&seed) >> (test_random(&seed) % 32 + 32)) & ~(i % 2 ? 15u : 0);
		switch (ring_next(reader, &p, &len)) {
		case 1:
			CHECK((const uint8_t *)p >= reader->data + 16 &&
				(const uint8_t *)p + len <= reader->data + RING_SIZE_MIN);
			ring_release(reader);
			read_n++;
			break;
		case -EBADMSG:
			refused++;
			break;
		default:
			break;
		}
		CHECK(ring_sleep(reader) || true);
	}
	test_note("refused %u, read %u", refused, read_n);
	CHECK(refused > 100 && read_n > 100);
	stop();
}

static int memory(size_t size, int seals)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0)
		abort();
	return fd;
}

static void refuses_other_memory(void)
{
	const int good = F_SEAL_SHRINK | F_SEAL_GROW;
	static const size_t sizes[] = {0, HEADER, HEADER + 1, RING_SIZE_MIN, HEADER + RING_SIZE_MIN - 1,
		HEADER + RING_SIZE_MIN + 1, HEADER + RING_SIZE_MIN / 2, HEADER + 3 * RING_SIZE_MIN,
		HEADER + 2 * (size_t)RING_SIZE_MAX};
	int ends[2], fd;

	for (unsigned i = 0; i < array_size(sizes); i++) {
		fd = memory(sizes[i], good);
		CHECK_EQ(ring_writer_open(&writer, fd), -EINVAL);
		close(fd);
	}
	fd = memory(HEADER + RING_SIZE_MIN, F_SEAL_GROW);
	CHECK_EQ(ring_writer_open(&writer, fd), -EPERM);
	close(fd);
	fd = memory(HEADER + RING_SIZE_MIN, good | F_SEAL_WRITE);
	CHECK(ring_writer_open(&writer, fd) < 0);
	close(fd);
	fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	CHECK(fd >= 0 && ftruncate(fd, HEADER + RING_SIZE_MIN) == 0);
	CHECK_EQ(ring_writer_open(&writer, fd), -EPERM);
	close(fd);
	CHECK_EQ(pipe(ends), 0);
	CHECK_EQ(ring_writer_open(&writer, ends[0]), -EINVAL);
	close(ends[0]);
	close(ends[1]);
	CHECK(ring_writer_open(&writer, -1) < 0);
	CHECK_EQ(ring_reader_new(RING_SIZE_MIN - 1, &reader), -EINVAL);
	CHECK_EQ(ring_reader_new(RING_SIZE_MIN / 2, &reader), -EINVAL);
	CHECK_EQ(ring_reader_new(2 * (size_t)RING_SIZE_MAX, &reader), -EINVAL);
	fd = memory(HEADER + RING_SIZE_MIN, good);
	CHECK_EQ(ring_writer_open(&writer, fd), 0);
	ring_writer_close(&writer);
	close(fd);
}

static void cannot_be_taken_away(void)
{
	start(RING_SIZE_MIN);
	CHECK(ftruncate(reader->fd, 0) < 0);
	CHECK(ftruncate(reader->fd, HEADER + 2 * RING_SIZE_MIN) < 0);
	CHECK(fcntl(reader->fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
	CHECK(put(1, 100, 0));
	expect(1, 100);
	stop();
}

int main(void)
{
	test_run("records come in order, also round the end of the memory [ring-order]", in_order_round_the_end);
	test_run("what finds no room is counted, and spare room is kept [ring-full]", full_is_counted);
	test_run("a record that is begun holds back those behind it [ring-order]", begun_holds_back);
	test_run("what was read is wiped [ring-wiped]", wiped);
	test_run("of several threads' records none is lost, and no wake-up [ring-threads]", quick_reader);
	test_run("a slow reader gets what there was room for, and the rest is counted [ring-threads]", slow_reader);
	test_run("nothing is lost while there is room, however the threads meet [ring-threads]", no_loss_with_room);
	test_run("a hostile reader cannot make the writer leave the memory [ring-hostile]", hostile_reader);
	test_run("a hostile writer cannot make the reader leave the memory [ring-hostile]", hostile_writer);
	test_run("memory that is unsealed or of another size is refused [ring-sealed]", refuses_other_memory);
	test_run("memory cannot be made smaller under the writer [ring-sealed]", cannot_be_taken_away);
	return test_done();
}
