/* AVX-512 with VNNI and VBMI: a group of four entries is one vpdpbusd per sixteen features.

   vpdpbusd multiplies four unsigned bytes by four signed ones and adds them to an int32. The bytes of four neighbour rows
   are interleaved so that each int32 lane holds one feature of the four rows; the other operand is the four weights,
   broadcast (or, with attention heads, spread by a byte permutation). Which operand is the unsigned one depends on the
   weights: GCN's coefficients are never negative, so int8 features are taken as they are.

   Packed fields are not shifted apart: with b = low + 16 high, the sums of w low (masked) and of w b (not masked) give
   the sum of w high by one subtraction a row. */
#include "kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi")
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
/* Loops over arrays of registers: one that is not unrolled keeps them in memory, three times slower. */
#define UNROLL _Pragma("GCC unroll 8")
#define AHEAD 6 /* groups between a prefetch and its use */

INLINE __mmask64 mask_of(int64_t left) { return left >= 64 ? ~(__mmask64)0 : left <= 0 ? 0 : ((__mmask64)1 << left) - 1; }
INLINE __m512i dot(__m512i acc, __m512i u, __m512i s) { return _mm512_dpbusd_epi32(acc, u, s); }

/* Adds one interleaved vector of four rows (bytes q) to the accumulators of its planes. */
INLINE void add(__m512i *acc, __m512i q, __m512i w, int bits, int nonnegative) {
    const int planes = bits == 8 ? 1 : bits == 2 ? 4 : 2, width = 8 / planes;
    if (planes == 1) {
        acc[0] = nonnegative ? dot(acc[0], w, q) : dot(acc[0], _mm512_xor_si512(q, _mm512_set1_epi8((char)0x80)), w);
        return;
    }
    if (nonnegative) { /* weights above 127: the fields must be the signed operand, each by itself */
        const __m512i mask = _mm512_set1_epi8((char)((1 << width) - 1));
        for (int p = 0; p < planes; p++)
            acc[p] = dot(acc[p], w, _mm512_and_si512(_mm512_srli_epi16(q, (unsigned)(p * width)), mask));
        return;
    }
    for (int p = 0; p < planes - 1; p++)
        acc[p] = dot(acc[p], _mm512_and_si512(q, _mm512_set1_epi8((char)((1 << (width * (p + 1))) - 1))), w);
    acc[planes - 1] = dot(acc[planes - 1], q, w);
}

/* Sums of the planes from running sums of masked bytes. */
INLINE __m512i plane_sum(__m512i now, __m512i before, int plane, int width, int nonnegative) {
    if (plane == 0 || nonnegative)
        return now;
    return _mm512_srai_epi32(_mm512_sub_epi32(now, before), (unsigned)(plane * width));
}

INLINE __m512i weights_at(const Spmm *job, int64_t group) {
    int32_t four;
    memcpy(&four, job->weights + 4 * group, 4);
    return _mm512_set1_epi32(four);
}

/* The weights of a group for every head, [4, heads] bytes. */
INLINE __m512i heads_at(const Spmm *job, int64_t group) {
    const int bytes = 4 * job->heads;
    return _mm512_maskz_loadu_epi8(mask_of(bytes), job->weights + bytes * group);
}

/* Which of these bytes each byte of an accumulator needs: part i of vector v. */
INLINE __m512i spread_at(const Spmm *job, int64_t vector, int64_t part) {
    return _mm512_loadu_si512(job->spread + (vector * 4 + part) * 64);
}

/* What the lanes of a part start from: -zero times the weight sum of their head, or of the only head. */
INLINE __m512i base_at(const Spmm *job, int64_t row, int32_t zero, int headed, int64_t vector, int64_t part) {
    if (row < 0)
        return _mm512_setzero_si512();
    if (!headed)
        return _mm512_set1_epi32((int32_t)(0u - (uint32_t)zero * (uint32_t)job->weight_sums[row]));
    const __m512i sums = _mm512_maskz_loadu_epi32((__mmask16)mask_of(job->heads), job->weight_sums + row * job->heads);
    const __m512i head = _mm512_and_si512(spread_at(job, vector, part), _mm512_set1_epi32(255)); /* of the first entry */
    return _mm512_mullo_epi32(_mm512_permutexvar_epi32(head, sums), _mm512_set1_epi32(-zero));
}

/* How the bytes of four narrow rows are interleaved: of 16 bytes, and the two halves of 32. */
#define FOUR(lane, step) step * 0 + lane, step * 1 + lane, step * 2 + lane, step * 3 + lane
#define SIXTEEN(from, step)                                                                                            \
    FOUR(from + 0, step), FOUR(from + 1, step), FOUR(from + 2, step), FOUR(from + 3, step), FOUR(from + 4, step),      \
        FOUR(from + 5, step), FOUR(from + 6, step), FOUR(from + 7, step), FOUR(from + 8, step), FOUR(from + 9, step),  \
        FOUR(from + 10, step), FOUR(from + 11, step), FOUR(from + 12, step), FOUR(from + 13, step),                    \
        FOUR(from + 14, step), FOUR(from + 15, step)
static const uint8_t ORDER[3][64] = {{SIXTEEN(0, 16)}, {SIXTEEN(0, 32)}, {SIXTEEN(16, 32)}};

/* What the sums of a plane start from, so that `base` comes out of each field (see plane_sum). */
INLINE __m512i start_of(__m512i base, int plane, int width, int nonnegative) {
    int32_t times = 1;
    if (!nonnegative)
        for (int p = 1; p <= plane; p++)
            times += 1 << (width * p);
    return times == 1 ? base : _mm512_mullo_epi32(base, _mm512_set1_epi32(times));
}

/* 64 bytes of a row; the last vector of a row whose length is no multiple of 64 is masked (masks cost a fifth). */
INLINE __m512i load(const uint8_t *from, __mmask64 last, int is_last, int full) {
    return full || !is_last ? _mm512_loadu_si512(from) : _mm512_maskz_loadu_epi8(last, from);
}

/* Accumulators of a tile: `vectors` times 64 bytes (wide), lane l of part i standing for byte 16 (l / 4) + 4 i + l % 4;
   or at most 32 bytes (narrow), in order. */
typedef struct {
    __m512i acc[4][4][4]; /* [vector][part][plane] */
} Tile;

INLINE void wide(const Spmm *job, int64_t first, int64_t stop, Tile *tile, int64_t row_here, int32_t zero,
                 int32_t offset, int vectors, int bits, int nonnegative, int headed, int full) {
    const int planes = bits == 8 ? 1 : bits == 2 ? 4 : 2, width = 8 / planes;
    const int32_t bytes = bytes_of(job->channels, bits);
    const __mmask64 last = mask_of(bytes - offset - 64 * (vectors - 1)); /* only the last vector may be cut */
    for (int v = 0; v < vectors; v++)
        for (int i = 0; i < 4; i++) {
            const __m512i base = base_at(job, row_here, zero, headed, offset / 64 + v, i);
            for (int p = 0; p < planes; p++)
                tile->acc[v][i][p] = start_of(base, p, width, nonnegative);
        }
    const uint8_t *x = job->x + offset;
    const int64_t step = job->x_bytes;
    for (int64_t g = first; g < stop; g++) {
        const int32_t *at = job->indices + 4 * g;
        for (int e = 0; e < 4; e++)
            for (int v = 0; v < vectors; v++)
                _mm_prefetch((const char *)(x + at[4 * AHEAD + e] * step + 64 * v), _MM_HINT_T0);
        const uint8_t *row[4] = {x + at[0] * step, x + at[1] * step, x + at[2] * step, x + at[3] * step};
        const __m512i w = headed ? heads_at(job, g) : weights_at(job, g);
        for (int v = 0; v < vectors; v++) {
            const __m512i a = load(row[0] + 64 * v, last, v == vectors - 1, full);
            const __m512i b = load(row[1] + 64 * v, last, v == vectors - 1, full);
            const __m512i c = load(row[2] + 64 * v, last, v == vectors - 1, full);
            const __m512i d = load(row[3] + 64 * v, last, v == vectors - 1, full);
            const __m512i ab = _mm512_unpacklo_epi8(a, b), AB = _mm512_unpackhi_epi8(a, b);
            const __m512i cd = _mm512_unpacklo_epi8(c, d), CD = _mm512_unpackhi_epi8(c, d);
            const __m512i q[4] = {_mm512_unpacklo_epi16(ab, cd), _mm512_unpackhi_epi16(ab, cd),
                                  _mm512_unpacklo_epi16(AB, CD), _mm512_unpackhi_epi16(AB, CD)};
            for (int i = 0; i < 4; i++)
                add(tile->acc[v][i], q[i], headed ? _mm512_permutexvar_epi8(spread_at(job, offset / 64 + v, i), w) : w, bits,
                    nonnegative);
        }
    }
    for (int v = 0; v < vectors; v++)
        for (int i = 0; i < 4; i++)
            for (int p = planes - 1; p > 0; p--)
                tile->acc[v][i][p] = plane_sum(tile->acc[v][i][p], tile->acc[v][i][p - 1], p, width, nonnegative);
}

/* Rows of at most 32 bytes: four rows fit two vectors, and one or two permutations interleave them. */
INLINE void narrow(const Spmm *job, int64_t first, int64_t stop, Tile *tile, int64_t row_here, int32_t zero, int halves,
                   int bits, int nonnegative, int headed) {
    const int planes = bits == 8 ? 1 : bits == 2 ? 4 : 2, width = 8 / planes;
    const __mmask32 mask = (__mmask32)mask_of(bytes_of(job->channels, bits));
    const int64_t step = job->x_bytes;
    const __m512i at[2] = {_mm512_loadu_si512(ORDER[halves == 1 ? 0 : 1]), _mm512_loadu_si512(ORDER[2])};
    for (int h = 0; h < halves; h++)
        for (int p = 0; p < planes; p++)
            tile->acc[0][h][p] = start_of(base_at(job, row_here, zero, headed, 0, h), p, width, nonnegative);
    for (int64_t g = first; g < stop; g++) {
        const int32_t *index = job->indices + 4 * g;
        for (int e = 0; e < 4; e++)
            _mm_prefetch((const char *)(job->x + index[4 * AHEAD + e] * step), _MM_HINT_T0);
        const uint8_t *row[4];
        for (int e = 0; e < 4; e++)
            row[e] = job->x + index[e] * step;
        __m512i q[2];
        if (halves == 1) {
            __m512i four = _mm512_castsi128_si512(_mm_maskz_loadu_epi8((__mmask16)mask, row[0]));
            four = _mm512_inserti32x4(four, _mm_maskz_loadu_epi8((__mmask16)mask, row[1]), 1);
            four = _mm512_inserti32x4(four, _mm_maskz_loadu_epi8((__mmask16)mask, row[2]), 2);
            four = _mm512_inserti32x4(four, _mm_maskz_loadu_epi8((__mmask16)mask, row[3]), 3);
            q[0] = _mm512_permutexvar_epi8(at[0], four);
        } else {
            const __m512i ab = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_maskz_loadu_epi8(mask, row[0])),
                                                  _mm256_maskz_loadu_epi8(mask, row[1]), 1);
            const __m512i cd = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_maskz_loadu_epi8(mask, row[2])),
                                                  _mm256_maskz_loadu_epi8(mask, row[3]), 1);
            q[0] = _mm512_permutex2var_epi8(ab, at[0], cd);
            q[1] = _mm512_permutex2var_epi8(ab, at[1], cd);
        }
        const __m512i w = headed ? heads_at(job, g) : weights_at(job, g);
        for (int h = 0; h < halves; h++)
            add(tile->acc[0][h], q[h], headed ? _mm512_permutexvar_epi8(spread_at(job, 0, h), w) : w, bits, nonnegative);
    }
    for (int h = 0; h < halves; h++)
        for (int p = planes - 1; p > 0; p--)
            tile->acc[0][h][p] = plane_sum(tile->acc[0][h][p], tile->acc[0][h][p - 1], p, width, nonnegative);
}

/* Sums of a tile to memory, feature by feature. vectors 0: narrow. */
INLINE void store(const Spmm *job, const Tile *tile, int32_t *out, int32_t offset, int vectors, int halves, int planes) {
    const int32_t bytes = (job->channels + planes - 1) / planes;
    for (int v = 0; v < (vectors ? vectors : 1); v++)
        for (int p = 0; p < planes; p++) {
            __m512i c[4];
            if (vectors) { /* a transpose of four by four 128-bit lanes */
                const __m512i s0 = tile->acc[v][0][p], s1 = tile->acc[v][1][p];
                const __m512i s2 = tile->acc[v][2][p], s3 = tile->acc[v][3][p];
                const __m512i t0 = _mm512_shuffle_i32x4(s0, s1, 0x44), t1 = _mm512_shuffle_i32x4(s0, s1, 0xEE);
                const __m512i t2 = _mm512_shuffle_i32x4(s2, s3, 0x44), t3 = _mm512_shuffle_i32x4(s2, s3, 0xEE);
                c[0] = _mm512_shuffle_i32x4(t0, t2, 0x88), c[1] = _mm512_shuffle_i32x4(t0, t2, 0xDD);
                c[2] = _mm512_shuffle_i32x4(t1, t3, 0x88), c[3] = _mm512_shuffle_i32x4(t1, t3, 0xDD);
            } else
                for (int h = 0; h < halves; h++)
                    c[h] = tile->acc[0][h][p];
            const int32_t from = offset + 64 * v, left = job->channels - p * bytes - from;
            for (int i = 0; i < (vectors ? 4 : halves); i++) {
                const int64_t many = (left < bytes - from ? left : bytes - from) - 16 * i;
                _mm512_mask_storeu_epi32(out + p * bytes + from + 16 * i, (__mmask16)mask_of(many > 16 ? 16 : many), c[i]);
            }
        }
}

/* The feature that a lane of a tile stands for (its number may lie beyond the last one). */
static int32_t feature_of(int planar, int32_t bytes, int32_t plane, int32_t vector, int32_t part, int32_t lane) {
    return plane * bytes + (planar ? 64 * vector + 16 * (lane / 4) + 4 * part + lane % 4 : 16 * part + lane);
}

/* Multipliers and offsets in the order of a tile's lanes: vector by vector, part by part, plane by plane. */
typedef struct {
    float *multiplier32, *offset32;
    double *multiplier, *offset;
} Ordered;

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

/* Rounded steps of sixteen sums in float64, clipped, plus f->zero_point and `base`. */
INLINE __m512i exact16(const Finish *f, const double *multiplier, const double *offset, double factor, __m512i sums,
                       int32_t base) {
    __m512d low = _mm512_mul_pd(_mm512_cvtepi32_pd(_mm512_castsi512_si256(sums)), _mm512_set1_pd(factor));
    __m512d high = _mm512_mul_pd(_mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(sums, 1)), _mm512_set1_pd(factor));
    low = _mm512_add_pd(_mm512_mul_pd(low, _mm512_loadu_pd(multiplier)), _mm512_loadu_pd(offset));
    high = _mm512_add_pd(_mm512_mul_pd(high, _mm512_loadu_pd(multiplier + 8)), _mm512_loadu_pd(offset + 8));
    __m512 y = _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
    if (f->thresholds)
        y = elu_exact(f, y);
    y = _mm512_min_ps(_mm512_max_ps(y, _mm512_set1_ps(f->low)), _mm512_set1_ps(f->high));
    return _mm512_add_epi32(_mm512_cvtps_epi32(y), _mm512_set1_epi32(f->zero_point + base));
}

/* The same from float32, code and base in the low byte: adding MAGIC rounds, and leaves the integer in the mantissa's
   low bits. `far` keeps the largest distance from an integer: above `f->tie` a sum may lie on the other side of a tie in
   float64, and the tile is done again. (Where y is not clipped, float32 is off by less than
   (4 |sum M| + |B| + |y|) 2^-24; f->tie is 0.5 less that, for |sum M| <= |y| + |B|.) */
#define MAGIC 12582912.0f
INLINE __m512i quick16(const Finish *f, const float *multiplier, const float *offset, __m512 factor, int has_factor,
                       int has_elu, __m512 moved, __m512 low, __m512 high, __m512i sums, __m512 *far) {
    __m512 value = _mm512_cvtepi32_ps(sums);
    if (has_factor)
        value = _mm512_mul_ps(value, factor);
    __m512 y = _mm512_fmadd_ps(value, _mm512_loadu_ps(multiplier), _mm512_loadu_ps(offset));
    if (has_elu)
        y = _mm512_add_ps(elu_near(f, _mm512_sub_ps(y, moved)), moved);
    const __m512 rounded = _mm512_add_ps(y, _mm512_set1_ps(MAGIC));
    const __m512 rest = _mm512_sub_ps(y, _mm512_sub_ps(rounded, _mm512_set1_ps(MAGIC)));
    *far = _mm512_range_ps(*far, rest, 11); /* the larger magnitude */
    return _mm512_castps_si512(_mm512_min_ps(_mm512_max_ps(rounded, low), high));
}

/* Sixteen sums in natural order. */
INLINE __m512i codes16(const Finish *f, int32_t k, __m512i sums) {
    const __m512 y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), _mm512_loadu_ps(f->multiplier32 + k),
                                     _mm512_loadu_ps(f->offset32 + k));
    const __m512 inside = _mm512_min_ps(_mm512_max_ps(y, _mm512_set1_ps(f->low)), _mm512_set1_ps(f->high));
    const __m512 far = _mm512_abs_ps(_mm512_reduce_ps(inside, _MM_FROUND_TO_NEAREST_INT));
    if (__builtin_expect(_mm512_cmp_ps_mask(far, _mm512_set1_ps(f->tie), _CMP_GT_OQ) != 0, 0))
        return exact16(f, f->multiplier + k, f->offset + k, 1, sums, 0);
    return _mm512_add_epi32(_mm512_cvtps_epi32(inside), _mm512_set1_epi32(f->zero_point));
}

/* A tile to the bytes of its row of codes, which have as many planes as x. */
INLINE void emit(const Spmm *job, const Tile *tile, const Ordered *o, int64_t row, uint8_t *out, int32_t offset,
                 int vectors, int halves, int planes) {
    const Finish *f = &job->finish;
    const int32_t bytes = (job->channels + planes - 1) / planes;
    const int width = 8 / planes, parts = vectors ? 4 : halves;
    const int32_t base = planes == 1 ? 0 : 1 << (f->bits - 1); /* fields are not negative */
    const __m512 low = _mm512_set1_ps(MAGIC + f->low + (float)(f->zero_point + base));
    const __m512 high = _mm512_set1_ps(MAGIC + f->high + (float)(f->zero_point + base));
    const __m512i field = _mm512_set1_epi32((1 << width) - 1);
    const double factor = f->rows ? f->rows[row] : 1;
    const __m512 factor32 = _mm512_set1_ps((float)factor);
    const int has_factor = f->rows != NULL, has_elu = f->thresholds != NULL;
    const __m512 moved = _mm512_set1_ps((float)(f->zero_point + base));
    for (int v = 0; v < (vectors ? vectors : 1); v++) {
        const int64_t at = (int64_t)(offset / 64 + v) * parts * planes * 16;
        __m512i packed[4];
        __m512 far = _mm512_setzero_ps();
        for (int i = 0; i < parts; i++) {
            packed[i] = _mm512_setzero_si512();
            for (int p = 0; p < planes; p++) {
                const int64_t here = at + (i * planes + p) * 16;
                const __m512i code = quick16(f, o->multiplier32 + here, o->offset32 + here, factor32, has_factor, has_elu,
                                             moved, low, high, tile->acc[v][i][p], &far);
                packed[i] = _mm512_or_si512(packed[i],
                                            _mm512_slli_epi32(_mm512_and_si512(code, field), (unsigned)(p * width)));
            }
        }
        if (__builtin_expect(_mm512_cmp_ps_mask(far, _mm512_set1_ps(f->tie), _CMP_GT_OQ) != 0, 0))
            for (int i = 0; i < parts; i++) {
                packed[i] = _mm512_setzero_si512();
                for (int p = 0; p < planes; p++) {
                    const int64_t here = at + (i * planes + p) * 16;
                    const __m512i code = exact16(f, o->multiplier + here, o->offset + here, factor, tile->acc[v][i][p], base);
                    packed[i] = _mm512_or_si512(packed[i],
                                                _mm512_slli_epi32(_mm512_and_si512(code, field), (unsigned)(p * width)));
                }
            }
        const int32_t left = bytes - offset - 64 * v;
        if (vectors) {
            const __m512i all = _mm512_packus_epi16(_mm512_packus_epi32(packed[0], packed[1]),
                                                    _mm512_packus_epi32(packed[2], packed[3]));
            if (left >= 64)
                _mm512_storeu_si512(out + offset + 64 * v, all);
            else
                _mm512_mask_storeu_epi8(out + offset + 64 * v, mask_of(left), all);
        } else
            for (int h = 0; h < halves; h++)
                _mm512_mask_cvtepi32_storeu_epi8(out + 16 * h, (__mmask16)mask_of(left - 16 * h > 16 ? 16 : left - 16 * h),
                                                 packed[h]);
    }
}

/* A narrow tile to the reals of its row: logits of a few classes. */
INLINE void emit_reals(const Spmm *job, const Tile *tile, int64_t row, float *out, int halves, int planes) {
    const Finish *f = &job->finish;
    const int32_t bytes = (job->channels + planes - 1) / planes;
    const __m512d factor = _mm512_set1_pd(f->rows ? f->rows[row] : 1);
    for (int p = 0; p < planes; p++)
        for (int h = 0; h < halves; h++) {
            const int32_t k = p * bytes + 16 * h, left = job->channels - k, inside = bytes - 16 * h;
            const __mmask16 mask = (__mmask16)mask_of(left < inside ? (left > 16 ? 16 : left) : (inside > 16 ? 16 : inside));
            __m512d low = _mm512_cvtepi32_pd(_mm512_castsi512_si256(tile->acc[0][h][p]));
            __m512d high = _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(tile->acc[0][h][p], 1));
            low = _mm512_mul_pd(_mm512_mul_pd(low, factor), _mm512_maskz_loadu_pd((__mmask8)mask, f->multiplier + k));
            high = _mm512_mul_pd(_mm512_mul_pd(high, factor),
                                 _mm512_maskz_loadu_pd((__mmask8)(mask >> 8), f->multiplier + k + 8));
            low = _mm512_add_pd(low, _mm512_maskz_loadu_pd((__mmask8)mask, f->offset + k));
            high = _mm512_add_pd(high, _mm512_maskz_loadu_pd((__mmask8)(mask >> 8), f->offset + k + 8));
            const __m512 y = _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
            _mm512_mask_storeu_ps(out + k, mask, y);
        }
}

/* One row: to int32 sums, or to codes. BODY is one of the two ways to end a tile. */
#define TILES(BITS, MOST, NONNEGATIVE, HEADED, END, FULL)                                                                    \
    do {                                                                                                               \
        Tile tile;                                                                                                     \
        enum { PLANES = (BITS) == 8 ? 1 : (BITS) == 2 ? 4 : 2 };                                                       \
        if (bytes <= 16) {                                                                                             \
            narrow(job, first, stop, &tile, here, zero, 1, BITS, NONNEGATIVE, HEADED);                                          \
            END(0, 0, 1, PLANES);                                                                                      \
        } else if (bytes <= 32) {                                                                                      \
            narrow(job, first, stop, &tile, here, zero, 2, BITS, NONNEGATIVE, HEADED);                                          \
            END(0, 0, 2, PLANES);                                                                                      \
        } else                                                                                                         \
            for (int32_t offset = 0; offset < bytes;) {                                                                \
                const int32_t left = (bytes - offset + 63) / 64;                                                       \
                if (MOST >= 4 && left >= 4) {                                                                          \
                    wide(job, first, stop, &tile, here, zero, offset, 4, BITS, NONNEGATIVE, HEADED, FULL);                         \
                    END(offset, 4, 0, PLANES);                                                                         \
                    offset += 256;                                                                                     \
                } else if (MOST >= 2 && left >= 2) {                                                                   \
                    wide(job, first, stop, &tile, here, zero, offset, 2, BITS, NONNEGATIVE, HEADED, FULL);                         \
                    END(offset, 2, 0, PLANES);                                                                         \
                    offset += 128;                                                                                     \
                } else {                                                                                               \
                    wide(job, first, stop, &tile, here, zero, offset, 1, BITS, NONNEGATIVE, HEADED, FULL);                         \
                    END(offset, 1, 0, PLANES);                                                                         \
                    offset += 64;                                                                                      \
                }                                                                                                      \
            }                                                                                                          \
    } while (0)
#define STORE(OFFSET, VECTORS, HALVES, PLANES) store(job, &tile, acc, OFFSET, VECTORS, HALVES, PLANES)
#define REAL(OFFSET, VECTORS, HALVES, PLANES) emit_reals(job, &tile, here, (float *)out, HALVES ? HALVES : 1, PLANES)
#define EMIT(OFFSET, VECTORS, HALVES, PLANES) emit(job, &tile, o, here, out, OFFSET, VECTORS, HALVES, PLANES)


#define CASE(NAME, BITS, MOST, NONNEGATIVE, HEADED)                                                                    \
    static void NAME##_sums(const Spmm *job, int64_t first, int64_t stop, int32_t *acc, int32_t bytes) {               \
        const int64_t here = -1;                                                                                       \
        const int32_t zero = 0;                                                                                        \
        TILES(BITS, MOST, NONNEGATIVE, HEADED, STORE, 0);                                                              \
    }                                                                                                                  \
    static void NAME##_codes(const Spmm *job, int64_t here, int64_t last, const Ordered *o, int32_t zero,              \
                             int32_t bytes, uint8_t *space) {                                                                          \
        for (; here < last; here++) {                                                                                  \
            const int64_t first = job->ptr[here], stop = job->ptr[here + 1];                                           \
            uint8_t *row = (uint8_t *)job->out + here * job->out_bytes, *out = space ? space : row;                    \
            if (job->finish.kind == REALS)                                                                             \
                TILES(BITS, MOST, NONNEGATIVE, HEADED, REAL, 0);                                                       \
            else if (bytes % 64)                                                                                            \
                TILES(BITS, MOST, NONNEGATIVE, HEADED, EMIT, 0);                                                       \
            else                                                                                                       \
                TILES(BITS, MOST, NONNEGATIVE, HEADED, EMIT, 1);                                                       \
            if (space)                                                                                                 \
                avx512_set.pack((const int8_t *)space, job->channels, job->finish.bits, row);                          \
        }                                                                                                              \
    }
CASE(whole_u, 8, 4, 1, 0)
CASE(whole_s, 8, 4, 0, 0)
CASE(halves_u, 4, 2, 1, 0)
CASE(halves_s, 4, 2, 0, 0)
CASE(quarters_u, 2, 1, 1, 0)
CASE(quarters_s, 2, 1, 0, 0)
CASE(whole_uh, 8, 4, 1, 1)
CASE(whole_sh, 8, 4, 0, 1)

void avx512_unpack(const uint8_t *packed, int32_t n, int32_t bits, int8_t *codes);

/* int8 features are taken signed where no weight is negative; packed fields unsigned where the weights fit int8. */
static int chosen(const Spmm *job) { return job->x_bits == 8 ? job->nonnegative : !job->fits_int8; }
static int32_t bias_of(const Spmm *job) { return job->x_bits == 8 && job->nonnegative ? 0 : 1 << (job->x_bits - 1); }

static int32_t avx512_sums(const Spmm *job, int64_t first, int64_t stop, int32_t *acc) {
    const int32_t bytes = bytes_of(job->channels, job->x_bits);
    const int u = chosen(job);
    if (job->heads > 1 && job->x_bits != 8) /* every plane meets other heads: the general loop does it */
        return plain_set.sums(job, first, stop, acc);
    if (job->heads > 1)
        (u ? whole_uh_sums : whole_sh_sums)(job, first, stop, acc, bytes);
    else if (job->x_bits == 8)
        (u ? whole_u_sums : whole_s_sums)(job, first, stop, acc, bytes);
    else if (job->x_bits == 2)
        (u ? quarters_u_sums : quarters_s_sums)(job, first, stop, acc, bytes);
    else
        (u ? halves_u_sums : halves_s_sums)(job, first, stop, acc, bytes);
    return bias_of(job);
}

static int avx512_rows(const Spmm *job, int64_t first, int64_t last) {
    const Finish *f = &job->finish;
    const int planes = planes_of(job->x_bits);
    const int reals = f->kind == REALS && !f->also && bytes_of(job->channels, job->x_bits) <= 32;
    const int codes = f->kind == CODES && f->fast && (planes_of(f->bits) == planes || planes == 1);
    if (!(reals || codes) || job->own != 0 || (job->heads > 1 && planes > 1))
        return 0;
    const int32_t bytes = bytes_of(job->channels, job->x_bits), vectors = (bytes + 63) / 64;
    const int planar = bytes > 32, parts = planar ? 4 : bytes > 16 ? 2 : 1, u = chosen(job);
    const int64_t lanes = (int64_t)vectors * parts * planes * 16;
    double *space = aligned_alloc(64, (size_t)lanes * 24 + (size_t)padded(job->channels));
    if (!space)
        return 0;
    const Ordered o = {(float *)(space + 2 * lanes), (float *)(space + 2 * lanes) + lanes, space, space + lanes};
    for (int64_t at = 0; at < lanes; at++) {
        const int32_t lane = (int32_t)(at % 16), plane = (int32_t)(at / 16 % planes);
        const int32_t part = (int32_t)(at / 16 / planes % parts), vector = (int32_t)(at / 16 / planes / parts);
        const int32_t k = feature_of(planar, bytes, plane, vector, part, lane);
        const int here = k < job->channels;
        o.multiplier[at] = here ? f->multiplier[k] : 0, o.offset[at] = here ? f->offset[k] : 0;
        o.multiplier32[at] = (float)o.multiplier[at];
        o.offset32[at] = (float)(o.offset[at] + f->zero_point + (planes == 1 ? 0 : 1 << (f->bits - 1)));
    }
    const int32_t zero = job->zero + bias_of(job);
    uint8_t *codes_row = codes && planes_of(f->bits) != planes ? (uint8_t *)(o.offset32 + lanes) : NULL;
    if (job->heads > 1)
        (u ? whole_uh_codes : whole_sh_codes)(job, first, last, &o, zero, bytes, codes_row);
    else if (job->x_bits == 8)
        (u ? whole_u_codes : whole_s_codes)(job, first, last, &o, zero, bytes, codes_row);
    else if (job->x_bits == 2)
        (u ? quarters_u_codes : quarters_s_codes)(job, first, last, &o, zero, bytes, codes_row);
    else
        (u ? halves_u_codes : halves_s_codes)(job, first, last, &o, zero, bytes, codes_row);
    free(space);
    return 1;
}

/* 16 features times `vectors` of a float row; full: no mask. */
INLINE void floats(const SpmmFloat *job, int64_t first, int64_t stop, float *acc, int32_t offset, int vectors, int full) {
    const int64_t n = job->channels;
    const __mmask16 last = (__mmask16)mask_of(n - offset - 16 * (vectors - 1));
    const float *x = job->x + offset;
    __m512 sum[8];
    for (int v = 0; v < vectors; v++)
        sum[v] = _mm512_setzero_ps();
    for (int64_t entry = 4 * first; entry < 4 * stop; entry++) {
        const float *row = x + job->indices[entry] * n;
        const char *later = (const char *)(x + job->indices[entry + 4 * AHEAD] * n);
        for (int v = 0; v < vectors; v++)
            _mm_prefetch(later + 64 * v, _MM_HINT_T0);
        const __m512 w = _mm512_set1_ps(job->weights[entry]);
        for (int v = 0; v < vectors; v++)
            sum[v] = _mm512_fmadd_ps(w, full || v < vectors - 1 ? _mm512_loadu_ps(row + 16 * v)
                                                                : _mm512_maskz_loadu_ps(last, row + 16 * v), sum[v]);
    }
    for (int v = 0; v < vectors; v++)
        _mm512_mask_storeu_ps(acc + offset + 16 * v, v < vectors - 1 ? 0xFFFF : last, sum[v]);
}

static void avx512_sums_float(const SpmmFloat *job, int64_t first, int64_t stop, float *acc) {
    const int32_t n = job->channels;
    int32_t offset = 0;
    for (; offset + 128 <= n; offset += 128)
        floats(job, first, stop, acc, offset, 8, 1);
    for (; offset + 16 <= n; offset += 16)
        floats(job, first, stop, acc, offset, 1, 1);
    if (offset < n)
        floats(job, first, stop, acc, offset, 1, 0);
}

/* Bytes of x as the unsigned operand: the fields of a plane, or whole codes moved up by 128. */
INLINE __m512i unsigned_bytes(__m512i four, int planes, int shift, __m512i mask, __m512i flip) {
    return planes == 1 ? _mm512_xor_si512(four, flip) : _mm512_and_si512(_mm512_srli_epi16(four, (unsigned)shift), mask);
}

/* Six rows times 64 outputs, one plane: named sums, because GCC keeps arrays of 24 registers in memory (three times
   slower). 24 sums, four columns, one row's four bytes and a constant leave two registers. */
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define LOAD_ROW(r)                                                                                                    \
    __m512i s##r##0 = sum[r][0], s##r##1 = sum[r][1], s##r##2 = sum[r][2], s##r##3 = sum[r][3];                        \
    const uint8_t *x##r = x + r * step;
#define ADD_ROW(r)                                                                                                     \
    u = unsigned_bytes(_mm512_set1_epi32(*(const int32_u *)(x##r + 4 * b)), planes, shift, mask, flip);                \
    s##r##0 = dot(s##r##0, u, c0), s##r##1 = dot(s##r##1, u, c1);                                                      \
    s##r##2 = dot(s##r##2, u, c2), s##r##3 = dot(s##r##3, u, c3);
#define KEEP_ROW(r) sum[r][0] = s##r##0, sum[r][1] = s##r##1, sum[r][2] = s##r##2, sum[r][3] = s##r##3;
typedef int32_t __attribute__((aligned(1), may_alias)) int32_u;

INLINE void tile_64(const uint8_t *x, int64_t step, const int8_t *w, int32_t blocks, int planes, int shift, __m512i mask,
                    __m512i flip, __m512i (*sum)[4]) {
    EACH_ROW(LOAD_ROW)
    for (int32_t b = 0; b < blocks; b++, w += 256) {
        const __m512i c0 = _mm512_loadu_si512(w), c1 = _mm512_loadu_si512(w + 64);
        const __m512i c2 = _mm512_loadu_si512(w + 128), c3 = _mm512_loadu_si512(w + 192);
        __m512i u;
        EACH_ROW(ADD_ROW)
    }
    EACH_ROW(KEEP_ROW)
}

/* `count` rows times 16 * `vectors` outputs in registers; fields are parted by a shift and a mask, once for all outputs.
   The sums are centred for the zero point of x. */
INLINE void block(const Gemm *job, int64_t row, int count, int64_t from, int vectors, int bits, __m512i (*sum)[4]) {
    const int planes = bits == 8 ? 1 : bits == 2 ? 4 : 2, width = 8 / planes;
    const int32_t bytes = bytes_of(job->inner, bits), blocks = (bytes + 3) / 4;
    const int64_t outputs = padded(job->channels);
    const __m512i mask = _mm512_set1_epi8((char)((1 << width) - 1)), flip = _mm512_set1_epi8((char)0x80);
    UNROLL for (int r = 0; r < count; r++)
        UNROLL for (int v = 0; v < vectors; v++)
            sum[r][v] = _mm512_setzero_si512();
    const uint8_t *x = job->x + row * job->x_bytes;
    const int64_t step = job->x_bytes;
    const int32_t whole = bytes / 4;
    for (int p = 0; p < planes; p++) {
        const int8_t *w = job->weights + ((int64_t)p * outputs + from / 64 * 64) * blocks * 4 + from % 64 * 4;
        if (count == ROWS && vectors == 4) {
            tile_64(x, step, w, whole, planes, p * width, mask, flip, sum);
            w += 256 * (int64_t)whole;
        } else
        for (int32_t b = 0; b < whole; b++, w += 256) {
            __m512i column[4];
            UNROLL for (int v = 0; v < vectors; v++)
                column[v] = _mm512_loadu_si512(w + 64 * v);
            UNROLL for (int r = 0; r < count; r++) {
                int32_t word;
                memcpy(&word, x + r * step + 4 * b, 4);
                const __m512i u = unsigned_bytes(_mm512_set1_epi32(word), planes, p * width, mask, flip);
                UNROLL for (int v = 0; v < vectors; v++)
                    sum[r][v] = dot(sum[r][v], u, column[v]);
            }
        }
        UNROLL for (int r = 0; whole < blocks && r < count; r++) {
            const __m128i word = _mm_maskz_loadu_epi8((__mmask16)mask_of(bytes - 4 * whole), x + r * step + 4 * whole);
            const __m512i u = unsigned_bytes(_mm512_broadcastd_epi32(word), planes, p * width, mask, flip);
            UNROLL for (int v = 0; v < vectors; v++)
                sum[r][v] = dot(sum[r][v], u, _mm512_loadu_si512(w + 64 * v));
        }
    }
    const __m512i zero = _mm512_set1_epi32(job->zero + (1 << (job->x_bits - 1)));
    UNROLL for (int v = 0; v < vectors; v++) {
        const __m512i shift = _mm512_mullo_epi32(zero, _mm512_loadu_si512(job->column_sums + from + 16 * v));
        UNROLL for (int r = 0; r < count; r++)
            sum[r][v] = _mm512_sub_epi32(sum[r][v], shift);
    }
}

INLINE void block_sums(const Gemm *job, int64_t row, int count, int32_t *acc, int64_t stride, int64_t from, int bits) {
    __m512i sum[ROWS][4];
    block(job, row, count, from, 4, bits, sum);
    UNROLL for (int r = 0; r < count; r++)
        UNROLL for (int v = 0; v < 4; v++)
            _mm512_storeu_si512(acc + r * stride + from + 16 * v, sum[r][v]);
}

/* Sum of the codes of a row of x, for a weight with a zero point. */
static int32_t total_of(const Gemm *job, int64_t row) {
    const int planes = planes_of(job->x_bits), width = width_of(job->x_bits);
    const int32_t bytes = bytes_of(job->inner, job->x_bits);
    const __m512i flip = _mm512_set1_epi8((char)0x80), field = _mm512_set1_epi8((char)((1 << width) - 1));
    __m512i sum = _mm512_setzero_si512();
    for (int32_t from = 0; from < bytes; from += 64) {
        const uint8_t *x = job->x + row * job->x_bytes + from;
        for (int p = 0; p < planes; p++) {
            const __mmask64 mask = mask_of(bytes - from) & mask_of(job->inner - p * bytes - from);
            __m512i u = _mm512_maskz_loadu_epi8(mask, x);
            u = planes == 1 ? _mm512_maskz_mov_epi8(mask, _mm512_xor_si512(u, flip))
                            : _mm512_and_si512(_mm512_srli_epi16(u, (unsigned)(p * width)), field);
            sum = _mm512_add_epi64(sum, _mm512_sad_epu8(u, _mm512_setzero_si512()));
        }
    }
    return (int32_t)_mm512_reduce_add_epi64(sum) - (job->inner << (job->x_bits - 1));
}

#define BLOCKS(BITS)                                                                                                   \
    for (int64_t from = 0; from < padded(job->channels); from += 64) {                                                 \
        if (count == ROWS)                                                                                             \
            block_sums(job, row, ROWS, acc, stride, from, BITS);                                                          \
        else                                                                                                           \
            for (int r = 0; r < count; r++)                                                                            \
                block_sums(job, row + r, 1, acc + r * stride, stride, from, BITS);                                       \
    }

static void avx512_products(const Gemm *job, int64_t row, int count, int32_t *acc, int64_t stride) {
    if (job->x_bits == 8) {
        BLOCKS(8)
    } else if (job->x_bits == 2) {
        BLOCKS(2)
    } else {
        BLOCKS(4)
    }
}

/* A block straight to codes, one to a byte. */
INLINE void block_codes(const Gemm *job, int64_t row, int count, int64_t from, int vectors, int bits, const int32_t *shift,
                        int8_t *codes, int64_t stride) {
    __m512i sum[ROWS][4];
    block(job, row, count, from, vectors, bits, sum);
    UNROLL for (int r = 0; r < count; r++)
        UNROLL for (int v = 0; v < vectors; v++) {
            const int32_t k = (int32_t)from + 16 * v;
            const __m512i centred = _mm512_sub_epi32(sum[r][v], _mm512_set1_epi32(shift[r]));
            const int64_t left = job->channels - k;
            _mm512_mask_cvtepi32_storeu_epi8(codes + r * stride + k, (__mmask16)mask_of(left > 16 ? 16 : left),
                                             codes16(&job->finish, k, centred));
        }
}

INLINE void rows_codes(const Gemm *job, int64_t row, int count, int bits, const int32_t *shift, int8_t *codes,
                       int64_t stride) {
    int64_t from = 0;
    for (; from + 64 <= job->channels; from += 64)
        block_codes(job, row, count, from, 4, bits, shift, codes, stride);
    for (; from + 32 <= job->channels; from += 32)
        block_codes(job, row, count, from, 2, bits, shift, codes, stride);
    for (; from < job->channels; from += 16)
        block_codes(job, row, count, from, 1, bits, shift, codes, stride);
}

#define GEMM_ROWS(NAME, BITS)                                                                                          \
    static __attribute__((noinline)) void NAME(const Gemm *job, int64_t row, int count, const int32_t *shift,          \
                                               int8_t *codes, int64_t stride) {                                        \
        if (count == ROWS)                                                                                             \
            rows_codes(job, row, ROWS, BITS, shift, codes, stride);                                                    \
        else                                                                                                           \
            for (int r = 0; r < count; r++)                                                                            \
                rows_codes(job, row + r, 1, BITS, shift + r, codes + r * stride, stride);                              \
    }
GEMM_ROWS(gemm_rows_8, 8)
GEMM_ROWS(gemm_rows_4, 4)
GEMM_ROWS(gemm_rows_2, 2)

static int avx512_gemm(const Gemm *job, int64_t row, int64_t last, int8_t *space) {
    const Finish *f = &job->finish;
    if (f->kind != CODES || !f->fast || f->thresholds || f->rows || job->second)
        return 0;
    const int whole = f->bits == 8;
    for (; row < last; row += ROWS) {
        const int count = last - row < ROWS ? (int)(last - row) : ROWS;
        int32_t shift[ROWS] = {0};
        for (int r = 0; job->weight_zero && r < count; r++)
            shift[r] = (int32_t)((uint32_t)job->weight_zero * (uint32_t)(total_of(job, row + r) - job->zero * job->inner));
        uint8_t *out = (uint8_t *)job->out + row * job->out_bytes;
        int8_t *codes = whole ? (int8_t *)out : space;
        const int64_t stride = whole ? job->out_bytes : padded(job->channels);
        (job->x_bits == 8 ? gemm_rows_8 : job->x_bits == 2 ? gemm_rows_2 : gemm_rows_4)(job, row, count, shift, codes, stride);
        for (int r = 0; !whole && r < count; r++)
            avx512_set.pack(space + r * stride, job->channels, f->bits, out + r * job->out_bytes);
    }
    return 1;
}

INLINE __m512i codes_of(const Finish *f, __m512 y) {
    if (f->thresholds)
        y = elu_exact(f, y);
    y = _mm512_min_ps(_mm512_max_ps(y, _mm512_set1_ps(f->low)), _mm512_set1_ps(f->high));
    return _mm512_add_epi32(_mm512_cvtps_epi32(y), _mm512_set1_epi32(f->zero_point));
}

static void avx512_finish(const Finish *f, const Row *row, int32_t n, void *out) {
    const double factor = f->rows ? f->rows[row->number] : 1;
    const int quick = f->kind == CODES && f->fast && !row->self && !row->second && !f->rows && !f->thresholds;
    for (int32_t k = 0; k < n; k += 16) {
        const __mmask16 mask = (__mmask16)mask_of(n - k > 16 ? 16 : n - k);
        const __m512i sums = _mm512_maskz_loadu_epi32(mask, row->sums + k);
        if (quick) {
            _mm512_mask_cvtepi32_storeu_epi8((int8_t *)out + k, mask, codes16(f, k, sums));
            continue;
        }
        __m512d half[2] = {_mm512_cvtepi32_pd(_mm512_castsi512_si256(sums)),
                           _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(sums, 1))};
        for (int h = 0; h < 2; h++) {
            const int32_t at = k + 8 * h;
            const __mmask8 part = (__mmask8)(mask >> (8 * h));
            if (row->self) {
                const __m256i codes = _mm256_cvtepi8_epi32(_mm_maskz_loadu_epi8(part, row->self + at));
                const __m512d own = _mm512_cvtepi32_pd(_mm256_sub_epi32(codes, _mm256_set1_epi32(row->zero)));
                half[h] = _mm512_add_pd(half[h], _mm512_mul_pd(_mm512_set1_pd(row->own), own));
            }
            half[h] = _mm512_mul_pd(half[h], _mm512_set1_pd(factor));
            half[h] = _mm512_mul_pd(half[h], _mm512_loadu_pd(f->multiplier + at));
            if (row->second) {
                const __m512d second = _mm512_cvtepi32_pd(_mm256_maskz_loadu_epi32(part, row->second + at));
                half[h] = _mm512_add_pd(half[h], _mm512_mul_pd(second, _mm512_loadu_pd(f->also + at)));
            }
            half[h] = _mm512_add_pd(half[h], _mm512_loadu_pd(f->offset + at));
        }
        const __m512 y = _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(half[0])), _mm512_cvtpd_ps(half[1]), 1);
        if (f->kind == REALS)
            _mm512_mask_storeu_ps((float *)out + k, mask, y);
        else
            _mm512_mask_cvtepi32_storeu_epi8((int8_t *)out + k, mask, codes_of(f, y));
    }
}

static void avx512_quantize(const Finish *f, const float *x, float inverse, int32_t n, int8_t *out) {
    const __m512 by = _mm512_set1_ps(inverse);
    for (int32_t k = 0; k < n; k += 16) {
        const __mmask16 mask = (__mmask16)mask_of(n - k > 16 ? 16 : n - k);
        const __m512 y = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + k), by);
        _mm512_mask_cvtepi32_storeu_epi8(out + k, mask, codes_of(f, y));
    }
}

/* Up to eight heads side by side; entry after entry, as the reference adds them. Rows of up to KEPT entries keep their
   exponentials, longer ones look them up twice. */
enum { KEPT = 128 };

INLINE __m512d exponentials(const Attention *job, int64_t entry, __m256i target, __mmask8 heads) {
    const int8_t *source = job->source + (int64_t)job->indices[entry] * job->stride;
    const __m256i sum = _mm256_add_epi32(_mm256_cvtepi8_epi32(_mm_maskz_loadu_epi8(heads, source)), target);
    return _mm512_mask_i32gather_pd(_mm512_setzero_pd(), heads, sum, job->table, 8);
}

static void avx512_attention(const Attention *job, int64_t row) {
    const __mmask8 heads = (__mmask8)mask_of(job->heads);
    const int64_t first = 4 * job->ptr[row];
    int64_t stop = 4 * job->ptr[row + 1];
    while (stop > first && !job->live[stop - 1])
        stop--;
    const __m256i target = _mm256_sub_epi32(
        _mm256_cvtepi8_epi32(_mm_maskz_loadu_epi8(heads, job->target + row * job->stride)),
        _mm256_set1_epi32(job->table_first));
    __m512d kept[KEPT], total = _mm512_setzero_pd();
    for (int64_t entry = first; entry < stop; entry++) {
        const __m512d e = exponentials(job, entry, target, heads);
        if (entry - first < KEPT)
            kept[entry - first] = e;
        total = _mm512_add_pd(total, e);
    }
    __m256i sums = _mm256_setzero_si256();
    for (int64_t entry = first; entry < stop; entry++) {
        const __m512d e = entry - first < KEPT ? kept[entry - first] : exponentials(job, entry, target, heads);
        const __m256 share = _mm512_cvtpd_ps(_mm512_maskz_div_pd(heads, e, total));
        __m256 y = _mm256_mul_ps(share, _mm256_set1_ps(job->inverse));
        y = _mm256_min_ps(_mm256_max_ps(y, _mm256_set1_ps(job->low)), _mm256_set1_ps(job->high));
        const __m256i weight = _mm256_maskz_cvtps_epi32(heads, y);
        sums = _mm256_add_epi32(sums, weight);
        _mm256_mask_cvtepi32_storeu_epi8(job->weights + entry * job->heads, heads, weight);
    }
    for (int64_t entry = stop; entry < 4 * job->ptr[row + 1]; entry++)
        memset(job->weights + entry * job->heads, 0, (size_t)job->heads);
    _mm256_mask_storeu_epi32(job->weight_sums + row * job->heads, heads, sums);
}

static void avx512_entries(const float *x, int64_t n, float inverse, float low, float high, uint8_t *out) {
    for (int64_t k = 0; k < n; k += 16) {
        const __mmask16 mask = (__mmask16)mask_of(n - k > 16 ? 16 : n - k);
        const __m512 y = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + k), _mm512_set1_ps(inverse));
        const __m512 inside = _mm512_min_ps(_mm512_max_ps(y, _mm512_set1_ps(low)), _mm512_set1_ps(high));
        _mm512_mask_cvtepi32_storeu_epi8(out + k, mask, _mm512_cvtps_epi32(inside));
    }
}

static void avx512_pack(const int8_t *codes, int32_t n, int32_t bits, uint8_t *out) {
    const int planes = planes_of(bits), width = width_of(bits);
    const int32_t bytes = bytes_of(n, bits);
    const __m512i qmin = _mm512_set1_epi8((char)-(1 << (bits - 1)));
    if (planes == 1) {
        memcpy(out, codes, (size_t)n);
        return;
    }
    for (int32_t from = 0; from < bytes; from += 64) {
        const __mmask64 inside = mask_of(bytes - from);
        __m512i packed = _mm512_setzero_si512();
        for (int p = 0; p < planes; p++) {
            const __mmask64 mask = inside & mask_of(n - p * bytes - from);
            const __m512i field = _mm512_maskz_sub_epi8(mask, _mm512_maskz_loadu_epi8(mask, codes + p * bytes + from), qmin);
            packed = _mm512_or_si512(packed, _mm512_slli_epi16(field, (unsigned)(p * width)));
        }
        _mm512_mask_storeu_epi8(out + from, inside, packed);
    }
}

void avx512_unpack(const uint8_t *packed, int32_t n, int32_t bits, int8_t *codes) {
    const int planes = planes_of(bits), width = width_of(bits);
    const int32_t bytes = bytes_of(n, bits);
    const __m512i qmin = _mm512_set1_epi8((char)-(1 << (bits - 1)));
    const __m512i field = _mm512_set1_epi8((char)((1 << width) - 1));
    if (planes == 1) {
        memcpy(codes, packed, (size_t)n);
        return;
    }
    for (int32_t from = 0; from < bytes; from += 64) {
        const __m512i raw = _mm512_maskz_loadu_epi8(mask_of(bytes - from), packed + from);
        for (int p = 0; p < planes; p++) {
            const __mmask64 mask = mask_of(bytes - from) & mask_of(n - p * bytes - from);
            const __m512i part = _mm512_and_si512(_mm512_srli_epi16(raw, (unsigned)(p * width)), field);
            _mm512_mask_storeu_epi8(codes + p * bytes + from, mask, _mm512_add_epi8(part, qmin));
        }
    }
}

const Set avx512_set = {avx512_sums,     avx512_rows, avx512_gemm, avx512_sums_float, avx512_products, avx512_finish,
                        avx512_quantize, avx512_attention, avx512_entries, avx512_pack, avx512_unpack};
#else
const Set avx512_set;
#endif
