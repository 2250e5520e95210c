/* What is done to every byte: unmasking, copying and the ASCII test in one pass, and UTF-8 as it
 * comes. RFC 6455, 5.3 and 8.1.
 *
 * The vectors are chosen at run time, so that one build runs on every machine of its kind: AVX2
 * where the processor has it, else what every x86-64 and every AArch64 has, else plain C.
 */
#ifndef WIREBIRD_KERNELS_H
#define WIREBIRD_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) && !defined(WIREBIRD_PLAIN_C)
#define WB_X86 1
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON) && !defined(WIREBIRD_PLAIN_C)
#define WB_NEON 1
#include <arm_neon.h>
#endif

#define WB_HIGH_BITS 0x8080808080808080ull

/* The key as it is for a payload that begins so many bytes later. */
static inline uint32_t wb_turned_key(uint32_t key, uint64_t phase) {
    uint8_t from[4], to[4];
    uint32_t turned;
    memcpy(from, &key, 4);
    for (int i = 0; i < 4; i++) to[i] = from[(i + phase) & 3];
    memcpy(&turned, to, 4);
    return turned;
}

/* The end of a payload, from ``i`` on, which is a multiple of four. */
static inline uint64_t wb_xor_rest(uint8_t *to, const uint8_t *from, size_t i, size_t n,
                                   uint32_t key) {
    uint64_t key8 = key | (uint64_t)key << 32, seen = 0, word;
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, from + i, 8);
        word ^= key8;
        memcpy(to + i, &word, 8);
        seen |= word;
    }
    if (i < n) {
        uint8_t turning[4];
        memcpy(turning, &key, 4);
        for (size_t k = 0; i < n; i++, k++) {
            to[i] = from[i] ^ turning[k & 3];
            seen |= to[i];
        }
    }
    return seen & WB_HIGH_BITS;
}

#ifdef WB_X86
__attribute__((target("avx2")))
static int wb_xor_avx2(uint8_t *to, const uint8_t *from, size_t n, uint32_t key) {
    size_t i = 0;
    __m256i keys = _mm256_set1_epi32((int)key), seen = _mm256_setzero_si256();
    for (; i + 64 <= n; i += 64) {
        __m256i a = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(from + i)), keys);
        __m256i b = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(from + i + 32)), keys);
        _mm256_storeu_si256((__m256i *)(to + i), a);
        _mm256_storeu_si256((__m256i *)(to + i + 32), b);
        seen = _mm256_or_si256(seen, _mm256_or_si256(a, b));
    }
    for (; i + 32 <= n; i += 32) {
        __m256i a = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(from + i)), keys);
        _mm256_storeu_si256((__m256i *)(to + i), a);
        seen = _mm256_or_si256(seen, a);
    }
    int high = _mm256_movemask_epi8(seen);
    return (wb_xor_rest(to, from, i, n, key) != 0) | (high != 0);
}

static int wb_xor_sse2(uint8_t *to, const uint8_t *from, size_t n, uint32_t key) {
    size_t i = 0;
    __m128i keys = _mm_set1_epi32((int)key), seen = _mm_setzero_si128();
    for (; i + 16 <= n; i += 16) {
        __m128i a = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(from + i)), keys);
        _mm_storeu_si128((__m128i *)(to + i), a);
        seen = _mm_or_si128(seen, a);
    }
    int high = _mm_movemask_epi8(seen);
    return (wb_xor_rest(to, from, i, n, key) != 0) | (high != 0);
}
#endif

#ifdef WB_NEON
static int wb_xor_neon(uint8_t *to, const uint8_t *from, size_t n, uint32_t key) {
    size_t i = 0;
    uint8x16_t keys = vreinterpretq_u8_u32(vdupq_n_u32(key)), seen = vdupq_n_u8(0);
    for (; i + 16 <= n; i += 16) {
        uint8x16_t a = veorq_u8(vld1q_u8(from + i), keys);
        vst1q_u8(to + i, a);
        seen = vorrq_u8(seen, a);
    }
    int high = vmaxvq_u8(seen) >= 0x80;
    return (wb_xor_rest(to, from, i, n, key) != 0) | high;
}
#endif

/* Which of them this machine runs: for those who want to see, and for tests of each. */
enum { WB_PLAIN, WB_SSE2, WB_AVX2, WB_NEON_16 };
static int wb_vectors = -1;

static int wb_best_vectors(void) {
#ifdef WB_X86
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") ? WB_AVX2 : WB_SSE2;
#elif defined(WB_NEON)
    return WB_NEON_16;
#else
    return WB_PLAIN;
#endif
}

static int wb_xor_long(uint8_t *to, const uint8_t *from, size_t n, uint32_t key) {
    if (wb_vectors < 0) wb_vectors = wb_best_vectors();
    switch (wb_vectors) {
#ifdef WB_X86
    case WB_AVX2: return wb_xor_avx2(to, from, n, key);
    case WB_SSE2: return wb_xor_sse2(to, from, n, key);
#endif
#ifdef WB_NEON
    case WB_NEON_16: return wb_xor_neon(to, from, n, key);
#endif
    default: return wb_xor_rest(to, from, 0, n, key) != 0;
    }
}

/* Copy with a key, 0 for none; ``to`` may be ``from``. Return whether a byte is not ASCII. */
static inline int wb_xor(uint8_t *to, const uint8_t *from, size_t n, uint32_t key) {
    if (n < 32) return wb_xor_rest(to, from, 0, n, key) != 0;
    return wb_xor_long(to, from, n, key);
}

/* UTF-8 as it comes: what the next bytes must be. All zero at a character's beginning. */
typedef struct {
    uint8_t missing; /* bytes of the character that has begun */
    uint8_t low, high; /* what the next of them may be; 0 for the usual 80..BF */
} wb_utf8_t;

/* Take the next piece; return whether it can be. Refuses a surrogate at its second byte. */
static int wb_utf8_feed(wb_utf8_t *state, const uint8_t *p, size_t n) {
    const uint8_t *end = p + n;
    while (p < end) {
        if (state->missing) {
            uint8_t low = state->low ? state->low : 0x80, high = state->low ? state->high : 0xBF;
            if (*p < low || *p > high) return 0;
            state->low = 0;
            state->missing--;
            p++;
            continue;
        }
        uint64_t word;
        while (end - p >= 8) {
            memcpy(&word, p, 8);
            if (word & WB_HIGH_BITS) break;
            p += 8;
        }
        while (p < end && *p < 0x80) p++;
        if (p == end) break;
        uint8_t first = *p++;
        if (first >= 0xC2 && first <= 0xDF) {
            state->missing = 1;
        } else if (first >= 0xE0 && first <= 0xEF) {
            state->missing = 2;
            if (first == 0xE0) { state->low = 0xA0; state->high = 0xBF; }
            if (first == 0xED) { state->low = 0x80; state->high = 0x9F; }
        } else if (first >= 0xF0 && first <= 0xF4) {
            state->missing = 3;
            if (first == 0xF0) { state->low = 0x90; state->high = 0xBF; }
            if (first == 0xF4) { state->low = 0x80; state->high = 0x8F; }
        } else {
            return 0;
        }
    }
    return 1;
}

#endif
