/* Dense products with AVX-512 VNNI: six rows times 64 outputs in registers.

   Rows of x are taken in panels: their codes are written once as unsigned bytes, plane after plane, each plane padded to
   whole blocks of four inputs, and rows to a multiple of six. So the loop that multiplies knows nothing of bits, signs or
   ends: a block is four loads of weights, six broadcasts and 24 vpdpbusd, of which the processor does one a cycle. All
   rows of a panel meet one tile of weights (64 outputs) before the next, so that the tile stays in the first cache. */
#include "avx512.h"

#if defined(__x86_64__) && defined(__GNUC__)
enum { PANEL = 96, LARGE = 1 << 25 }; /* rows, a multiple of ROWS; bytes of a last cache */

typedef struct {
    __m512i c0, c1, c2, c3; /* 64 outputs of a row */
} Row4;
typedef struct {
    Row4 r0, r1, r2, r3, r4, r5;
} Block;
typedef int32_t __attribute__((aligned(1), may_alias)) int32_u;

/* Rows of x as unsigned bytes (code - qmin). */
typedef struct {
    uint8_t *bytes; /* [PANEL, stride] */
    int64_t stride; /* planes times plane */
    int32_t plane;  /* bytes of a plane: whole blocks */
    int32_t *totals; /* [PANEL] sum of the codes of a row, where weights have a zero point */
} Panel;

static Panel panel_of(const Gemm *job, void *space) {
    const int32_t plane = (bytes_of(job->inner, job->x_bits) + 3) / 4 * 4;
    const int64_t stride = (int64_t)planes_of(job->x_bits) * plane;
    return (Panel){(uint8_t *)space + PANEL * sizeof(int32_t), stride, plane, space};
}
static size_t panel_bytes(const Gemm *job) {
    const Panel panel = panel_of(job, NULL);
    return (size_t)(PANEL * (panel.stride + (int64_t)sizeof(int32_t)) + 64);
}

INLINE __m512i unsigned_bytes(__m512i raw, int plane, int planes, int width) {
    if (planes == 1)
        return _mm512_xor_si512(raw, _mm512_set1_epi8((char)0x80));
    return _mm512_and_si512(_mm512_srli_epi16(raw, (unsigned)(plane * width)), _mm512_set1_epi8((char)((1 << width) - 1)));
}

/* One row. Bytes beyond the last input become zeros, which meet the padding of the weights. (Masks are slow: whole
   vectors go without.) */
static void fill_row(const Gemm *job, const uint8_t *x, int32_t plane_bytes, uint8_t *to) {
    const int planes = planes_of(job->x_bits), width = width_of(job->x_bits);
    const int32_t bytes = bytes_of(job->inner, job->x_bits);
    int32_t from = 0;
    for (; from + 64 <= job->inner - (planes - 1) * bytes; from += 64) {
        const __m512i raw = _mm512_loadu_si512(x + from);
        for (int p = 0; p < planes; p++)
            _mm512_storeu_si512(to + p * plane_bytes + from, unsigned_bytes(raw, p, planes, width));
    }
    for (; from < bytes; from += 64) {
        const __m512i raw = _mm512_maskz_loadu_epi8(mask_of(bytes - from), x + from);
        for (int p = 0; p < planes; p++) {
            const __mmask64 inside = mask_of(bytes - from) & mask_of(job->inner - p * bytes - from);
            _mm512_mask_storeu_epi8(to + p * plane_bytes + from, mask_of(plane_bytes - from),
                                    _mm512_maskz_mov_epi8(inside, unsigned_bytes(raw, p, planes, width)));
        }
    }
}

/* Sum of the codes of a filled row. */
static int32_t total_of(const Gemm *job, const Panel *panel, int row) {
    const uint8_t *bytes = panel->bytes + row * panel->stride;
    __m512i sum = _mm512_setzero_si512();
    for (int64_t from = 0; from < panel->stride; from += 64) {
        const __m512i u = _mm512_maskz_loadu_epi8(mask_of(panel->stride - from), bytes + from);
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(u, _mm512_setzero_si512()));
    }
    return (int32_t)_mm512_reduce_add_epi64(sum) - (job->inner << (job->x_bits - 1));
}

/* Rows [row, row + count) of x, and zeros up to a multiple of ROWS. The rows of the next panel are asked for meanwhile. */
static void fill(const Gemm *job, const Panel *panel, int64_t row, int count) {
    for (int r = 0; r < count; r++) {
        for (int64_t line = 0; line < job->x_bytes; line += 64)
            _mm_prefetch((const char *)job->x + (row + r + PANEL) * job->x_bytes + line, _MM_HINT_T1);
        fill_row(job, job->x + (row + r) * job->x_bytes, panel->plane, panel->bytes + r * panel->stride);
        panel->totals[r] = job->weight_zero ? total_of(job, panel, r) : 0;
    }
    for (int r = count; r % ROWS; r++)
        memset(panel->bytes + r * panel->stride, 0, (size_t)panel->stride), panel->totals[r] = 0;
}

INLINE Row4 add_row(Row4 s, const uint8_t *x, __m512i c0, __m512i c1, __m512i c2, __m512i c3, int vectors) {
    const __m512i u = _mm512_set1_epi32(*(const int32_u *)x);
    s.c0 = dot(s.c0, u, c0);
    if (vectors > 1)
        s.c1 = dot(s.c1, u, c1);
    if (vectors > 2)
        s.c2 = dot(s.c2, u, c2);
    if (vectors > 3)
        s.c3 = dot(s.c3, u, c3);
    return s;
}

/* Asks for some more pairs of lines of what is read soon. */
INLINE void ask(Fetch *soon) {
    for (int32_t pair = 0; pair < soon->pairs && soon->next != soon->stop; pair++) {
        const char *row = (const char *)soon->x + *soon->next * soon->step + 64 * soon->line;
        _mm_prefetch(row, _MM_HINT_T1);
        _mm_prefetch(row + 64, _MM_HINT_T1);
        soon->line += 2;
        if (soon->line >= soon->lines)
            soon->next++, soon->line = 0;
    }
}

/* Six rows times 16 `vectors` outputs of a tile, from `start` on. */
INLINE Block multiply(const Gemm *job, const Panel *panel, int row, int64_t from, Row4 start, int vectors, Fetch *soon) {
    const int64_t stride = panel->stride, blocks = panel->plane / 4;
    const uint8_t *x = panel->bytes + row * stride;
    Block s = {start, start, start, start, start, start};
    for (int p = 0; p < planes_of(job->x_bits); p++) {
        const int8_t *w = job->weights + (p * padded(job->channels) + from) * blocks * 4;
        const uint8_t *at = x + p * panel->plane;
        for (int64_t b = 0; b < blocks; b++, w += 256, at += 4) {
            const __m512i c0 = _mm512_loadu_si512(w);
            const __m512i c1 = vectors > 1 ? _mm512_loadu_si512(w + 64) : c0;
            const __m512i c2 = vectors > 2 ? _mm512_loadu_si512(w + 128) : c0;
            const __m512i c3 = vectors > 3 ? _mm512_loadu_si512(w + 192) : c0;
            s.r0 = add_row(s.r0, at, c0, c1, c2, c3, vectors), s.r1 = add_row(s.r1, at + stride, c0, c1, c2, c3, vectors);
            s.r2 = add_row(s.r2, at + 2 * stride, c0, c1, c2, c3, vectors);
            s.r3 = add_row(s.r3, at + 3 * stride, c0, c1, c2, c3, vectors);
            s.r4 = add_row(s.r4, at + 4 * stride, c0, c1, c2, c3, vectors);
            s.r5 = add_row(s.r5, at + 5 * stride, c0, c1, c2, c3, vectors);
            ask(soon);
        }
    }
    return s;
}

/* What the sums of a tile start from: the zero point of x, and its move to unsigned bytes, times the column sums. */
INLINE Row4 started(const Gemm *job, int64_t from) {
    const __m512i zero = _mm512_set1_epi32(-(job->zero + (1 << (job->x_bits - 1))));
    const int32_t *sums = job->column_sums + from;
    return (Row4){_mm512_mullo_epi32(zero, _mm512_loadu_si512(sums)), _mm512_mullo_epi32(zero, _mm512_loadu_si512(sums + 16)),
                  _mm512_mullo_epi32(zero, _mm512_loadu_si512(sums + 32)),
                  _mm512_mullo_epi32(zero, _mm512_loadu_si512(sums + 48))};
}

/* What a tile is made for, known when it is compiled. pair: sums of two products meet in the epilogue. */
typedef struct {
    int kind, pair, certain;
} Want;

/* The end of a tile's rows. */
typedef struct {
    const Finish *f;
    uint8_t *out; /* sums (int32) or codes, one to a byte, of row 0 of the panel */
    int64_t stride;
    int32_t channels;
    int past_caches; /* the result is too large to stay in them */
    __m512i zero16, low, high;
} End;

INLINE __m512i steps_of(const End *e, __m512i sums, __m512i second, int64_t k, __m512 *far, Want want) {
    const Finish *f = e->f;
    const __m512 value = _mm512_cvtepi32_ps(sums), by = _mm512_loadu_ps(f->multiplier32 + k);
    __m512 y = _mm512_loadu_ps(f->offset32 + k);
    if (want.pair)
        y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(second), _mm512_loadu_ps(f->also32 + k), y);
    y = _mm512_fmadd_ps(value, by, y);
    if (want.pair) { /* two large sums may leave a small y: their own rounding counts (finishing.py, noise) */
        const __m512 rest = _mm512_abs_ps(_mm512_reduce_ps(y, _MM_FROUND_TO_NEAREST_INT));
        const __m512 large = _mm512_abs_ps(_mm512_mul_ps(value, by));
        *far = _mm512_max_ps(*far, _mm512_fmadd_ps(large, _mm512_set1_ps(8 * 0x1p-24f), rest));
    } else if (!want.certain)
        *far = further(*far, y);
    return _mm512_cvtps_epi32(y);
}
INLINE Scale scale_of(const End *e, Want want) {
    return (Scale){e->f->multiplier, e->f->offset, want.pair ? e->f->also : NULL, 1, 0};
}
INLINE __m512i exact_steps_of(const End *e, __m512i sums, __m512i second, int64_t k, Want want) {
    const Scale s = scale_of(e, want);
    return _mm512_sub_epi32(codes_of(e->f, reals16(sums, sums, second, &s, (int32_t)k)), _mm512_set1_epi32(e->f->zero_point));
}

INLINE void store64(const End *e, uint8_t *to, __m512i codes) {
    if (e->past_caches)
        _mm512_stream_si512((__m512i *)to, codes);
    else
        _mm512_storeu_si512(to, codes);
}

/* 64 sums to bytes. Vectors beyond the last are taken from the first: they end beyond the mask of what is stored. */
INLINE void codes64(const End *e, Row4 s, Row4 t, int64_t k, int vectors, Want want, uint8_t *out) {
    __m512 far = _mm512_setzero_ps();
    const int64_t k1 = vectors > 1 ? k + 16 : k, k2 = vectors > 2 ? k + 32 : k, k3 = vectors > 3 ? k + 48 : k;
    if (vectors < 2)
        s.c1 = s.c0, t.c1 = t.c0;
    if (vectors < 3)
        s.c2 = s.c0, t.c2 = t.c0;
    if (vectors < 4)
        s.c3 = s.c0, t.c3 = t.c0;
    __m512i c0 = steps_of(e, s.c0, t.c0, k, &far, want), c1 = steps_of(e, s.c1, t.c1, k1, &far, want);
    __m512i c2 = steps_of(e, s.c2, t.c2, k2, &far, want), c3 = steps_of(e, s.c3, t.c3, k3, &far, want);
    if (!want.certain && unsure(e->f, far))
        c0 = exact_steps_of(e, s.c0, t.c0, k, want), c1 = exact_steps_of(e, s.c1, t.c1, k1, want),
        c2 = exact_steps_of(e, s.c2, t.c2, k2, want), c3 = exact_steps_of(e, s.c3, t.c3, k3, want);
    const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(c0, c1), e->zero16);
    const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(c2, c3), e->zero16);
    const __m512i bytes = _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(low, high), e->low), e->high);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i codes = _mm512_permutexvar_epi32(order, bytes);
    if (vectors == 4 && e->channels - k >= 64)
        store64(e, out + k, codes);
    else
        _mm512_mask_storeu_epi8(out + k, mask_of(e->channels - k), codes);
}

/* 64 sums to float32, by float64. */
INLINE void reals64(const End *e, Row4 s, Row4 t, int64_t k, int vectors, Want want, float *out) {
    const Scale scale = scale_of(e, want);
#define REALS16(N)                                                                                                     \
    if (vectors > N)                                                                                                   \
        _mm512_mask_storeu_ps(out + k + 16 * N, mask16(e->channels - k - 16 * N),                                      \
                              reals16(s.c##N, s.c##N, t.c##N, &scale, (int32_t)k + 16 * N));
    REALS16(0) REALS16(1) REALS16(2) REALS16(3)
#undef REALS16
}

INLINE void sums64(Row4 s, int64_t k, int vectors, int64_t channels, int32_t *out) {
    _mm512_mask_storeu_epi32(out + k, mask16(channels - k), s.c0);
    if (vectors > 1)
        _mm512_mask_storeu_epi32(out + k + 16, mask16(channels - k - 16), s.c1);
    if (vectors > 2)
        _mm512_mask_storeu_epi32(out + k + 32, mask16(channels - k - 32), s.c2);
    if (vectors > 3)
        _mm512_mask_storeu_epi32(out + k + 48, mask16(channels - k - 48), s.c3);
}

/* What a row's zero point of the weights takes from its sums. */
INLINE Row4 less(const Gemm *job, Row4 s, const Panel *panel, int row) {
    if (!job->weight_zero)
        return s;
    const int32_t total = panel->totals[row] - job->zero * job->inner;
    const __m512i by = _mm512_set1_epi32((int32_t)((uint32_t)job->weight_zero * (uint32_t)total));
    return (Row4){_mm512_sub_epi32(s.c0, by), _mm512_sub_epi32(s.c1, by), _mm512_sub_epi32(s.c2, by),
                  _mm512_sub_epi32(s.c3, by)};
}

INLINE void end_row(const Gemm *job, const Panel *panel, const End *e, Row4 s, const Row4 *kept, int row, int count,
                    int64_t k, int vectors, Want want) {
    if (row >= count)
        return;
    uint8_t *out = e->out + row * e->stride;
    if (want.kind == SUMS) {
        sums64(s, k, vectors, e->channels, (int32_t *)out);
        return;
    }
    s = less(job, s, panel, row);
    const Row4 first = want.pair ? *kept : s;
    if (want.kind == REALS)
        reals64(e, first, s, k, vectors, want, (float *)out);
    else
        codes64(e, first, s, k, vectors, want, out);
}

INLINE void keep(const Gemm *job, const Panel *panel, Block s, int row, Row4 *kept) {
    kept[0] = less(job, s.r0, panel, row), kept[1] = less(job, s.r1, panel, row + 1);
    kept[2] = less(job, s.r2, panel, row + 2), kept[3] = less(job, s.r3, panel, row + 3);
    kept[4] = less(job, s.r4, panel, row + 4), kept[5] = less(job, s.r5, panel, row + 5);
}

/* All rows of a panel times one tile; of two panels, where there are two products. */
INLINE void tile(const Gemm *job, const Panel *panel, const Panel *other, const End *e, int count, int64_t from, int vectors,
                 Want want, Fetch *soon) {
    const Gemm *last = want.pair ? job->second : job;
    const Panel *of = want.pair ? other : panel;
    const Row4 start = started(job, from), begin = started(last, from);
    for (int row = 0; row < count; row += ROWS) {
        Row4 kept[ROWS];
        if (want.pair)
            keep(job, panel, multiply(job, panel, row, from, start, vectors, soon), row, kept);
        const Block s = multiply(last, of, row, from, begin, vectors, soon);
        end_row(last, of, e, s.r0, kept, row, count, from, vectors, want);
        end_row(last, of, e, s.r1, kept + 1, row + 1, count, from, vectors, want);
        end_row(last, of, e, s.r2, kept + 2, row + 2, count, from, vectors, want);
        end_row(last, of, e, s.r3, kept + 3, row + 3, count, from, vectors, want);
        end_row(last, of, e, s.r4, kept + 4, row + 4, count, from, vectors, want);
        end_row(last, of, e, s.r5, kept + 5, row + 5, count, from, vectors, want);
    }
}

typedef void (*Tiles)(const Gemm *job, const Panel *panel, const Panel *other, const End *e, int count,
                      Fetch *soon);
#define TILES(NAME, ...)                                                                                               \
    static __attribute__((noinline)) void NAME(const Gemm *job, const Panel *panel, const Panel *other, const End *e,  \
                                               int count, Fetch *soon) {                                               \
        const Want want = {__VA_ARGS__};                                                                               \
        for (int64_t from = 0; from < job->channels; from += 64) {                                                     \
            const int64_t left = job->channels - from;                                                                 \
            if (left > 48)                                                                                             \
                tile(job, panel, other, e, count, from, 4, want, soon);                                                \
            else if (left > 32)                                                                                        \
                tile(job, panel, other, e, count, from, 3, want, soon);                                                \
            else if (left > 16)                                                                                        \
                tile(job, panel, other, e, count, from, 2, want, soon);                                                \
            else                                                                                                       \
                tile(job, panel, other, e, count, from, 1, want, soon);                                                \
        }                                                                                                              \
    }
TILES(to_sums, SUMS, 0, 0)
TILES(to_reals, REALS, 0, 0)
TILES(to_codes, CODES, 0, 0)
TILES(to_certain_codes, CODES, 0, 1)
TILES(two_to_reals, REALS, 1, 0)
TILES(two_to_codes, CODES, 1, 0)

/* Sums of rows [row, row + count), before the zero point of the weights; count is at most ROWS. */
void avx512_products(const Gemm *job, int64_t row, int count, int32_t *acc, int64_t stride) {
    void *space = malloc(panel_bytes(job));
    if (!space)
        abort();
    const Panel panel = panel_of(job, space);
    const End e = {.out = (uint8_t *)acc, .stride = stride * (int64_t)sizeof(int32_t), .channels = job->channels};
    fill(job, &panel, row, count);
    Fetch nothing = {0};
    to_sums(job, &panel, &panel, &e, count, &nothing);
    free(space);
}

/* Whether to write past the caches: what does not stay there would first be read from memory. */
static int streams(const Gemm *job) {
    return job->num_rows * job->out_bytes > LARGE && job->out_bytes % 64 == 0 && (uintptr_t)job->out % 64 == 0;
}

static Tiles tiles_of(const Gemm *job) {
    if (job->finish.kind == REALS)
        return job->second ? two_to_reals : to_reals;
    return job->second ? two_to_codes : job->finish.fast == CERTAIN ? to_certain_codes : to_codes;
}

/* Rows [row, last) to codes or reals; 0 where this epilogue needs the general way. */
int avx512_gemm(const Gemm *job, int64_t row, int64_t last, Fetch *soon) {
    Fetch nothing = {0};
    const Finish *f = &job->finish;
    const Gemm *second = job->second;
    if (f->kind == SUMS || (f->kind == CODES && !f->fast) || f->thresholds || f->rows)
        return 0;
    const int whole = f->kind == REALS || f->bits == 8;
    const int64_t width = padded(job->channels);
    const size_t one = panel_bytes(job), other = second ? panel_bytes(second) : 0;
    uint8_t *space = malloc(one + other + (size_t)(whole ? 0 : PANEL * width));
    if (!space)
        return 0;
    const Panel panel = panel_of(job, space), beside = second ? panel_of(second, space + one) : panel;
    uint8_t *codes = space + one + other;
    End e = {f, codes, whole ? job->out_bytes : width, job->channels, whole && streams(job),
             _mm512_set1_epi16((short)f->zero_point), _mm512_set1_epi8((char)((int)f->low + f->zero_point)),
             _mm512_set1_epi8((char)((int)f->high + f->zero_point))};
    const Tiles tiles = tiles_of(job);
    for (; row < last; row += PANEL) {
        const int count = last - row < PANEL ? (int)(last - row) : PANEL;
        uint8_t *out = (uint8_t *)job->out + row * job->out_bytes;
        if (whole)
            e.out = out;
        fill(job, &panel, row, count);
        if (second)
            fill(second, &beside, row, count);
        tiles(job, &panel, &beside, &e, count, soon ? soon : &nothing);
        for (int r = 0; !whole && r < count; r++)
            avx512_pack((const int8_t *)codes + r * width, job->channels, f->bits, out + r * job->out_bytes);
    }
    free(space);
    return 1;
}
#endif
