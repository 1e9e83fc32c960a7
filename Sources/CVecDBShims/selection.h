// Which of a run of ids are in a set of ids, as bits.
#ifndef VECDB_SELECTION_H
#define VECDB_SELECTION_H

#if defined(__AVX512F__)
/// Bit i of `out` is bit min(ids[i], limit) of `table`, for `words` times 64 ids.
static inline __attribute__((always_inline)) void vecdb_select_ids_avx512(
    const uint32_t *ids, ptrdiff_t words, const uint32_t *table, uint32_t limit, uint64_t *out) {
  const __m512i most = _mm512_set1_epi32((int)limit);
  const __m512i low = _mm512_set1_epi32(31);
  const __m512i one = _mm512_set1_epi32(1);
  for (ptrdiff_t word = 0; word < words; word++) {
    uint64_t bits = 0;
    for (int part = 0; part < 4; part++) {
      const __m512i id = _mm512_min_epu32(_mm512_loadu_si512(ids + word * 64 + part * 16), most);
      const __m512i cell = _mm512_i32gather_epi32(_mm512_srli_epi32(id, 5), table, 4);
      const __m512i bit = _mm512_sllv_epi32(one, _mm512_and_si512(id, low));
      bits |= (uint64_t)_mm512_test_epi32_mask(cell, bit) << (part * 16);
    }
    out[word] = bits;
  }
}
#endif

#if defined(__AVX2__)
/// The same.
static inline __attribute__((always_inline)) void vecdb_select_ids_avx2(
    const uint32_t *ids, ptrdiff_t words, const uint32_t *table, uint32_t limit, uint64_t *out) {
  const __m256i most = _mm256_set1_epi32((int)limit);
  const __m256i low = _mm256_set1_epi32(31);
  for (ptrdiff_t word = 0; word < words; word++) {
    uint64_t bits = 0;
    for (int part = 0; part < 8; part++) {
      const __m256i *place = (const __m256i *)(ids + word * 64 + part * 8);
      const __m256i id = _mm256_min_epu32(_mm256_loadu_si256(place), most);
      const __m256i cell =
          _mm256_i32gather_epi32((const int *)table, _mm256_srli_epi32(id, 5), 4);
      // The bit that counts becomes the sign.
      const __m256i sign = _mm256_sllv_epi32(cell, _mm256_sub_epi32(low, _mm256_and_si256(id, low)));
      bits |= (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(sign)) << (part * 8);
    }
    out[word] = bits;
  }
}
#endif

#endif
