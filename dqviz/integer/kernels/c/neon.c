/* Arm NEON with the dot product (ARMv8.2 on): four products of bytes and their sum, in four lanes. Both operands are
   signed or both unsigned: where no weight is negative codes are moved up by 128 and all is unsigned, else all is signed.
   No sum can saturate.

   The bytes of four rows are interleaved in order: lane l of part i stands for byte 4 i + l. A row's last vector begins 16
   bytes before its end and does some bytes twice; a row of less than 16 bytes is filled up with zeros. */
#include "kernels.h"

#if defined(__aarch64__) && !defined(__AARCH64EB__) && (defined(__ARM_FEATURE_DOTPROD) || !defined(__clang__))
#if !defined(__ARM_FEATURE_DOTPROD)
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif
#include <arm_neon.h>
#include <string.h>

#define UNROLL _Pragma("GCC unroll 8")
enum { AHEAD = 6, BYTES = 16 }; /* groups between a prefetch and its use; bytes of a vector */

/* Fewer than 16 bytes, then zeros: nothing behind them is read. */
INLINE uint8x16_t load_few(const uint8_t *from, int32_t count) {
    uint64_t part[2] = {0};
    int32_t at = 0;
    if (count >= 8)
        memcpy(part, from, 8), at = 8;
    for (; at < count; at++)
        part[at / 8] |= (uint64_t)from[at] << (at % 8 * 8);
    return vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(part[0]), vcreate_u64(part[1])));
}

INLINE uint8x16_t load_row(const uint8_t *from, int32_t have, int full) {
    return full ? vld1q_u8(from) : load_few(from, have);
}

/* The four weights of a group, for one head. */
INLINE uint32_t four_of(const Spmm *job, int64_t group, int32_t head) {
    const int32_t heads = job->heads;
    const uint8_t *w = job->weights + 4 * group * heads + head;
    return w[0] | (uint32_t)w[heads] << 8 | (uint32_t)w[2 * heads] << 16 | (uint32_t)w[3 * heads] << 24;
}

INLINE int32x4_t dot(int32x4_t acc, uint8x16_t x, uint8x16_t w, int all_unsigned) {
    if (all_unsigned)
        return vreinterpretq_s32_u32(vdotq_u32(vreinterpretq_u32_s32(acc), x, w));
    return vdotq_s32(acc, vreinterpretq_s8_u8(x), vreinterpretq_s8_u8(w));
}

INLINE uint8x16_t field_of(uint8x16_t bytes, int shift, int width) {
    const uint8x16_t moved = shift ? vshlq_u8(bytes, vdupq_n_s8((int8_t)-shift)) : bytes;
    return shift + width == 8 ? moved : vandq_u8(moved, vdupq_n_u8((uint8_t)((1 << width) - 1)));
}

INLINE void interleave(const uint8x16_t *row, uint8x16_t *q) {
    const uint16x8_t ab = vreinterpretq_u16_u8(vzip1q_u8(row[0], row[1])), AB = vreinterpretq_u16_u8(vzip2q_u8(row[0], row[1]));
    const uint16x8_t cd = vreinterpretq_u16_u8(vzip1q_u8(row[2], row[3])), CD = vreinterpretq_u16_u8(vzip2q_u8(row[2], row[3]));
    q[0] = vreinterpretq_u8_u16(vzip1q_u16(ab, cd)), q[1] = vreinterpretq_u8_u16(vzip2q_u16(ab, cd));
    q[2] = vreinterpretq_u8_u16(vzip1q_u16(AB, CD)), q[3] = vreinterpretq_u8_u16(vzip2q_u16(AB, CD));
}

/* `vectors` times 16 bytes of a row from byte `from`. Where all is unsigned, fields are not parted, as for AVX-512. */
INLINE void pass(const Spmm *job, int64_t first, int64_t stop, int32_t head, int32_t from, int32_t channels, int32_t bytes,
                 int32_t *acc, int vectors, int bits, int all_unsigned, int full) {
    const int planes = bits == 8 ? 1 : bits == 2 ? 4 : 2, width = 8 / planes;
    const uint8x16_t flip = vdupq_n_u8(128);
    int32x4_t sum[4][4][4]; /* [vector][plane][part] */
    UNROLL for (int v = 0; v < vectors; v++)
        UNROLL for (int p = 0; p < planes; p++)
            UNROLL for (int i = 0; i < 4; i++)
                sum[v][p][i] = vdupq_n_s32(0);
    const uint8_t *x = job->x + (int64_t)head * bytes + from;
    for (int64_t g = first; g < stop; g++) {
        const int32_t *at = job->indices + 4 * g;
        for (int e = 0; e < 4; e++)
            __builtin_prefetch(x + at[4 * AHEAD + e] * job->x_bytes);
        const uint8x16_t w = vreinterpretq_u8_u32(vdupq_n_u32(four_of(job, g, head)));
        UNROLL for (int v = 0; v < vectors; v++) {
            uint8x16_t row[4], q[4];
            UNROLL for (int e = 0; e < 4; e++)
                row[e] = load_row(x + at[e] * job->x_bytes + BYTES * v, bytes, full);
            interleave(row, q);
            UNROLL for (int i = 0; i < 4; i++)
                UNROLL for (int p = 0; p < planes; p++) {
                    const uint8x16_t part = planes == 1 ? (all_unsigned ? veorq_u8(q[i], flip) : q[i])
                                            : !all_unsigned     ? field_of(q[i], p * width, width)
                                            : p == planes - 1   ? q[i]
                                                                : field_of(q[i], 0, width * (p + 1));
                    sum[v][p][i] = dot(sum[v][p][i], part, w, all_unsigned);
                }
        }
    }
    for (int v = 0; v < vectors; v++)
        for (int p = planes - 1; p >= 0; p--) {
            const int32_t start = from + BYTES * v, inside = bytes - start, left = channels - p * bytes - start;
            const int32_t count = left < inside ? left : inside;
            int32_t *to = acc + p * bytes + start;
            for (int i = 0; i < 4; i++) {
                int32x4_t lanes = sum[v][p][i];
                if (p > 0 && all_unsigned)
                    lanes = vshlq_s32(vsubq_s32(lanes, sum[v][p - 1][i]), vdupq_n_s32(-p * width));
                if (count >= 4 * i + 4)
                    vst1q_s32(to + 4 * i, lanes);
                else
                    for (int l = 0; l < count - 4 * i; l++)
                        to[4 * i + l] = lanes[l];
            }
        }
}

#define CASE(NAME, BITS, MOST, UNSIGNED)                                                                               \
    static void NAME(const Spmm *job, int64_t first, int64_t stop, int32_t head, int32_t channels, int32_t *acc) {     \
        const int32_t bytes = bytes_of(channels, BITS);                                                                \
        int32_t from = 0;                                                                                              \
        if (bytes < BYTES)                                                                                             \
            pass(job, first, stop, head, 0, channels, bytes, acc, 1, BITS, UNSIGNED, 0);                               \
        for (; from + MOST * BYTES <= bytes; from += MOST * BYTES)                                                     \
            pass(job, first, stop, head, from, channels, bytes, acc, MOST, BITS, UNSIGNED, 1);                         \
        for (; bytes >= BYTES && from < bytes; from += BYTES)                                                          \
            pass(job, first, stop, head, from + BYTES <= bytes ? from : bytes - BYTES, channels, bytes, acc, 1, BITS,  \
                 UNSIGNED, 1);                                                                                         \
    }
CASE(whole_u, 8, 4, 1)
CASE(whole_s, 8, 4, 0)
CASE(halves_u, 4, 2, 1)
CASE(halves_s, 4, 2, 0)
CASE(quarters_u, 2, 1, 1)
CASE(quarters_s, 2, 1, 0)

/* A head is a row of its own. */
static int32_t sums(const Spmm *job, int64_t first, int64_t stop, int32_t *acc) {
    const int32_t channels = job->channels / job->heads;
    if (job->x_bits == 8) {
        for (int32_t head = 0; head < job->heads; head++)
            (job->nonnegative ? whole_u : whole_s)(job, first, stop, head, channels, acc + head * channels);
        return job->nonnegative ? 128 : 0;
    }
    if (job->heads > 1) /* every plane meets other heads: the general loop does it */
        return plain_set.sums(job, first, stop, acc);
    if (job->x_bits == 2)
        (job->nonnegative ? quarters_u : quarters_s)(job, first, stop, 0, channels, acc);
    else
        (job->nonnegative ? halves_u : halves_s)(job, first, stop, 0, channels, acc);
    return 1 << (job->x_bits - 1);
}

/* 4 features times `vectors` of a float row. */
INLINE void floats(const SpmmFloat *job, int64_t first, int64_t stop, float *acc, int32_t offset, int vectors) {
    const int64_t n = job->channels;
    const float *x = job->x + offset;
    float32x4_t sum[8];
    UNROLL for (int v = 0; v < vectors; v++)
        sum[v] = vdupq_n_f32(0);
    for (int64_t entry = 4 * first; entry < 4 * stop; entry++) {
        const float *row = x + job->indices[entry] * n, *later = x + job->indices[entry + 4 * AHEAD] * n;
        for (int v = 0; v < vectors; v += 4)
            __builtin_prefetch(later + 4 * v);
        UNROLL for (int v = 0; v < vectors; v++)
            sum[v] = vfmaq_n_f32(sum[v], vld1q_f32(row + 4 * v), job->weights[entry]);
    }
    UNROLL for (int v = 0; v < vectors; v++)
        vst1q_f32(acc + offset + 4 * v, sum[v]);
}

static void sums_float(const SpmmFloat *job, int64_t first, int64_t stop, float *acc) {
    const int32_t n = job->channels;
    int32_t offset = 0;
    for (; offset + 32 <= n; offset += 32)
        floats(job, first, stop, acc, offset, 8);
    for (; offset + 4 <= n; offset += 4)
        floats(job, first, stop, acc, offset, 1);
    for (; offset < n; offset++) {
        float sum = 0;
        for (int64_t entry = 4 * first; entry < 4 * stop; entry++)
            sum += job->weights[entry] * job->x[(int64_t)job->indices[entry] * n + offset];
        acc[offset] = sum;
    }
}

/* A row of x as signed codes: planes one after the other, each filled up with zeros to whole blocks of four. */
static void prepare(const Gemm *job, const uint8_t *x, int8_t *out) {
    const int planes = planes_of(job->x_bits), width = width_of(job->x_bits), mask = (1 << width) - 1;
    const int32_t bytes = bytes_of(job->inner, job->x_bits), blocks = (bytes + 3) / 4;
    const int base = planes == 1 ? 0 : -(1 << (job->x_bits - 1));
    for (int p = 0; p < planes; p++, out += 4 * blocks) {
        for (int32_t k = 0; k < bytes; k++)
            out[k] = (int8_t)(((x[k] >> (p * width)) & mask) + base);
        for (int32_t k = bytes; k < 4 * blocks; k++)
            out[k] = 0;
    }
}

/* `count` rows times 16 outputs. */
INLINE void block(const Gemm *job, const int8_t *x, int64_t length, int count, int64_t from, int32_t *acc, int64_t stride) {
    const int planes = planes_of(job->x_bits);
    const int64_t outputs = padded(job->channels), blocks = (bytes_of(job->inner, job->x_bits) + 3) / 4;
    int32x4_t sum[3][4];
    UNROLL for (int r = 0; r < count; r++)
        UNROLL for (int c = 0; c < 4; c++)
            sum[r][c] = vdupq_n_s32(0);
    for (int p = 0; p < planes; p++) {
        const int8_t *w = job->weights + ((int64_t)p * outputs + from / 64 * 64) * blocks * 4 + from % 64 * 4;
        const int8_t *in = x + 4 * blocks * p;
        for (int64_t b = 0; b < blocks; b++, w += 256, in += 4) {
            int8x16_t four[3];
            UNROLL for (int r = 0; r < count; r++) {
                int32_t word;
                memcpy(&word, in + r * length, 4);
                four[r] = vreinterpretq_s8_s32(vdupq_n_s32(word));
            }
            UNROLL for (int c = 0; c < 4; c++) {
                const int8x16_t column = vld1q_s8(w + 16 * c);
                UNROLL for (int r = 0; r < count; r++)
                    sum[r][c] = vdotq_s32(sum[r][c], four[r], column);
            }
        }
    }
    UNROLL for (int c = 0; c < 4; c++) {
        const int32x4_t column_sums = vld1q_s32(job->column_sums + from + 4 * c);
        UNROLL for (int r = 0; r < count; r++)
            vst1q_s32(acc + r * stride + from + 4 * c, vmlsq_n_s32(sum[r][c], column_sums, job->zero));
    }
}

static void products(const Gemm *job, int64_t row, int count, int32_t *acc, int64_t stride) {
    const int64_t blocks = (bytes_of(job->inner, job->x_bits) + 3) / 4, length = 4 * blocks * planes_of(job->x_bits);
    int8_t x[count][length];
    for (int r = 0; r < count; r++)
        prepare(job, job->x + (row + r) * job->x_bytes, x[r]);
    for (int64_t from = 0; from < job->channels; from += 16) {
        int r = 0;
        for (; r + 3 <= count; r += 3)
            block(job, x[r], length, 3, from, acc + r * stride, stride);
        for (; r < count; r++)
            block(job, x[r], length, 1, from, acc + r * stride, stride);
    }
}

/* ELU in steps, exactly: a negative y becomes minus the number of thresholds above it. */
INLINE float32x4_t elu_exact(const Finish *f, float32x4_t y) {
    const uint32x4_t negative = vcltzq_f32(y);
    if (!vmaxvq_u32(negative))
        return y;
    int32x4_t steps = vdupq_n_s32(0);
    for (int32_t t = 0; t < f->num_thresholds; t++)
        steps = vaddq_s32(steps, vreinterpretq_s32_u32(vcltq_f32(y, vdupq_n_f32(f->thresholds[t]))));
    return vbslq_f32(negative, vcvtq_f32_s32(steps), y);
}

/* ELU in steps, off by less than 2e-6 of f->elu steps. */
INLINE float32x4_t elu_near(const Finish *f, float32x4_t y) {
    const float32x4_t power = vmulq_n_f32(vminq_f32(y, vdupq_n_f32(0)), 1.44269504f / f->elu);
    const float32x4_t bounded = vmaxq_f32(power, vdupq_n_f32(-100)), whole = vrndnq_f32(bounded);
    const float32x4_t part = vsubq_f32(bounded, whole);
    float32x4_t p = vdupq_n_f32(1.5403530e-4f);
    p = vfmaq_f32(vdupq_n_f32(1.3333558e-3f), p, part);
    p = vfmaq_f32(vdupq_n_f32(9.6181291e-3f), p, part);
    p = vfmaq_f32(vdupq_n_f32(5.5504109e-2f), p, part);
    p = vfmaq_f32(vdupq_n_f32(2.4022651e-1f), p, part);
    p = vfmaq_f32(vdupq_n_f32(6.9314718e-1f), p, part);
    p = vfmaq_f32(vdupq_n_f32(1), p, part);
    const int32x4_t exponent = vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(whole), vdupq_n_s32(127)), 23);
    const float32x4_t unit = vdupq_n_f32(f->elu);
    const float32x4_t below = vfmaq_f32(vnegq_f32(unit), vmulq_f32(p, vreinterpretq_f32_s32(exponent)), unit);
    return vbslq_f32(vcltzq_f32(y), below, y);
}

INLINE float32x4_t inside(float32x4_t y, float low, float high) {
    return vminnmq_f32(vmaxnmq_f32(y, vdupq_n_f32(low)), vdupq_n_f32(high));
}

INLINE float64x2_t doubles(int32x2_t values) { return vcvtq_f64_s64(vmovl_s32(values)); }

/* Two of a row's results in float64 from column k on, in the order of operations of the reference. */
INLINE float32x2_t real2(const Finish *f, const Row *row, int32_t k) {
    float64x2_t y = doubles(vld1_s32(row->sums + k));
    if (row->self) {
        const int32x2_t self = {row->self[k] - row->zero, row->self[k + 1] - row->zero};
        y = vaddq_f64(y, vmulq_n_f64(doubles(self), row->own));
    }
    if (f->rows)
        y = vmulq_n_f64(y, f->rows[row->number]);
    y = vmulq_f64(y, vld1q_f64(f->multiplier + k));
    if (row->second)
        y = vaddq_f64(y, vmulq_f64(doubles(vld1_s32(row->second + k)), vld1q_f64(f->also + k)));
    return vcvt_f32_f64(vaddq_f64(y, vld1q_f64(f->offset + k)));
}

INLINE float32x4_t real4(const Finish *f, const Row *row, int32_t k) {
    return vcombine_f32(real2(f, row, k), real2(f, row, k + 2));
}

INLINE int32x4_t exact4(const Finish *f, const Row *row, int32_t k) {
    float32x4_t y = real4(f, row, k);
    if (f->thresholds)
        y = elu_exact(f, y);
    return vaddq_s32(vcvtnq_s32_f32(inside(y, f->low, f->high)), vdupq_n_s32(f->zero_point));
}

/* The same from float32; `far` keeps the largest distance from an integer. */
INLINE int32x4_t quick4(const Finish *f, const Row *row, int32_t k, float factor, float32x4_t *far) {
    float32x4_t y = vcvtq_f32_s32(vld1q_s32(row->sums + k));
    if (f->rows)
        y = vmulq_n_f32(y, factor);
    y = vfmaq_f32(vld1q_f32(f->offset32 + k), y, vld1q_f32(f->multiplier32 + k));
    if (f->thresholds)
        y = elu_near(f, y);
    y = inside(y, f->low, f->high);
    const float32x4_t rounded = vrndnq_f32(y);
    *far = vmaxq_f32(*far, vabdq_f32(y, rounded));
    return vaddq_s32(vcvtnq_s32_f32(rounded), vdupq_n_s32(f->zero_point));
}

/* Low bytes of up to 16 int32 to memory. */
INLINE void store_bytes(void *out, const int32x4_t *c, int64_t count) {
    const int16x8_t low = vcombine_s16(vmovn_s32(c[0]), vmovn_s32(c[1])), high = vcombine_s16(vmovn_s32(c[2]), vmovn_s32(c[3]));
    const int8x16_t bytes = vcombine_s8(vmovn_s16(low), vmovn_s16(high));
    int8_t kept[BYTES];
    if (count >= BYTES) {
        vst1q_s8(out, bytes);
        return;
    }
    vst1q_s8(kept, bytes);
    memcpy(out, kept, (size_t)count);
}

static void finish(const Finish *f, const Row *row, int32_t n, void *out) {
    const int quick = f->fast && !row->self && !row->second;
    const float factor = f->rows ? (float)f->rows[row->number] : 1;
    if (f->kind == REALS) {
        for (int32_t k = 0; k < n; k += 4) {
            float kept[4];
            vst1q_f32(kept, real4(f, row, k));
            memcpy((float *)out + k, kept, sizeof(float) * (size_t)(n - k < 4 ? n - k : 4));
        }
        return;
    }
    for (int32_t k = 0; k < n; k += BYTES) {
        const int32_t parts = n - k >= BYTES ? 4 : (n - k + 3) / 4;
        int32x4_t c[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
        float32x4_t far = vdupq_n_f32(0);
        for (int32_t i = 0; quick && i < parts; i++)
            c[i] = quick4(f, row, k + 4 * i, factor, &far);
        if (!quick || vmaxvq_f32(far) > f->tie)
            for (int32_t i = 0; i < parts; i++)
                c[i] = exact4(f, row, k + 4 * i);
        store_bytes((int8_t *)out + k, c, n - k);
    }
}

/* Rounded and clipped values times `inverse`, plus `base`, as bytes. */
INLINE void rounded_bytes(const float *x, int64_t n, float inverse, float low, float high, int32_t base, void *out) {
    for (int64_t k = 0; k < n; k += BYTES) {
        const float *from = x + k;
        float kept[BYTES] = {0};
        if (n - k < BYTES) {
            memcpy(kept, from, sizeof(float) * (size_t)(n - k));
            from = kept;
        }
        int32x4_t c[4];
        UNROLL for (int i = 0; i < 4; i++) {
            const float32x4_t y = inside(vmulq_n_f32(vld1q_f32(from + 4 * i), inverse), low, high);
            c[i] = vaddq_s32(vcvtnq_s32_f32(y), vdupq_n_s32(base));
        }
        store_bytes((uint8_t *)out + k, c, n - k);
    }
}

static void quantize(const Finish *f, const float *x, float inverse, int32_t n, int8_t *out) {
    rounded_bytes(x, n, inverse, f->low, f->high, f->zero_point, out);
}

static void entries(const float *x, int64_t n, float inverse, float low, float high, uint8_t *out) {
    rounded_bytes(x, n, inverse, low, high, 0, out);
}

static void pack(const int8_t *codes, int32_t n, int32_t bits, uint8_t *out) {
    const int planes = planes_of(bits), width = width_of(bits);
    const int32_t bytes = bytes_of(n, bits), qmin = planes == 1 ? 0 : -(1 << (bits - 1)), last = n - (planes - 1) * bytes;
    int32_t j = 0;
    for (; j + BYTES <= last; j += BYTES) {
        uint8x16_t packed = vdupq_n_u8(0);
        for (int p = 0; p < planes; p++) {
            const int8x16_t field = vsubq_s8(vld1q_s8(codes + p * bytes + j), vdupq_n_s8((int8_t)qmin));
            packed = vorrq_u8(packed, vshlq_u8(vreinterpretq_u8_s8(field), vdupq_n_s8((int8_t)(p * width))));
        }
        vst1q_u8(out + j, packed);
    }
    for (; j < bytes; j++) {
        int32_t byte = 0;
        for (int p = 0; p < planes && p * bytes + j < n; p++)
            byte |= (codes[p * bytes + j] - qmin) << (p * width);
        out[j] = (uint8_t)byte;
    }
}

static void unpack(const uint8_t *packed, int32_t n, int32_t bits, int8_t *codes) {
    const int planes = planes_of(bits), width = width_of(bits), mask = (1 << width) - 1;
    const int32_t bytes = bytes_of(n, bits), qmin = planes == 1 ? 0 : -(1 << (bits - 1));
    for (int p = 0; p < planes; p++) {
        const int32_t left = n - p * bytes, count = left < bytes ? left : bytes;
        int8_t *out = codes + p * bytes;
        int32_t j = 0;
        for (; j + BYTES <= count; j += BYTES) {
            const uint8x16_t moved = vshlq_u8(vld1q_u8(packed + j), vdupq_n_s8((int8_t)(-p * width)));
            const int8x16_t field = vreinterpretq_s8_u8(vandq_u8(moved, vdupq_n_u8((uint8_t)mask)));
            vst1q_s8(out + j, vaddq_s8(field, vdupq_n_s8((int8_t)qmin)));
        }
        for (; j < count; j++)
            out[j] = (int8_t)(((packed[j] >> (p * width)) & mask) + qmin);
    }
}

const Set neon_set = {sums, NULL, NULL, sums_float, products, finish, quantize, NULL, entries, pack, unpack};
#else
const Set neon_set;
#endif
