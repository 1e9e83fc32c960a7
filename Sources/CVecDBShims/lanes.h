// Intrinsics that immintrin.h defines as macros or that want pointer casts, as functions that Swift
// can import. They exist only where the flags of the importing target allow them.
#ifndef VECDB_CVECTORSHIMS_LANES_H
#define VECDB_CVECTORSHIMS_LANES_H

#if defined(__x86_64__)

#define VECDB_INLINE static inline __attribute__((always_inline))

VECDB_INLINE __m128i vecdb_load_128(const void *address) {
  return _mm_loadu_si128((const __m128i *)address);
}

/// Eight bytes, zero above them.
VECDB_INLINE __m128i vecdb_load_64(const void *address) {
  return _mm_loadl_epi64((const __m128i *)address);
}

VECDB_INLINE void vecdb_store_128(void *address, __m128i value) {
  _mm_storeu_si128((__m128i *)address, value);
}

/// Lane i is ((lane 0 + lane 2) + (lane 1 + lane 3)) of argument i: four halving trees at once.
VECDB_INLINE __m128 vecdb_fold4(__m128 a, __m128 b, __m128 c, __m128 d) {
  __m128 ab = _mm_unpacklo_ps(a, b), ab2 = _mm_unpackhi_ps(a, b);  // a0 b0 a1 b1, a2 b2 a3 b3
  __m128 cd = _mm_unpacklo_ps(c, d), cd2 = _mm_unpackhi_ps(c, d);
  ab = _mm_add_ps(ab, ab2);  // a0+a2 b0+b2 a1+a3 b1+b3
  cd = _mm_add_ps(cd, cd2);
  return _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
}

#if defined(__AVX2__)

VECDB_INLINE __m256i vecdb_load_256(const void *address) {
  return _mm256_loadu_si256((const __m256i *)address);
}

VECDB_INLINE __m128i vecdb_low_128(__m256i value) { return _mm256_castsi256_si128(value); }
VECDB_INLINE __m128i vecdb_high_128(__m256i value) { return _mm256_extracti128_si256(value, 1); }
VECDB_INLINE __m128 vecdb_low_128f(__m256 value) { return _mm256_castps256_ps128(value); }
VECDB_INLINE __m128 vecdb_high_128f(__m256 value) { return _mm256_extractf128_ps(value, 1); }

/// All ones in the first `count` of eight lanes; none for a count of zero or less.
VECDB_INLINE __m256i vecdb_tail_lanes(long count) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lanes);
}

#endif

#if defined(__AVX512F__)

VECDB_INLINE __m256i vecdb_low_256(__m512i value) { return _mm512_castsi512_si256(value); }
VECDB_INLINE __m256i vecdb_high_256(__m512i value) { return _mm512_extracti64x4_epi64(value, 1); }
VECDB_INLINE __m256 vecdb_low_256f(__m512 value) { return _mm512_castps512_ps256(value); }
VECDB_INLINE __m256 vecdb_high_256f(__m512 value) {
  return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(value), 1));
}

/// Ones for the first `count` of sixteen lanes, 0 < count < 16.
VECDB_INLINE __mmask16 vecdb_tail_mask(long count) { return (__mmask16)((1u << count) - 1); }

#endif
#endif
#endif
