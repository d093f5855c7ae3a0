/* Sparse products with AVX-512 VNNI and VBMI: a group of four entries is one vpdpbusd per sixteen features.

   vpdpbusd multiplies four unsigned bytes by four signed ones and adds them to an int32. The bytes of four neighbour rows
   are interleaved so that each int32 lane holds one feature of the four rows; the other operand is the four weights,
   broadcast (or, with attention heads, spread by a byte permutation). Which operand is the unsigned one depends on the
   weights: GCN's coefficients are never negative, so int8 features are taken as they are.

   Packed fields are not shifted apart: with b = low + 16 high, the sums of w low (masked) and of w b (not masked) give
   the sum of w high by one subtraction a row.

   Sums travel as structs of named vectors, by value: GCC keeps arrays of vectors in memory, and storing eight sums a
   group took longer than adding them. */
#include "avx512.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define AHEAD 6 /* groups between a prefetch and its use */

typedef struct {
    __m512i p0, p1, p2, p3; /* sixteen sums of each plane */
} Planes;
/* 64 bytes of a row: lane l of part i (a = 0, b, c, d) stands for byte 16 (l / 4) + 4 i + l % 4. A narrow row (at most 32
   bytes) has parts a and b, whose lanes are in order. */
typedef struct {
    Planes a, b, c, d;
} Sums;
typedef struct {
    Sums v0, v1, v2, v3;
} Tile;

/* What a case is compiled for. size: bytes of a row where they are known (then no mask is needed: masks cost a fifth,
   and a step that is known costs no multiplication), or 0. */
typedef struct {
    int bits, nonnegative, headed, size;
} Kind;
enum { HEADS = 1, ALIKE = 2 }; /* headed: weights of heads; all lanes of a vector stand for one head */

INLINE int planes_in(Kind k) { return k.bits == 8 ? 1 : k.bits == 2 ? 4 : 2; }
INLINE __m512i flipped(__m512i q) { return _mm512_xor_si512(q, _mm512_set1_epi8((char)0x80)); }
INLINE __m512i masked(__m512i q, int mask) { return _mm512_and_si512(q, _mm512_set1_epi8((char)mask)); }
INLINE __m512i field(__m512i q, int shift, int mask) { return masked(_mm512_srli_epi16(q, (unsigned)shift), mask); }

/* Adds one interleaved vector of four rows (bytes q). */
INLINE Planes add(Planes s, __m512i q, __m512i w, Kind k) {
    if (planes_in(k) == 1)
        s.p0 = k.nonnegative ? dot(s.p0, w, q) : dot(s.p0, flipped(q), w);
    else if (planes_in(k) == 2 && k.nonnegative) /* weights above 127: the fields are the signed operand, each by itself */
        s.p0 = dot(s.p0, w, masked(q, 15)), s.p1 = dot(s.p1, w, field(q, 4, 15));
    else if (planes_in(k) == 2)
        s.p0 = dot(s.p0, masked(q, 15), w), s.p1 = dot(s.p1, q, w);
    else if (k.nonnegative) {
        s.p0 = dot(s.p0, w, masked(q, 3)), s.p1 = dot(s.p1, w, field(q, 2, 3));
        s.p2 = dot(s.p2, w, field(q, 4, 3)), s.p3 = dot(s.p3, w, field(q, 6, 3));
    } else {
        s.p0 = dot(s.p0, masked(q, 3), w), s.p1 = dot(s.p1, masked(q, 15), w);
        s.p2 = dot(s.p2, masked(q, 63), w), s.p3 = dot(s.p3, q, w);
    }
    return s;
}

/* Sums of the planes from running sums of masked bytes: times 2^(width plane), which `shifted` takes away. */
INLINE Planes parted(Planes s, Kind k) {
    if (k.nonnegative || planes_in(k) == 1)
        return s;
    if (planes_in(k) == 4)
        s.p3 = _mm512_sub_epi32(s.p3, s.p2), s.p2 = _mm512_sub_epi32(s.p2, s.p1);
    s.p1 = _mm512_sub_epi32(s.p1, s.p0);
    return s;
}
INLINE Planes shifted(Planes s, Kind k) {
    if (k.nonnegative || planes_in(k) == 1)
        return s;
    if (planes_in(k) == 2)
        s.p1 = _mm512_srai_epi32(s.p1, 4);
    else
        s.p1 = _mm512_srai_epi32(s.p1, 2), s.p2 = _mm512_srai_epi32(s.p2, 4), s.p3 = _mm512_srai_epi32(s.p3, 6);
    return s;
}

/* What running sums start from, so that `base` comes out of each field (`parted`). */
INLINE Planes started(int32_t base, Kind k) {
    const uint32_t b = (uint32_t)base;
    const int running = !k.nonnegative && planes_in(k) > 1, four = planes_in(k) == 4;
    const __m512i p0 = _mm512_set1_epi32(base);
    if (!running)
        return (Planes){p0, p0, p0, p0};
    return (Planes){p0, _mm512_set1_epi32((int32_t)(b * (four ? 5 : 17))), _mm512_set1_epi32((int32_t)(b * 21)),
                    _mm512_set1_epi32((int32_t)(b * 85))};
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
INLINE __m512i spread_at(const Spmm *job, int64_t vector, int part) {
    return _mm512_loadu_si512(job->spread + (vector * 4 + part) * 64);
}
INLINE __m512i weights_of(const Spmm *job, __m512i w, int64_t vector, int part, Kind k) {
    return k.headed ? _mm512_permutexvar_epi8(spread_at(job, vector, k.headed == ALIKE ? 0 : part), w) : w;
}

/* Which sums are made: entries of groups [first, stop); of row `row`, from its zero point's part on (and its own codes,
   where they are added `own` times), or of a piece (row < 0) from nothing. */
typedef struct {
    int64_t first, stop, row;
    int32_t zero, own;
} Piece;

INLINE int32_t base_of(const Spmm *job, Piece at) {
    if (at.row < 0)
        return 0;
    return (int32_t)(0u - (uint32_t)at.zero * ((uint32_t)job->weight_sums[at.row] + (uint32_t)at.own));
}

/* The same with heads: each lane the weight sum of its head. */
INLINE Planes based(const Spmm *job, Piece at, int64_t vector, int part, Kind k) {
    if (!k.headed || at.row < 0)
        return started(base_of(job, at), k);
    const __m512i sums = _mm512_maskz_loadu_epi32(mask16(job->heads), job->weight_sums + at.row * job->heads);
    const __m512i head = _mm512_and_si512(spread_at(job, vector, part), _mm512_set1_epi32(255)); /* of the first entry */
    const __m512i base = _mm512_mullo_epi32(_mm512_permutexvar_epi32(head, sums), _mm512_set1_epi32(-at.zero));
    return (Planes){base, base, base, base};
}

/* How the bytes of four narrow rows are interleaved: of 16 bytes, and the two halves of 32. */
#define FOUR(lane, step) step * 0 + lane, step * 1 + lane, step * 2 + lane, step * 3 + lane
#define SIXTEEN(from, step)                                                                                            \
    FOUR(from + 0, step), FOUR(from + 1, step), FOUR(from + 2, step), FOUR(from + 3, step), FOUR(from + 4, step),      \
        FOUR(from + 5, step), FOUR(from + 6, step), FOUR(from + 7, step), FOUR(from + 8, step), FOUR(from + 9, step),  \
        FOUR(from + 10, step), FOUR(from + 11, step), FOUR(from + 12, step), FOUR(from + 13, step),                    \
        FOUR(from + 14, step), FOUR(from + 15, step)
static const uint8_t ORDER[3][64] = {{SIXTEEN(0, 16)}, {SIXTEEN(0, 32)}, {SIXTEEN(16, 32)}};

/* Four entries of 64 bytes each. */
INLINE Sums add_wide(const Spmm *job, Sums s, const uint8_t *const row[4], int from, __mmask64 mask, __m512i w,
                     int64_t vector, Kind k) {
    __m512i a, b, c, d;
    if (k.size) {
        a = _mm512_loadu_si512(row[0] + from), b = _mm512_loadu_si512(row[1] + from);
        c = _mm512_loadu_si512(row[2] + from), d = _mm512_loadu_si512(row[3] + from);
    } else {
        a = _mm512_maskz_loadu_epi8(mask, row[0] + from), b = _mm512_maskz_loadu_epi8(mask, row[1] + from);
        c = _mm512_maskz_loadu_epi8(mask, row[2] + from), d = _mm512_maskz_loadu_epi8(mask, row[3] + from);
    }
    const __m512i ab = _mm512_unpacklo_epi8(a, b), AB = _mm512_unpackhi_epi8(a, b);
    const __m512i cd = _mm512_unpacklo_epi8(c, d), CD = _mm512_unpackhi_epi8(c, d);
    s.a = add(s.a, _mm512_unpacklo_epi16(ab, cd), weights_of(job, w, vector, 0, k), k);
    s.b = add(s.b, _mm512_unpackhi_epi16(ab, cd), weights_of(job, w, vector, 1, k), k);
    s.c = add(s.c, _mm512_unpacklo_epi16(AB, CD), weights_of(job, w, vector, 2, k), k);
    s.d = add(s.d, _mm512_unpackhi_epi16(AB, CD), weights_of(job, w, vector, 3, k), k);
    return s;
}

INLINE Sums wide_start(const Spmm *job, Piece at, int64_t vector, Kind k) {
    return (Sums){based(job, at, vector, 0, k), based(job, at, vector, 1, k), based(job, at, vector, 2, k),
                  based(job, at, vector, 3, k)};
}
INLINE Sums wide_parted(Sums s, Kind k) {
    return (Sums){parted(s.a, k), parted(s.b, k), parted(s.c, k), parted(s.d, k)};
}

INLINE Tile add_wides(const Spmm *job, Tile t, const uint8_t *const row[4], __mmask64 last, __m512i w, int64_t vector,
                      int vectors, Kind k) {
    t.v0 = add_wide(job, t.v0, row, 0, vectors == 1 ? last : ~(__mmask64)0, w, vector, k);
    if (vectors > 1)
        t.v1 = add_wide(job, t.v1, row, 64, vectors == 2 ? last : ~(__mmask64)0, w, vector + 1, k);
    if (vectors > 2) {
        t.v2 = add_wide(job, t.v2, row, 128, ~(__mmask64)0, w, vector + 2, k);
        t.v3 = add_wide(job, t.v3, row, 192, last, w, vector + 3, k);
    }
    return t;
}

/* Sums of `vectors` (1, 2 or 4) times 64 bytes of the rows, from byte `offset` on. */
INLINE Tile wide(const Spmm *job, Piece at, int32_t offset, int vectors, Kind k) {
    const int64_t step = k.size ? k.size : job->x_bytes, vector = offset / 64;
    const __mmask64 last = mask_of(bytes_of(job->channels, k.bits) - offset - 64 * (vectors - 1));
    Tile t;
    t.v0 = wide_start(job, at, vector, k);
    if (vectors > 1)
        t.v1 = wide_start(job, at, vector + 1, k);
    if (vectors > 2)
        t.v2 = wide_start(job, at, vector + 2, k), t.v3 = wide_start(job, at, vector + 3, k);
    const uint8_t *x = job->x + offset;
    if (at.own) {
        const uint8_t *self = x + at.row * step, *const row[4] = {self, self, self, self};
        t = add_wides(job, t, row, last, _mm512_set1_epi32(at.own), vector, vectors, k);
    }
    const int32_t *index = job->indices + 4 * at.first;
    for (int64_t g = at.first; g < at.stop; g++, index += 4) {
        for (int e = 0; e < 4; e++)
            for (int v = 0; v < vectors; v++)
                _mm_prefetch((const char *)(x + index[4 * AHEAD + e] * step + 64 * v), _MM_HINT_T0);
        const uint8_t *const row[4] = {x + index[0] * step, x + index[1] * step, x + index[2] * step, x + index[3] * step};
        t = add_wides(job, t, row, last, k.headed ? heads_at(job, g) : weights_at(job, g), vector, vectors, k);
    }
    t.v0 = wide_parted(t.v0, k);
    if (vectors > 1)
        t.v1 = wide_parted(t.v1, k);
    if (vectors > 2)
        t.v2 = wide_parted(t.v2, k), t.v3 = wide_parted(t.v3, k);
    return t;
}

INLINE __m256i half_at(const uint8_t *row, __mmask32 mask, Kind k) {
    return k.size == 32 ? _mm256_loadu_si256((const __m256i *)row) : _mm256_maskz_loadu_epi8(mask, row);
}
INLINE __m128i quarter_at(const uint8_t *row, __mmask32 mask, Kind k) {
    return k.size == 16 ? _mm_loadu_si128((const __m128i *)row) : _mm_maskz_loadu_epi8((__mmask16)mask, row);
}

/* Four entries of at most 16 (halves 1) or 32 bytes each: one or two permutations interleave them. */
INLINE Sums add_narrow(const Spmm *job, Sums s, const uint8_t *const row[4], __mmask32 mask, __m512i w, int halves, Kind k) {
    if (halves == 1) {
        __m512i four = _mm512_castsi128_si512(quarter_at(row[0], mask, k));
        four = _mm512_inserti32x4(four, quarter_at(row[1], mask, k), 1);
        four = _mm512_inserti32x4(four, quarter_at(row[2], mask, k), 2);
        four = _mm512_inserti32x4(four, quarter_at(row[3], mask, k), 3);
        s.a = add(s.a, _mm512_permutexvar_epi8(_mm512_loadu_si512(ORDER[0]), four), weights_of(job, w, 0, 0, k), k);
        return s;
    }
    const __m512i ab = _mm512_inserti64x4(_mm512_castsi256_si512(half_at(row[0], mask, k)), half_at(row[1], mask, k), 1);
    const __m512i cd = _mm512_inserti64x4(_mm512_castsi256_si512(half_at(row[2], mask, k)), half_at(row[3], mask, k), 1);
    s.a = add(s.a, _mm512_permutex2var_epi8(ab, _mm512_loadu_si512(ORDER[1]), cd), weights_of(job, w, 0, 0, k), k);
    s.b = add(s.b, _mm512_permutex2var_epi8(ab, _mm512_loadu_si512(ORDER[2]), cd), weights_of(job, w, 0, 1, k), k);
    return s;
}

INLINE Sums narrow(const Spmm *job, Piece at, int halves, Kind k) {
    const __mmask32 mask = (__mmask32)mask_of(bytes_of(job->channels, k.bits));
    const int64_t step = k.size ? k.size : job->x_bytes;
    const uint8_t *x = job->x;
    Sums s = {.a = based(job, at, 0, 0, k), .b = based(job, at, 0, 1, k)};
    if (at.own) {
        const uint8_t *self = x + at.row * step, *const row[4] = {self, self, self, self};
        s = add_narrow(job, s, row, mask, _mm512_set1_epi32(at.own), halves, k);
    }
    const int32_t *index = job->indices + 4 * at.first;
    for (int64_t g = at.first; g < at.stop; g++, index += 4) {
        for (int e = 0; e < 4; e++)
            _mm_prefetch((const char *)(x + index[4 * AHEAD + e] * step), _MM_HINT_T0);
        const uint8_t *const row[4] = {x + index[0] * step, x + index[1] * step, x + index[2] * step, x + index[3] * step};
        s = add_narrow(job, s, row, mask, k.headed ? heads_at(job, g) : weights_at(job, g), halves, k);
    }
    s.a = parted(s.a, k), s.b = parted(s.b, k);
    return s;
}

/* Sums of one plane of 64 bytes, feature by feature: a transpose of four by four 128-bit lanes. */
INLINE Planes natural(__m512i s0, __m512i s1, __m512i s2, __m512i s3) {
    const __m512i t0 = _mm512_shuffle_i32x4(s0, s1, 0x44), t1 = _mm512_shuffle_i32x4(s0, s1, 0xEE);
    const __m512i t2 = _mm512_shuffle_i32x4(s2, s3, 0x44), t3 = _mm512_shuffle_i32x4(s2, s3, 0xEE);
    return (Planes){_mm512_shuffle_i32x4(t0, t2, 0x88), _mm512_shuffle_i32x4(t0, t2, 0xDD),
                    _mm512_shuffle_i32x4(t1, t3, 0x88), _mm512_shuffle_i32x4(t1, t3, 0xDD)};
}

INLINE void store_plane(__m512i s0, __m512i s1, __m512i s2, __m512i s3, int32_t *out, int64_t count) {
    const Planes n = natural(s0, s1, s2, s3);
    _mm512_mask_storeu_epi32(out, mask16(count), n.p0);
    _mm512_mask_storeu_epi32(out + 16, mask16(count - 16), n.p1);
    _mm512_mask_storeu_epi32(out + 32, mask16(count - 32), n.p2);
    _mm512_mask_storeu_epi32(out + 48, mask16(count - 48), n.p3);
}

/* How many features of a plane stand from byte `from` of a row on. */
INLINE int64_t features_from(const Spmm *job, int plane, int32_t from, int bits) {
    const int32_t bytes = bytes_of(job->channels, bits), left = job->channels - plane * bytes;
    return (left < bytes ? left : bytes) - from;
}

/* Calls DO(plane, sums of part a, b, c, d) for the planes there are. */
#define EACH_PLANE(s, DO)                                                                                              \
    DO(0, s.a.p0, s.b.p0, s.c.p0, s.d.p0)                                                                              \
    if (planes_in(k) > 1) { DO(1, s.a.p1, s.b.p1, s.c.p1, s.d.p1) }                                                    \
    if (planes_in(k) > 2) { DO(2, s.a.p2, s.b.p2, s.c.p2, s.d.p2) DO(3, s.a.p3, s.b.p3, s.c.p3, s.d.p3) }

INLINE void store_wide(const Spmm *job, Sums s, int32_t *out, int32_t from, Kind k) {
    const int32_t bytes = bytes_of(job->channels, k.bits);
    s = (Sums){shifted(s.a, k), shifted(s.b, k), shifted(s.c, k), shifted(s.d, k)};
#define STORE(P, A, B, C, D) store_plane(A, B, C, D, out + P * bytes + from, features_from(job, P, from, k.bits));
    EACH_PLANE(s, STORE)
#undef STORE
}

INLINE void store_narrow(const Spmm *job, Sums s, int32_t *out, int halves, Kind k) {
    const int32_t bytes = bytes_of(job->channels, k.bits);
    s.a = shifted(s.a, k), s.b = shifted(s.b, k), s.c = s.a, s.d = s.a;
#define STORE(P, A, B, C, D)                                                                                           \
    _mm512_mask_storeu_epi32(out + P * bytes, mask16(features_from(job, P, 0, k.bits)), A);                            \
    if (halves > 1)                                                                                                    \
        _mm512_mask_storeu_epi32(out + P * bytes + 16, mask16(features_from(job, P, 16, k.bits)), B);
    EACH_PLANE(s, STORE)
#undef STORE
}

INLINE Scale scale_of(const Spmm *job, int64_t row) {
    const Finish *f = &job->finish;
    return (Scale){f->multiplier, f->offset, NULL, f->rows ? f->rows[row] : 1, 0};
}

/* Sixteen of `count` sums to reals; multipliers lie in the order of the channels. */
INLINE void store_reals(__m512i sums, const Scale *scale, float *out, int32_t k, int64_t count) {
    if (count > 0)
        _mm512_mask_storeu_ps(out + k, mask16(count), reals16(sums, sums, sums, scale, k));
}

/* A tile to the reals of its row: logits. */
INLINE void reals_wide(const Spmm *job, Sums s, int64_t row, int32_t from, float *out, Kind k) {
    const Scale scale = scale_of(job, row);
    const int32_t bytes = bytes_of(job->channels, k.bits);
    s = (Sums){shifted(s.a, k), shifted(s.b, k), shifted(s.c, k), shifted(s.d, k)};
#define STORE(P, A, B, C, D)                                                                                           \
    {                                                                                                                  \
        const Planes n = natural(A, B, C, D);                                                                          \
        const int32_t at = P * bytes + from;                                                                           \
        const int64_t count = features_from(job, P, from, k.bits);                                                     \
        store_reals(n.p0, &scale, out, at, count), store_reals(n.p1, &scale, out, at + 16, count - 16);                \
        store_reals(n.p2, &scale, out, at + 32, count - 32), store_reals(n.p3, &scale, out, at + 48, count - 48);      \
    }
    EACH_PLANE(s, STORE)
#undef STORE
}

/* The same for a narrow row. */
INLINE void reals_narrow(const Spmm *job, Sums s, int64_t row, float *out, int halves, Kind k) {
    const Scale scale = scale_of(job, row);
    const int32_t bytes = bytes_of(job->channels, k.bits);
    s.a = shifted(s.a, k), s.b = shifted(s.b, k), s.c = s.a, s.d = s.a;
#define STORE(P, A, B, C, D)                                                                                           \
    store_reals(A, &scale, out, P * bytes, features_from(job, P, 0, k.bits));                                          \
    if (halves > 1)                                                                                                    \
        store_reals(B, &scale, out, P * bytes + 16, features_from(job, P, 16, k.bits));
    EACH_PLANE(s, STORE)
#undef STORE
}

/* Multipliers and offsets in the order of the sums: vector by vector, plane by plane, part by part. Those in float32 take
   the planes as `parted` leaves them. */
typedef struct {
    float *multiplier32, *offset32;
    double *multiplier, *offset;
} Ordered;

/* How the sums of a row become codes. `certain`: float32 decides every code (Finish); `zero16`, low, high: the zero point
   and the bounds of the bytes. */
typedef struct {
    const Finish *f;
    const Ordered *o;
    int certain;
    double factor;
    __m512 factor32;
    __m512i zero16, low, high;
} Ending;

/* The low and the high bound of a byte, and the zero point, for codes (one plane) or fields. */
INLINE Ending ending_of(const Spmm *job, const Ordered *o, int64_t row, int certain, Kind k) {
    const Finish *f = &job->finish;
    const int zero = f->zero_point + (planes_in(k) == 1 ? 0 : 1 << (f->bits - 1)); /* fields are not negative */
    const double factor = !certain && f->rows ? f->rows[row] : 1;
    return (Ending){f, o, certain, factor, _mm512_set1_ps((float)factor), _mm512_set1_epi16((short)zero),
                    _mm512_set1_epi8((char)((int)f->low + zero)), _mm512_set1_epi8((char)((int)f->high + zero))};
}

/* Sixteen sums to rounded steps by float32. */
INLINE __m512i steps_near(const Ending *e, __m512i sums, int64_t at, __m512 *far) {
    if (e->certain)
        return _mm512_cvtps_epi32(near16(sums, e->o->multiplier32 + at, e->o->offset32 + at));
    __m512 value = _mm512_cvtepi32_ps(sums);
    if (e->f->rows)
        value = _mm512_mul_ps(value, e->factor32);
    __m512 y = _mm512_fmadd_ps(value, _mm512_loadu_ps(e->o->multiplier32 + at), _mm512_loadu_ps(e->o->offset32 + at));
    if (e->f->thresholds)
        y = elu_near(e->f, y);
    *far = further(*far, y);
    return _mm512_cvtps_epi32(y);
}

/* The same by float64, before the zero point. */
INLINE __m512i steps_exact(const Ending *e, __m512i sums, int64_t at, int shift) {
    const Scale s = {e->o->multiplier, e->o->offset, NULL, e->factor, 0};
    const __m512 y = reals16(_mm512_srai_epi32(sums, (unsigned)shift), sums, sums, &s, (int32_t)at);
    return _mm512_cvtps_epi32(e->f->thresholds ? elu_exact(e->f, y) : _mm512_min_ps(_mm512_max_ps(y,
                              _mm512_set1_ps(e->f->low)), _mm512_set1_ps(e->f->high)));
}

/* Four vectors of steps to clipped bytes: packing saturates, so only the byte is left to be clipped. */
INLINE __m512i bytes_of_steps(const Ending *e, __m512i a, __m512i b, __m512i c, __m512i d, Kind k) {
    const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), e->zero16);
    const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), e->zero16);
    if (planes_in(k) == 1)
        return _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(ab, cd), e->low), e->high);
    return _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(ab, cd), e->low), e->high);
}

/* How far the sums of a plane are shifted up when `parted` has left them. */
#define SHIFT(P) (k.nonnegative ? 0 : (P) * (8 / planes_in(k)))

/* A vector of sums to the 64 bytes of codes it stands for; vector by vector the multipliers begin at `at`. */
INLINE __m512i codes_wide(const Ending *e, Sums s, int64_t at, Kind k) {
    __m512i p0, p1, p2, p3;
    __m512 far = _mm512_setzero_ps();
#define NEAR(P, A, B, C, D)                                                                                            \
    p##P = bytes_of_steps(e, steps_near(e, A, at + 64 * P, &far), steps_near(e, B, at + 64 * P + 16, &far),            \
                          steps_near(e, C, at + 64 * P + 32, &far), steps_near(e, D, at + 64 * P + 48, &far), k);
    EACH_PLANE(s, NEAR)
#undef NEAR
    if (!e->certain && unsure(e->f, far)) {
#define EXACT(P, A, B, C, D)                                                                                           \
    p##P = bytes_of_steps(e, steps_exact(e, A, at + 64 * P, SHIFT(P)), steps_exact(e, B, at + 64 * P + 16, SHIFT(P)),  \
                          steps_exact(e, C, at + 64 * P + 32, SHIFT(P)),                                               \
                          steps_exact(e, D, at + 64 * P + 48, SHIFT(P)), k);
        EACH_PLANE(s, EXACT)
#undef EXACT
    }
    if (planes_in(k) == 1)
        return p0;
    if (planes_in(k) == 2)
        return _mm512_or_si512(p0, _mm512_slli_epi16(p1, 4));
    return _mm512_or_si512(_mm512_or_si512(p0, _mm512_slli_epi16(p1, 2)),
                           _mm512_or_si512(_mm512_slli_epi16(p2, 4), _mm512_slli_epi16(p3, 6)));
}

/* The same for a narrow row: 32 bytes. Four vectors are packed at a time, two planes of two halves each, so each 128 bits
   hold four bytes of plane 0 half a, of 0 b, of 1 a, of 1 b. */
INLINE __m256i codes_narrow(const Ending *e, Sums s, Kind k) {
    __m512i low, high;
    __m512 far = _mm512_setzero_ps();
    const int many = planes_in(k) > 1, four = planes_in(k) == 4;
#define NEAR(SUMS, AT) steps_near(e, SUMS, AT, &far)
    low = bytes_of_steps(e, NEAR(s.a.p0, 0), NEAR(s.b.p0, 16), many ? NEAR(s.a.p1, 64) : s.a.p0,
                         many ? NEAR(s.b.p1, 80) : s.a.p0, k);
    if (four)
        high = bytes_of_steps(e, NEAR(s.a.p2, 128), NEAR(s.b.p2, 144), NEAR(s.a.p3, 192), NEAR(s.b.p3, 208), k);
#undef NEAR
    if (!e->certain && unsure(e->f, far)) {
#define EXACT(SUMS, AT) steps_exact(e, SUMS, AT, SHIFT(AT / 64))
        low = bytes_of_steps(e, EXACT(s.a.p0, 0), EXACT(s.b.p0, 16), many ? EXACT(s.a.p1, 64) : s.a.p0,
                             many ? EXACT(s.b.p1, 80) : s.a.p0, k);
        if (four)
            high = bytes_of_steps(e, EXACT(s.a.p2, 128), EXACT(s.b.p2, 144), EXACT(s.a.p3, 192), EXACT(s.b.p3, 208), k);
#undef EXACT
    }
    if (four)
        low = _mm512_or_si512(low, _mm512_slli_epi16(high, 4));
    if (many)
        low = _mm512_or_si512(low, _mm512_slli_epi16(_mm512_bsrli_epi128(low, 8), four ? 2 : 4));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_castsi512_si256(_mm512_permutexvar_epi32(order, low));
}

enum { TO_SUMS, TO_REALS, TO_CODES, TO_CERTAIN_CODES };

INLINE void end_wide(const Spmm *job, const Ordered *o, Sums s, int64_t row, int32_t from, void *out, int end, Kind k) {
    if (end == TO_SUMS) {
        store_wide(job, s, out, from, k);
        return;
    }
    if (end == TO_REALS) {
        reals_wide(job, s, row, from, out, k);
        return;
    }
    const Ending e = ending_of(job, o, row, end == TO_CERTAIN_CODES, k);
    const __m512i codes = codes_wide(&e, s, (int64_t)from * planes_in(k), k);
    if (k.size)
        _mm512_storeu_si512((uint8_t *)out + from, codes);
    else
        _mm512_mask_storeu_epi8((uint8_t *)out + from, mask_of(bytes_of(job->channels, k.bits) - from), codes);
}

INLINE void end_narrow(const Spmm *job, const Ordered *o, Sums s, int64_t row, void *out, int halves, int end, Kind k) {
    if (end == TO_SUMS) {
        store_narrow(job, s, out, halves, k);
        return;
    }
    if (end == TO_REALS) {
        reals_narrow(job, s, row, out, halves, k);
        return;
    }
    const Ending e = ending_of(job, o, row, end == TO_CERTAIN_CODES, k);
    if (halves == 1)
        s.b = s.a;
    const __m256i codes = codes_narrow(&e, s, k);
    if (k.size == 32)
        _mm256_storeu_si256(out, codes);
    else
        _mm256_mask_storeu_epi8(out, (__mmask32)mask_of(bytes_of(job->channels, k.bits)), codes);
}

/* One row, or a piece of one. */
INLINE void whole_row(const Spmm *job, const Ordered *o, Piece at, void *out, int end, Kind k) {
    const int32_t bytes = k.size ? k.size : bytes_of(job->channels, k.bits);
    if (bytes <= 16)
        end_narrow(job, o, narrow(job, at, 1, k), at.row, out, 1, end, k);
    else if (bytes <= 32)
        end_narrow(job, o, narrow(job, at, 2, k), at.row, out, 2, end, k);
    if (bytes <= 32)
        return;
    for (int32_t from = 0; from < bytes;) {
        const int32_t left = (bytes - from + 63) / 64;
        if (k.bits == 8 && left >= 4) {
            const Tile t = wide(job, at, from, 4, k);
            end_wide(job, o, t.v0, at.row, from, out, end, k), end_wide(job, o, t.v1, at.row, from + 64, out, end, k);
            end_wide(job, o, t.v2, at.row, from + 128, out, end, k), end_wide(job, o, t.v3, at.row, from + 192, out, end, k);
            from += 256;
        } else if (k.bits != 2 && left >= 2) {
            const Tile t = wide(job, at, from, 2, k);
            end_wide(job, o, t.v0, at.row, from, out, end, k), end_wide(job, o, t.v1, at.row, from + 64, out, end, k);
            from += 128;
        } else {
            end_wide(job, o, wide(job, at, from, 1, k).v0, at.row, from, out, end, k);
            from += 64;
        }
    }
}

/* Rows [first, last). own: how often a row's own codes are added. space: a row of codes that are packed at the end. */
typedef struct {
    const Ordered *o;
    int64_t first, last;
    int32_t zero, own;
    uint8_t *space;
} Rows;

INLINE void some_rows(const Spmm *job, const Rows *rows, int end, Kind k) {
    for (int64_t row = rows->first; row < rows->last; row++) {
        const Piece at = {job->ptr[row], job->ptr[row + 1], row, rows->zero, rows->own};
        uint8_t *out = (uint8_t *)job->out + row * job->out_bytes;
        whole_row(job, rows->o, at, rows->space ? rows->space : out, end, k);
        if (rows->space)
            avx512_pack((const int8_t *)rows->space, job->channels, job->finish.bits, out);
    }
}

#define SIZED(SIZE) some_rows(job, rows, end, (Kind){bits, nonnegative, 0, SIZE})
/* The widths that networks have get code of their own. */
INLINE void rows_of_width(const Spmm *job, const Rows *rows, int end, int bits, int nonnegative) {
    const int32_t bytes = bytes_of(job->channels, bits);
    const int known = job->x_bytes == bytes && !rows->space;
    if (known && bytes == 16)
        SIZED(16);
    else if (known && bytes == 32)
        SIZED(32);
    else if (known && bytes == 64)
        SIZED(64);
    else if (known && bytes == 128)
        SIZED(128);
    else if (known && bytes == 256)
        SIZED(256);
    else
        SIZED(0);
}

#define CASE(NAME, BITS, NONNEGATIVE)                                                                                  \
    static __attribute__((noinline)) void NAME##_certain(const Spmm *job, const Rows *rows) {                          \
        rows_of_width(job, rows, TO_CERTAIN_CODES, BITS, NONNEGATIVE);                                                 \
    }                                                                                                                  \
    static __attribute__((noinline)) void NAME##_codes(const Spmm *job, const Rows *rows) {                            \
        rows_of_width(job, rows, TO_CODES, BITS, NONNEGATIVE);                                                         \
    }                                                                                                                  \
    static __attribute__((noinline)) void NAME##_reals(const Spmm *job, const Rows *rows) {                            \
        some_rows(job, rows, TO_REALS, (Kind){BITS, NONNEGATIVE, 0, 0});                                               \
    }                                                                                                                  \
    static __attribute__((noinline)) void NAME##_sums(const Spmm *job, Piece at, int32_t *acc) {                       \
        whole_row(job, NULL, at, acc, TO_SUMS, (Kind){BITS, NONNEGATIVE, 0, 0});                                       \
    }
CASE(whole_u, 8, 1)
CASE(whole_s, 8, 0)
CASE(halves_u, 4, 1)
CASE(halves_s, 4, 0)
CASE(quarters_u, 2, 1)
CASE(quarters_s, 2, 0)

#define HEADED(NAME, NONNEGATIVE)                                                                                      \
    static __attribute__((noinline)) void NAME##_rows(const Spmm *job, const Rows *rows, int end) {                    \
        const int wide = job->channels == 256 && job->x_bytes == 256;                                                  \
        if (end == TO_REALS)                                                                                           \
            some_rows(job, rows, TO_REALS, (Kind){8, NONNEGATIVE, HEADS, 0});                                          \
        else if (wide && (job->heads == 2 || job->heads == 4))                                                         \
            some_rows(job, rows, TO_CODES, (Kind){8, NONNEGATIVE, ALIKE, 256});                                        \
        else if (wide)                                                                                                 \
            some_rows(job, rows, TO_CODES, (Kind){8, NONNEGATIVE, HEADS, 256});                                        \
        else                                                                                                           \
            some_rows(job, rows, TO_CODES, (Kind){8, NONNEGATIVE, HEADS, 0});                                          \
    }                                                                                                                  \
    static __attribute__((noinline)) void NAME##_sums(const Spmm *job, Piece at, int32_t *acc) {                       \
        whole_row(job, NULL, at, acc, TO_SUMS, (Kind){8, NONNEGATIVE, HEADS, 0});                                      \
    }
HEADED(headed_u, 1)
HEADED(headed_s, 0)

/* int8 features are taken signed where no weight is negative; packed fields unsigned where the weights fit int8. */
static int unsigned_weights(const Spmm *job) { return job->x_bits == 8 ? job->nonnegative : !job->fits_int8; }
static int32_t bias_of(const Spmm *job) { return job->x_bits == 8 && job->nonnegative ? 0 : 1 << (job->x_bits - 1); }

int32_t avx512_sums(const Spmm *job, int64_t first, int64_t stop, int32_t *acc) {
    const Piece at = {first, stop, -1, 0, 0};
    const int u = unsigned_weights(job);
    if (job->heads > 1 && job->x_bits != 8) /* every plane meets other heads: the general loop does it */
        return plain_set.sums(job, first, stop, acc);
    if (job->heads > 1)
        (u ? headed_u_sums : headed_s_sums)(job, at, acc);
    else if (job->x_bits == 8)
        (u ? whole_u_sums : whole_s_sums)(job, at, acc);
    else if (job->x_bits == 2)
        (u ? quarters_u_sums : quarters_s_sums)(job, at, acc);
    else
        (u ? halves_u_sums : halves_s_sums)(job, at, acc);
    return bias_of(job);
}

/* The feature that a lane stands for (its number may lie beyond the last one). */
static int32_t feature_of(int planar, int32_t bytes, int32_t plane, int32_t vector, int32_t part, int32_t lane) {
    return plane * bytes + (planar ? 64 * vector + 16 * (lane / 4) + 4 * part + lane % 4 : 16 * part + lane);
}

static void put_in_order(const Spmm *job, const Ordered *o, int64_t lanes) {
    const Finish *f = &job->finish;
    const int planes = planes_of(job->x_bits), u = unsigned_weights(job);
    const int32_t bytes = bytes_of(job->channels, job->x_bits);
    for (int64_t at = 0; at < lanes; at++) {
        const int32_t lane = (int32_t)(at % 16), part = (int32_t)(at / 16 % 4), plane = (int32_t)(at / 64 % planes);
        const int32_t n = feature_of(bytes > 32, bytes, plane, (int32_t)(at / 64 / planes), part, lane);
        const int here = n < job->channels;
        const float up = u ? 1 : (float)(1 << (plane * width_of(job->x_bits)));
        o->multiplier[at] = here ? f->multiplier[n] : 0, o->offset[at] = here ? f->offset[n] : 0;
        o->multiplier32[at] = here ? f->multiplier32[n] / up : 0, o->offset32[at] = here ? f->offset32[n] : 0;
    }
}

/* Own codes are one more group where they are added a whole number of times, as GIN's are. */
static int own_is_a_weight(const Spmm *job) {
    return job->own == 0 || (job->own > 0 && job->own <= 127 && job->own == (int32_t)job->own && job->heads == 1);
}

int avx512_rows(const Spmm *job, int64_t first, int64_t last) {
    const Finish *f = &job->finish;
    const int planes = planes_of(job->x_bits), u = unsigned_weights(job);
    const int reals = f->kind == REALS && !f->also;
    const int codes = f->kind == CODES && f->fast && (planes_of(f->bits) == planes || planes == 1);
    if (!(reals || codes) || !own_is_a_weight(job) || (job->heads > 1 && planes > 1))
        return 0;
    const int64_t lanes = (int64_t)((bytes_of(job->channels, job->x_bits) + 63) / 64) * 64 * planes;
    double *space = aligned_alloc(64, (size_t)lanes * 24 + (size_t)padded(job->channels));
    if (!space)
        return 0;
    const Ordered o = {(float *)(space + 2 * lanes), (float *)(space + 2 * lanes) + lanes, space, space + lanes};
    if (codes)
        put_in_order(job, &o, lanes);
    const Rows rows = {&o, first, last, job->zero + bias_of(job), (int32_t)job->own,
                       codes && planes_of(f->bits) != planes ? (uint8_t *)(o.offset32 + lanes) : NULL};
    const int end = reals ? TO_REALS : f->fast == CERTAIN ? TO_CERTAIN_CODES : TO_CODES;
#define RUN(NAME) (end == TO_REALS ? NAME##_reals : end == TO_CODES ? NAME##_codes : NAME##_certain)(job, &rows)
    if (job->heads > 1)
        (u ? headed_u_rows : headed_s_rows)(job, &rows, end);
    else if (job->x_bits == 8)
        u ? RUN(whole_u) : RUN(whole_s);
    else if (job->x_bits == 2)
        u ? RUN(quarters_u) : RUN(quarters_s);
    else
        u ? RUN(halves_u) : RUN(halves_s);
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

void avx512_sums_float(const SpmmFloat *job, int64_t first, int64_t stop, float *acc) {
    const int32_t n = job->channels;
    int32_t offset = 0;
    for (; offset + 128 <= n; offset += 128)
        floats(job, first, stop, acc, offset, 8, 1);
    for (; offset + 16 <= n; offset += 16)
        floats(job, first, stop, acc, offset, 1, 1);
    if (offset < n)
        floats(job, first, stop, acc, offset, 1, 0);
}

/* Softmax of a row: up to eight heads. The exponentials of an entry lie beside those of the next, so that a vector of
   eight holds 8 / heads whole entries; they are added entry after entry, as the reference adds them. Rows of up to KEPT
   exponentials keep them, longer ones look them up twice. */
enum { KEPT = 1024 };

/* Exponentials of the logits of entries [entry, stop). table: of each head, moved by its target's code. */
INLINE void exponentials(const Attention *job, int64_t entry, int64_t stop, const double *const *table, int heads, double *out) {
    for (; entry < stop; entry++, out += heads) {
        const int8_t *source = job->source + (int64_t)job->indices[entry] * job->stride;
        for (int h = 0; h < heads; h++)
            out[h] = table[h][source[h]];
    }
}

INLINE __m256i coefficients(const Attention *job, __m512d e, __m512d total) {
    const __m256 share = _mm512_cvtpd_ps(_mm512_div_pd(e, total));
    const __m256 y = _mm256_mul_ps(share, _mm256_set1_ps(job->inverse));
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(y, _mm256_set1_ps(job->low)), _mm256_set1_ps(job->high)));
}

INLINE void softmax(const Attention *job, int64_t row, int heads) {
    const int64_t first = 4 * job->ptr[row], end = 4 * job->ptr[row + 1], step = 8 / heads;
    int64_t stop = end;
    while (stop > first && !job->live[stop - 1])
        stop--;
    const double *table[8];
    for (int h = 0; h < heads; h++)
        table[h] = job->table + job->target[row * job->stride + h] - job->table_first;
    double kept[KEPT + 32], one[8] = {0}, total[8] = {0}; /* vectors reach over the up to three entries that fill a group */
    const int keep = (stop - first) * heads <= KEPT;
    for (int64_t entry = first; entry < stop; entry++) {
        double *e = keep ? kept + (entry - first) * heads : one;
        exponentials(job, entry, entry + 1, table, heads, e);
        for (int h = 0; h < heads; h++)
            total[h] += e[h];
    }
    for (int lane = heads; lane < 8; lane++)
        total[lane] = total[lane - heads];
    __m256i sums = _mm256_setzero_si256();
    for (int64_t entry = first; entry < end; entry += step) {
        const int64_t live = stop - entry < step ? stop - entry : step, whole = end - entry < step ? end - entry : step;
        if (!keep)
            exponentials(job, entry, entry + live, table, heads, one);
        const __m512d e = _mm512_loadu_pd(keep ? kept + (entry - first) * heads : one);
        const __mmask8 inside = (__mmask8)mask_of(live * heads);
        const __m256i weights = _mm256_maskz_mov_epi32(inside, coefficients(job, e, _mm512_loadu_pd(total)));
        sums = _mm256_add_epi32(sums, weights);
        _mm256_mask_cvtepi32_storeu_epi8(job->weights + entry * heads, (__mmask8)mask_of(whole * heads), weights);
    }
    int32_t lanes[8];
    _mm256_storeu_si256((__m256i *)lanes, sums);
    for (int lane = heads; lane < 8; lane++) /* sums of a head, entry by entry of a vector: beyond the last they are 0 */
        lanes[lane % heads] += lanes[lane];
    memcpy(job->weight_sums + row * heads, lanes, sizeof(int32_t) * (size_t)heads);
}

void avx512_attention(const Attention *job, int64_t row) {
    if (job->heads == 1)
        softmax(job, row, 1);
    else if (job->heads == 4)
        softmax(job, row, 4);
    else if (job->heads == 8)
        softmax(job, row, 8);
    else
        softmax(job, row, job->heads);
}
#endif
