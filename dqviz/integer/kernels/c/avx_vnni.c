/* AVX2 with AVX-VNNI: processors that have the dot products of AVX-512, but not its vectors. */
#include "kernels.h"

#if defined(__x86_64__) && (__GNUC__ >= 11 || __clang_major__ >= 12)
#pragma GCC target("avx2,fma,avxvnni")
#define VNNI 1
#define DOT _mm256_dpbusd_avx_epi32
#define SET avx_vnni_set
#include "avx2.inc"
#else
const Set avx_vnni_set;
#endif
