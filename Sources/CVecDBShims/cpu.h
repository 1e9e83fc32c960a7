// What the processor can do and the operating system saves across context switches.
#ifndef VECDB_CVECTORSHIMS_CPU_H
#define VECDB_CVECTORSHIMS_CPU_H

#include <stdint.h>

enum {
  /// F, BW, DQ, VL and VNNI of AVX-512, and ZMM registers saved.
  VECDB_CPU_AVX512_VNNI = 1,
  /// AVX2, and YMM registers saved.
  VECDB_CPU_AVX2 = 2,
  /// SHA-NI, SSSE3 and SSE4.1.
  VECDB_CPU_SHA = 4,
  /// SSE4.2 (crc32) and PCLMULQDQ.
  VECDB_CPU_CRC32C = 8,
};

#if defined(__x86_64__)

static inline void vecdb_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]) {
  __asm__ volatile("cpuid"
                   : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                   : "a"(leaf), "c"(subleaf));
}

/// The register sets that the operating system saves (XCR0). Only after cpuid reported OSXSAVE.
static inline uint64_t vecdb_xgetbv(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

#endif

/// A set of VECDB_CPU_ bits. Costs some hundred cycles (far more under a hypervisor): ask once.
static inline uint32_t vecdb_cpu_features(void) {
  uint32_t features = 0;
#if defined(__x86_64__)
  uint32_t r[4];
  vecdb_cpuid(0, 0, r);
  const uint32_t last = r[0];
  if (last < 1) return 0;
  vecdb_cpuid(1, 0, r);
  const uint32_t c1 = r[2];
  uint32_t b7 = 0, c7 = 0;
  if (last >= 7) {
    vecdb_cpuid(7, 0, r);
    b7 = r[1];
    c7 = r[2];
  }
  const uint64_t saved = (c1 >> 27 & 1) ? vecdb_xgetbv() : 0;
  const int ymm = (saved & 0x06) == 0x06 && (c1 >> 28 & 1);
  const int zmm = (saved & 0xe6) == 0xe6 && (c1 >> 28 & 1);
  // Leaf 7: EBX 5 AVX2, 16 F, 17 DQ, 29 SHA, 30 BW, 31 VL; ECX 11 VNNI. What x86-64-v4 includes
  // beside (BMI, FMA, F16C, MOVBE, LZCNT, CD) every processor with VNNI has, but flags let the
  // compiler use it, so BMI1 (3), BMI2 (8), CD (28) and FMA (leaf 1, ECX 12) are asked for too.
  const uint32_t v4 =
      1u << 3 | 1u << 5 | 1u << 8 | 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
  if (ymm && (b7 >> 5 & 1)) features |= VECDB_CPU_AVX2;
  if (zmm && (b7 & v4) == v4 && (c7 >> 11 & 1) && (c1 >> 12 & 1)) {
    features |= VECDB_CPU_AVX512_VNNI;
  }
  if ((b7 >> 29 & 1) && (c1 >> 9 & 1) && (c1 >> 19 & 1)) features |= VECDB_CPU_SHA;
  if ((c1 >> 20 & 1) && (c1 >> 1 & 1)) features |= VECDB_CPU_CRC32C;
#endif
  return features;
}

#endif
