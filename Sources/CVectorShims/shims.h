#ifndef VECDB_CVECTORSHIMS_H
#define VECDB_CVECTORSHIMS_H

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#endif
