#include "tunnel/checksum.h"

#if defined(__x86_64__)
#include <immintrin.h>
#if __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#endif
#endif

/*
 * Words of 32 bits are added into 64: since 2^16 = 2^32 = 1 modulo 2^16 - 1, the folded sum is that
 * of the 16-bit words.
 */
static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

uint64_t checksum_add_portable(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t a = 0, b = 0;
	uint8_t last[4] = {0};

	for (; len >= 16; p += 16, len -= 16) {
		a += (uint64_t)load32(p) + load32(p + 4);
		b += (uint64_t)load32(p + 8) + load32(p + 12);
	}
	for (; len >= 4; p += 4, len -= 4)
		a += load32(p);
	if (len) {
		memcpy(last, p, len);
		a += load32(last);
	}
	return sum + a + b;
}

#if defined(__x86_64__)
#define AVX2_MAX (1u << 19) /* bytes until a sum of 32 bits could overflow, and more than a packet has */

/* What there is of eight words of 32 bits, ${n} of which there are: the rest is zero, and not read. */
__attribute__((target("avx2"))) static inline __m256i load_words(const uint8_t *p, int n)
{
	const __m256i number = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	return _mm256_maskload_epi32((const void *)p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n), number));
}

/*
 * What adds pairs of 16-bit words into 32 bits takes them as signed: each is made smaller by 2^15
 * first, and the sums larger in the end.
 */
__attribute__((target("avx2"))) static inline __m256i add_words(__m256i sum, __m256i v)
{
	v = _mm256_xor_si256(v, _mm256_set1_epi16(INT16_MIN));
	return _mm256_add_epi32(sum, _mm256_madd_epi16(v, _mm256_set1_epi16(1)));
}

__attribute__((target("avx2"))) static uint64_t checksum_add_avx2(
	uint64_t sum, const uint8_t *p, size_t len)
{
	const __m256i low = _mm256_set1_epi64x(0xffffffff);
	__m256i a = _mm256_setzero_si256(), b = a;
	int turns = (int)(len / 64) + 1, words;
	__m128i half;

	for (; len >= 64; p += 64, len -= 64) {
		a = add_words(a, _mm256_loadu_si256((const void *)p));
		b = add_words(b, _mm256_loadu_si256((const void *)(p + 32)));
	}
	words = (int)(len / 4);
	a = add_words(a, load_words(p, words));
	b = add_words(b, load_words(p + 32, words - 8));
	/* Each turn made four words of a sum smaller. */
	a = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_set1_epi32(turns * 4 * 0x8000));
	a = _mm256_add_epi64(_mm256_and_si256(a, low), _mm256_srli_epi64(a, 32));
	half = _mm_add_epi64(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
	sum += (uint64_t)_mm_cvtsi128_si64(half) + (uint64_t)_mm_extract_epi64(half, 1);
	return checksum_add_portable(sum, p + (size_t)words * 4, len % 4);
}

static bool have_avx2;

/*
 * The C library has asked the processor already.  The compiler's own way asks again, 13 times before
 * main(), and a virtual machine takes some 8 us for each answer.
 */
static __attribute__((constructor)) void find_avx2(void)
{
#ifdef CPU_FEATURE_ACTIVE
	have_avx2 = CPU_FEATURE_ACTIVE(AVX2);
#else
	have_avx2 = __builtin_cpu_supports("avx2");
#endif
}
#endif

uint64_t checksum_add(uint64_t sum, const void *data, size_t len)
{
#if defined(__x86_64__)
	if (len >= 64 && len <= AVX2_MAX && have_avx2)
		return checksum_add_avx2(sum, data, len);
#endif
	return checksum_add_portable(sum, data, len);
}

uint64_t checksum_pseudo(const uint8_t *packet, uint8_t protocol, uint32_t len)
{
	uint8_t words[8] = {0};
	uint64_t sum;

	put_be32(words, len);
	words[7] = protocol;
	sum = checksum_add_portable(0, words, sizeof(words));
	if (packet[0] >> 4 == 4)
		return checksum_add_portable(sum, packet + 12, 8);
	return checksum_add_portable(sum, packet + 8, 32);
}
