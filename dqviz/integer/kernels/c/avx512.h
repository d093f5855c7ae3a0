/* What the AVX-512 kernels share: vectors, and the end of a sum in float64 and in float32. */
#ifndef DQVIZ_AVX512_H
#define DQVIZ_AVX512_H
#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

/* Loops over arrays of registers: one that is not unrolled keeps them in memory, three times slower. */
#define UNROLL _Pragma("GCC unroll 8")

int32_t avx512_sums(const Spmm *job, int64_t first, int64_t stop, int32_t *acc);
int avx512_rows(const Spmm *job, int64_t first, int64_t last);
void avx512_sums_float(const SpmmFloat *job, int64_t first, int64_t stop, float *acc);
void avx512_attention(const Attention *job, int64_t row);
int avx512_gemm(const Gemm *job, int64_t row, int64_t last, Fetch *soon);
void avx512_products(const Gemm *job, int64_t row, int count, int32_t *acc, int64_t stride);
void avx512_pack(const int8_t *codes, int32_t n, int32_t bits, uint8_t *out);

INLINE __mmask64 mask_of(int64_t left) { return left >= 64 ? ~(__mmask64)0 : left <= 0 ? 0 : ((__mmask64)1 << left) - 1; }
INLINE __mmask16 mask16(int64_t left) { return (__mmask16)mask_of(left > 16 ? 16 : left); }
INLINE __m512i dot(__m512i acc, __m512i u, __m512i s) { return _mm512_dpbusd_epi32(acc, u, s); }

/* ELU in steps, exactly: a negative y becomes minus the number of thresholds above it. */
INLINE __m512 elu_exact(const Finish *f, __m512 y) {
    const __mmask16 negative = _mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_LT_OQ);
    if (!negative)
        return y;
    __m512 steps = _mm512_setzero_ps();
    for (int32_t t = 0; t < f->num_thresholds; t++)
        steps = _mm512_mask_sub_ps(steps, _mm512_cmp_ps_mask(y, _mm512_set1_ps(f->thresholds[t]), _CMP_LT_OQ), steps,
                                   _mm512_set1_ps(1.0f));
    return _mm512_mask_mov_ps(y, negative, steps);
}

/* ELU in steps, off by less than 2e-6 of f->elu steps: elu (2^(y log2(e) / elu) - 1), a polynomial of degree 6 (its
   error is 1e-7). What it decides is decided again where it is near a tie. */
INLINE __m512 elu_near(const Finish *f, __m512 y) {
    const __m512 power = _mm512_mul_ps(_mm512_min_ps(y, _mm512_setzero_ps()), _mm512_set1_ps(1.44269504f / f->elu));
    const __m512 bounded = _mm512_max_ps(power, _mm512_set1_ps(-100.0f));
    const __m512 whole = _mm512_roundscale_ps(bounded, _MM_FROUND_TO_NEAREST_INT);
    const __m512 part = _mm512_sub_ps(bounded, whole);
    __m512 p = _mm512_set1_ps(1.5403530e-4f);
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(1.3333558e-3f));
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(9.6181291e-3f));
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(5.5504109e-2f));
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(2.4022651e-1f));
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(6.9314718e-1f));
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(1.0f));
    const __m512 unit = _mm512_set1_ps(f->elu);
    const __m512 below = _mm512_fmsub_ps(_mm512_scalef_ps(p, whole), unit, unit);
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_LT_OQ), below);
}
/* What sixteen sums are multiplied with and added to in float64, besides themselves (kernels.h, Finish). */
typedef struct {
    const double *multiplier, *offset, *also;
    double factor, own;
} Scale;

INLINE __m512d reals8(__m256i sums, __m256i self, __m256i second, const Scale *s, int32_t k) {
    __m512d y = _mm512_cvtepi32_pd(sums);
    if (s->own != 0)
        y = _mm512_add_pd(y, _mm512_mul_pd(_mm512_set1_pd(s->own), _mm512_cvtepi32_pd(self)));
    y = _mm512_mul_pd(_mm512_mul_pd(y, _mm512_set1_pd(s->factor)), _mm512_loadu_pd(s->multiplier + k));
    if (s->also)
        y = _mm512_add_pd(y, _mm512_mul_pd(_mm512_cvtepi32_pd(second), _mm512_loadu_pd(s->also + k)));
    return _mm512_add_pd(y, _mm512_loadu_pd(s->offset + k));
}

/* y of sixteen sums, from channel k of the arrays of `s` on; self: the row's own centred codes, second: second sums. */
INLINE __m512 reals16(__m512i sums, __m512i self, __m512i second, const Scale *s, int32_t k) {
    const __m512d low = reals8(_mm512_castsi512_si256(sums), _mm512_castsi512_si256(self),
                               _mm512_castsi512_si256(second), s, k);
    const __m512d high = reals8(_mm512_extracti64x4_epi64(sums, 1), _mm512_extracti64x4_epi64(self, 1),
                                _mm512_extracti64x4_epi64(second, 1), s, k + 8);
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
}

/* Codes of sixteen y, one to a lane. */
INLINE __m512i codes_of(const Finish *f, __m512 y) {
    if (f->thresholds)
        y = elu_exact(f, y);
    y = _mm512_min_ps(_mm512_max_ps(y, _mm512_set1_ps(f->low)), _mm512_set1_ps(f->high));
    return _mm512_add_epi32(_mm512_cvtps_epi32(y), _mm512_set1_epi32(f->zero_point));
}

/* y of sixteen sums in float32: no further from the float64 one than 0.5 - f->tie, where it is not clipped. */
INLINE __m512 near16(__m512i sums, const float *multiplier, const float *offset) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), _mm512_loadu_ps(multiplier), _mm512_loadu_ps(offset));
}

/* The larger of `far` and the distance of each y from its integer: above f->tie, float64 may round y the other way. */
INLINE __m512 further(__m512 far, __m512 y) {
    return _mm512_range_ps(far, _mm512_reduce_ps(y, _MM_FROUND_TO_NEAREST_INT), 11);
}
INLINE int unsure(const Finish *f, __m512 far) {
    return __builtin_expect(_mm512_cmp_ps_mask(far, _mm512_set1_ps(f->tie), _CMP_GT_OQ) != 0, 0);
}

/* Sixteen plain sums in natural order to codes. */
INLINE __m512i codes16(const Finish *f, int32_t k, __m512i sums) {
    const __m512 y = near16(sums, f->multiplier32 + k, f->offset32 + k);
    if (f->fast != CERTAIN && unsure(f, further(_mm512_setzero_ps(), y))) {
        const Scale s = {f->multiplier + k, f->offset + k, NULL, 1, 0};
        return codes_of(f, reals16(sums, sums, sums, &s, 0));
    }
    const __m512 inside = _mm512_min_ps(_mm512_max_ps(y, _mm512_set1_ps(f->low)), _mm512_set1_ps(f->high));
    return _mm512_add_epi32(_mm512_cvtps_epi32(inside), _mm512_set1_epi32(f->zero_point));
}
#endif
#endif
