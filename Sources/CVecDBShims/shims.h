// What Swift cannot say itself: the intrinsics of the processor, prefetch, and the questions to the
// processor about what it can do. Header only: every function is static inline, so a target's flags
// apply to what that target uses, and functions with a `target` attribute work without any flags.
#ifndef VECDB_CVECTORSHIMS_H
#define VECDB_CVECTORSHIMS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/// Asks for the cache line at `address`, into every cache level. Never faults.
static inline __attribute__((always_inline)) void vecdb_prefetch(const void *address) {
  __builtin_prefetch(address, 0, 3);
}

/// Set bits: one instruction where the target that includes this has it.
static inline __attribute__((always_inline)) int64_t vecdb_popcount64(uint64_t word) {
  return __builtin_popcountll(word);
}

/// Asks for the cache line at `address`, into the second level and outwards. Never faults.
static inline __attribute__((always_inline)) void vecdb_prefetch_far(const void *address) {
  __builtin_prefetch(address, 0, 2);
}

#include "cpu.h"
#include "lanes.h"
#include "checksums.h"
#include "selection.h"

#endif
