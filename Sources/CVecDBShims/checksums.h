// SHA-256 and CRC-32C with the processor's own instructions. The `target` attributes make these
// functions compile without flags; call them only where vecdb_cpu_features() says so.
#ifndef VECDB_CVECTORSHIMS_CHECKSUMS_H
#define VECDB_CVECTORSHIMS_CHECKSUMS_H

#if defined(__x86_64__)

static const uint32_t vecdb_sha256_constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/// Runs the SHA-256 compression function over 64-byte blocks. Needs VECDB_CPU_SHA.
__attribute__((target("sha,ssse3,sse4.1"), unused)) static void vecdb_sha256_compress(
    uint32_t *state, const void *blocks, long blockCount) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  // The instructions want the words as (a, b, e, f) and (c, d, g, h), highest lane first.
  const __m128i dcba = _mm_loadu_si128((const __m128i *)state);
  const __m128i hgfe = _mm_loadu_si128((const __m128i *)(state + 4));
  const __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1);
  const __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1b);
  __m128i abef = _mm_alignr_epi8(cdab, efgh, 8);
  __m128i cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);

  for (const char *block = (const char *)blocks; blockCount > 0; blockCount--, block += 64) {
    const __m128i abef0 = abef, cdgh0 = cdgh;
    __m128i w[4];
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
      w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 16 * i)), swap);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
      const __m128i k = _mm_load_si128((const __m128i *)(vecdb_sha256_constants + 4 * i));
      const __m128i wk = _mm_add_epi32(w[i & 3], k);
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0e));
      if (i < 12) {
        const __m128i older = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
        const __m128i seven = _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4);
        w[i & 3] = _mm_sha256msg2_epu32(_mm_add_epi32(older, seven), w[(i + 3) & 3]);
      }
    }
    abef = _mm_add_epi32(abef, abef0);
    cdgh = _mm_add_epi32(cdgh, cdgh0);
  }

  const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/// Three stretches of `length` bytes side by side, since the crc32 instruction takes three cycles
/// but one can start in each; then their checksums are joined. Multiplying a bit-reflected
/// remainder by x^(8n - 33) and feeding the product to the instruction, which multiplies by x^32
/// (and reflection by x), moves it n bytes further.
#define VECDB_CRC32C_TRIPLE(length, shiftOne, shiftTwo)                                       \
  while (count >= 3 * (length)) {                                                             \
    uint64_t second = 0, third = 0;                                                           \
    for (long i = 0; i < (length); i += 8) {                                                  \
      uint64_t x, y, z;                                                                       \
      memcpy(&x, next + i, 8);                                                                \
      memcpy(&y, next + i + (length), 8);                                                     \
      memcpy(&z, next + i + 2 * (length), 8);                                                 \
      crc = _mm_crc32_u64(crc, x);                                                            \
      second = _mm_crc32_u64(second, y);                                                      \
      third = _mm_crc32_u64(third, z);                                                        \
    }                                                                                         \
    const __m128i moved = _mm_xor_si128(                                                      \
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi64_si128(shiftTwo), 0), \
        _mm_clmulepi64_si128(                                                                 \
            _mm_cvtsi64_si128((long long)second), _mm_cvtsi64_si128(shiftOne), 0));           \
    crc = _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(moved)) ^ third;                       \
    next += 3 * (length);                                                                     \
    count -= 3 * (length);                                                                    \
  }

/// The CRC-32C register after `count` bytes, without the inversions at both ends. Needs
/// VECDB_CPU_CRC32C.
__attribute__((target("sse4.2,pclmul"), unused)) static uint32_t vecdb_crc32c(
    uint32_t initial, const void *bytes, long count) {
  const char *next = (const char *)bytes;
  uint64_t crc = initial;
  VECDB_CRC32C_TRIPLE(1024, 0x170076fa, 0xa51b6135)
  VECDB_CRC32C_TRIPLE(128, 0x0d3b6092, 0xb9e02b86)
  for (; count >= 8; count -= 8, next += 8) {
    uint64_t word;
    memcpy(&word, next, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  for (; count > 0; count--, next++) crc = _mm_crc32_u8((uint32_t)crc, (unsigned char)*next);
  return (uint32_t)crc;
}

#undef VECDB_CRC32C_TRIPLE

#endif
#endif
