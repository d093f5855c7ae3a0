/* AVX2 without VNNI. */
#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#pragma GCC target("avx2,fma")
#define VNNI 0
#define SET avx2_set
#include "avx2.inc"
#else
const Set avx2_set;
#endif
