/* The portable kernels as the compiler vectorises them for AVX2. */
#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#pragma GCC target("avx2")
#define NAME(f) avx2_##f
#include "plain.inc"
#else
const Set avx2_set;
#endif
