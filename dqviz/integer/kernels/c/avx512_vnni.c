/* The kernels of avx_vnni.c in the encoding of AVX-512 VL with VNNI. */
#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#pragma GCC target("avx2,fma,avx512f,avx512vl,avx512vnni")
#define VNNI 1
#define DOT _mm256_dpbusd_epi32
#define SET avx512_vnni_set
#include "avx2.inc"
#else
const Set avx512_vnni_set;
#endif
