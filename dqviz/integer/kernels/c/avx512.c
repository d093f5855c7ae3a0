/* AVX-512 with VNNI and VBMI: the end of a row, codes of floats, packing, and the table of what stands where. */
#include "avx512.h"

#if defined(__x86_64__) && defined(__GNUC__)
static void avx512_finish(const Finish *f, const Row *row, int32_t n, void *out) {
    const Scale s = {f->multiplier, f->offset, row->second ? f->also : NULL, f->rows ? f->rows[row->number] : 1,
                     row->self ? row->own : 0};
    const int quick = f->kind == CODES && f->fast && !row->self && !row->second && !f->rows && !f->thresholds;
    for (int32_t k = 0; k < n; k += 16) {
        const __mmask16 mask = mask16(n - k);
        const __m512i sums = _mm512_maskz_loadu_epi32(mask, row->sums + k);
        if (quick) {
            _mm512_mask_cvtepi32_storeu_epi8((int8_t *)out + k, mask, codes16(f, k, sums));
            continue;
        }
        __m512i self = sums, second = sums;
        if (row->self)
            self = _mm512_sub_epi32(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, row->self + k)),
                                    _mm512_set1_epi32(row->zero));
        if (row->second)
            second = _mm512_maskz_loadu_epi32(mask, row->second + k);
        const __m512 y = reals16(sums, self, second, &s, k);
        if (f->kind == REALS)
            _mm512_mask_storeu_ps((float *)out + k, mask, y);
        else
            _mm512_mask_cvtepi32_storeu_epi8((int8_t *)out + k, mask, codes_of(f, y));
    }
}

static void avx512_quantize(const Finish *f, const float *x, float inverse, int32_t n, int8_t *out) {
    const __m512 by = _mm512_set1_ps(inverse);
    for (int32_t k = 0; k < n; k += 16) {
        const __mmask16 mask = mask16(n - k);
        const __m512 y = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + k), by);
        _mm512_mask_cvtepi32_storeu_epi8(out + k, mask, codes_of(f, y));
    }
}

static void avx512_entries(const float *x, int64_t n, float inverse, float low, float high, uint8_t *out) {
    for (int64_t k = 0; k < n; k += 16) {
        const __mmask16 mask = mask16(n - k);
        const __m512 y = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + k), _mm512_set1_ps(inverse));
        const __m512 inside = _mm512_min_ps(_mm512_max_ps(y, _mm512_set1_ps(low)), _mm512_set1_ps(high));
        _mm512_mask_cvtepi32_storeu_epi8(out + k, mask, _mm512_cvtps_epi32(inside));
    }
}

void avx512_pack(const int8_t *codes, int32_t n, int32_t bits, uint8_t *out) {
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
            const int8_t *at = codes + p * bytes + from;
            const __m512i field = mask == ~(__mmask64)0 ? _mm512_sub_epi8(_mm512_loadu_si512(at), qmin)
                                                        : _mm512_maskz_sub_epi8(mask, _mm512_maskz_loadu_epi8(mask, at), qmin);
            packed = _mm512_or_si512(packed, _mm512_slli_epi16(field, (unsigned)(p * width)));
        }
        if (inside == ~(__mmask64)0)
            _mm512_storeu_si512(out + from, packed);
        else
            _mm512_mask_storeu_epi8(out + from, inside, packed);
    }
}

static void avx512_unpack(const uint8_t *packed, int32_t n, int32_t bits, int8_t *codes) {
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
