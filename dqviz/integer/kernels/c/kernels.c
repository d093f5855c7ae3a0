/* What Python calls: work is cut into shares, one a thread; each row is summed, finished and packed while in the cache. */
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getcpu, cpu sets */
#endif
#include "kernels.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <unistd.h>
#endif
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#if defined(_MSC_VER)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#if defined(__x86_64__) && defined(__GNUC__)
/* VNNI for 256 bits came in two encodings: leaf 7, subleaf 1 of CPUID says whether the one of AVX2 is here. */
static int has_avx_vnni(void) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    return avx_vnni_set.sums && __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
static int has_avx512_vnni(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
#endif

static int has_dot_product(void) {
#if defined(__aarch64__) && defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(__aarch64__) && defined(__APPLE__)
    return 1; /* every processor that Apple calls arm64 */
#else
    return 0;
#endif
}

static const Set *set_of(int32_t level) {
#if defined(__x86_64__) && defined(__GNUC__)
    if (level == AVX512)
        return &avx512_set;
    if (level == AVX2_VNNI)
        return has_avx512_vnni() ? &avx512_vnni_set : &avx_vnni_set;
    if (level == AVX2)
        return &avx2_set;
#endif
    return level == NEON ? &neon_set : &plain_set;
}

/* Bit i: instruction set i runs on this processor. */
EXPORT int32_t dqviz_levels(void) {
    int32_t levels = 1 << PLAIN;
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        levels |= 1 << AVX2 | (has_avx_vnni() || has_avx512_vnni()) << AVX2_VNNI;
    if (has_avx512_vnni() && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vbmi"))
        levels |= 1 << AVX512;
#endif
    if (neon_set.sums && has_dot_product())
        levels |= 1 << NEON;
    return levels;
}

/* Sizes of the structs, so that the caller can check that it lays them out the same way. */
EXPORT void dqviz_sizes(int32_t *out) {
    out[0] = (int32_t)sizeof(Finish);
    out[1] = (int32_t)sizeof(Spmm);
    out[2] = (int32_t)sizeof(SpmmFloat);
    out[3] = (int32_t)sizeof(Gemm);
    out[4] = (int32_t)sizeof(Quantize);
    out[5] = (int32_t)sizeof(Attention);
    out[6] = (int32_t)sizeof(Entries);
    out[7] = (int32_t)sizeof(Unpack);
    out[8] = (int32_t)sizeof(Step);
    out[9] = (int32_t)sizeof(Program);
    out[10] = (int32_t)sizeof(Chain);
    out[11] = (int32_t)sizeof(Operand);
    out[12] = (int32_t)sizeof(Blend);
    out[13] = (int32_t)sizeof(Meet);
}

/* Rows of equal number for each share. */
static void cut(int64_t rows, int32_t share, int32_t shares, int64_t *first, int64_t *last) {
    *first = rows * share / shares;
    *last = rows * (share + 1) / shares;
}

static void finish_row(const Set *set, const Finish *f, const Row *row, int32_t n, int8_t *codes, uint8_t *out) {
    if (f->kind == SUMS)
        memcpy(out, row->sums, sizeof(int32_t) * (size_t)n);
    else if (f->kind == REALS || f->bits == 8)
        set->finish(f, row, n, out);
    else {
        set->finish(f, row, n, codes);
        set->pack(codes, n, f->bits, out);
    }
}

/* Scratch of one share; NULL when memory is short: a share has no way to fail, so the callers abort. */
static void *scratch(size_t bytes) { return aligned_alloc(64, (bytes + 127) & ~(size_t)63); }

/* sum - shift of one row: the zero point of x times the row's weights, head by head. */
static void centre(const Spmm *job, int32_t *acc, const int32_t *weight_sums, int32_t zero) {
    const int32_t channels = job->channels / job->heads;
    for (int32_t head = 0; head < job->heads; head++) {
        const uint32_t shift = (uint32_t)zero * (uint32_t)weight_sums[head];
        uint32_t *sums = (uint32_t *)acc + head * channels;
        if (shift)
            for (int32_t k = 0; k < channels; k++)
                sums[k] -= shift;
    }
}

/* A piece of a row that is cut: its own weights are summed here, for the zero point. */
static void piece(const Set *set, const Spmm *job, int64_t first, int64_t stop, int32_t *acc, int32_t *out) {
    int32_t weight_sums[MAX_HEADS] = {0};
    const int32_t bias = set->sums(job, first, stop, acc);
    for (int64_t entry = 4 * first; entry < 4 * stop; entry++)
        for (int32_t head = 0; head < job->heads; head++) {
            const uint8_t w = job->weights[entry * job->heads + head];
            weight_sums[head] += job->nonnegative ? w : (int8_t)w;
        }
    centre(job, acc, weight_sums, job->zero + bias);
    memcpy(out, acc, sizeof(int32_t) * (size_t)job->channels);
}

/* Scratch of a sparse product: sums of a row, its own codes, codes that are packed at the end. */
static int32_t *spmm_space(const Spmm *job) {
    int32_t *acc = scratch((sizeof(int32_t) + 2) * (size_t)padded(job->channels));
    if (!acc)
        abort();
    return acc;
}

/* Whole rows [row, last). */
static void spmm_rows(const Set *set, const Spmm *job, int64_t row, int64_t last, int32_t *acc) {
    const int32_t n = job->channels;
    int8_t *self = (int8_t *)(acc + padded(n)), *codes = self + padded(n);
    if (row < last && set->rows && set->rows(job, row, last))
        return;
    for (; row < last; row++) {
        const int32_t bias = set->sums(job, job->ptr[row], job->ptr[row + 1], acc);
        centre(job, acc, job->weight_sums + row * job->heads, job->zero + bias);
        if (job->own != 0)
            set->unpack(job->x + row * job->x_bytes, n, job->x_bits, self);
        const Row whole = {row, acc, NULL, job->own != 0 ? self : NULL, job->own, job->zero};
        finish_row(set, &job->finish, &whole, n, codes, (uint8_t *)job->out + row * job->out_bytes);
    }
}

static void spmm_share(const void *argument, int32_t share, int32_t shares) {
    const Spmm *job = argument;
    const Set *set = set_of(job->level);
    (void)shares;
    int32_t *acc = spmm_space(job);
    int64_t row = job->rows[share], group = job->groups[share];
    const int64_t last = job->rows[share + 1], stop = job->groups[share + 1];
    if (row < last && group > job->ptr[row]) {
        piece(set, job, group, job->ptr[row + 1], acc, job->head + (int64_t)share * job->channels);
        group = job->ptr[++row];
    }
    spmm_rows(set, job, row, last, acc);
    if (row < last)
        group = job->ptr[last];
    piece(set, job, group, stop, acc, job->tail + (int64_t)share * job->channels);
    free(acc);
}

/* Rows that were cut: the tails of the shares before, then the head that ends the row. */
static void spmm_end(const void *argument) {
    const Spmm *job = argument;
    const Set *set = set_of(job->level);
    const int32_t n = job->channels;
    if (job->threads == 1)
        return;
    int32_t *acc = spmm_space(job);
    int8_t *self = (int8_t *)(acc + padded(n)), *codes = self + padded(n);
    memset(acc, 0, sizeof(int32_t) * (size_t)n);
    for (int32_t share = 0; share < job->threads; share++) {
        const int64_t row = job->rows[share], last = job->rows[share + 1];
        if (row < last && job->groups[share] > job->ptr[row]) {
            for (int32_t k = 0; k < n; k++)
                acc[k] += job->head[(int64_t)share * n + k];
            if (job->own != 0)
                set->unpack(job->x + row * job->x_bytes, n, job->x_bits, self);
            const Row whole = {row, acc, NULL, job->own != 0 ? self : NULL, job->own, job->zero};
            finish_row(set, &job->finish, &whole, n, codes, (uint8_t *)job->out + row * job->out_bytes);
            memset(acc, 0, sizeof(int32_t) * (size_t)n);
        }
        const int64_t from = job->ptr[last] > job->groups[share] ? job->ptr[last] : job->groups[share];
        if (job->groups[share + 1] > from)
            for (int32_t k = 0; k < n; k++)
                acc[k] += job->tail[(int64_t)share * n + k];
    }
    free(acc);
}

static void spmm_float_share(const void *argument, int32_t share, int32_t shares) {
    const SpmmFloat *job = argument;
    const Set *set = set_of(job->level);
    const int64_t n = job->channels;
    int64_t row = job->rows[share], group = job->groups[share];
    const int64_t last = job->rows[share + 1], stop = job->groups[share + 1];
    (void)shares;
    if (row < last && group > job->ptr[row]) {
        set->sums_float(job, group, job->ptr[row + 1], job->head + share * n);
        group = job->ptr[++row];
    }
    for (; row < last; row++) {
        set->sums_float(job, group, job->ptr[row + 1], job->out + row * n);
        group = job->ptr[row + 1];
    }
    set->sums_float(job, group, stop, job->tail + share * n);
}

static void spmm_float_end(const void *argument) {
    const SpmmFloat *job = argument;
    const int64_t n = job->channels;
    int64_t open = -1; /* the row whose tails are being added */
    for (int32_t share = 0; job->threads > 1 && share < job->threads; share++) {
        const int64_t row = job->rows[share], last = job->rows[share + 1];
        if (row < last && job->groups[share] > job->ptr[row]) {
            float *out = job->out + row * n;
            for (int64_t k = 0; k < n; k++)
                out[k] = (open == row ? out[k] : 0) + job->head[share * n + k];
            open = -1;
        }
        const int64_t from = job->ptr[last] > job->groups[share] ? job->ptr[last] : job->groups[share];
        if (job->groups[share + 1] > from) {
            float *out = job->out + last * n;
            for (int64_t k = 0; k < n; k++)
                out[k] = (open == last ? out[k] : 0) + job->tail[share * n + k];
            open = last;
        }
    }
}

/* What the weights' zero point takes from the sums of a row: the sum of (x - zero), times it. */
static void centre_weights(const Set *set, const Gemm *job, int64_t row, int32_t *sums, int8_t *x) {
    int32_t total = 0;
    if (!job->weight_zero)
        return;
    set->unpack(job->x + row * job->x_bytes, job->inner, job->x_bits, x);
    for (int32_t k = 0; k < job->inner; k++)
        total += x[k];
    const uint32_t shift = (uint32_t)job->weight_zero * (uint32_t)(total - job->zero * job->inner);
    for (int32_t k = 0; k < job->channels; k++)
        sums[k] = (int32_t)((uint32_t)sums[k] - shift);
}

/* Rows [row, last). `soon`: what to ask for meanwhile. */
static void gemm_rows(const Gemm *job, int64_t row, int64_t last, Fetch *soon) {
    const Gemm *second = job->second;
    const Set *set = set_of(job->level);
    if (set->gemm && set->gemm(job, row, last, soon))
        return;
    const int64_t stride = padded(job->channels), most = job->inner;
    const int64_t inner = padded(second && second->inner > most ? second->inner : most);
    int32_t *acc = scratch(sizeof(int32_t) * (size_t)(2 * ROWS * stride) + (size_t)stride + (size_t)inner);
    if (!acc)
        abort();
    int32_t *also = acc + ROWS * stride;
    int8_t *codes = (int8_t *)(also + ROWS * stride), *x = codes + stride;
    for (; row < last; row += ROWS) {
        const int count = last - row < ROWS ? (int)(last - row) : ROWS;
        set->products(job, row, count, acc, stride);
        if (second)
            set->products(second, row, count, also, stride);
        for (int r = 0; r < count; r++) {
            const Row whole = {row + r, acc + r * stride, second ? also + r * stride : NULL, NULL, 0, 0};
            centre_weights(set, job, row + r, acc + r * stride, x);
            if (second)
                centre_weights(set, second, row + r, also + r * stride, x);
            finish_row(set, &job->finish, &whole, job->channels, codes, (uint8_t *)job->out + (row + r) * job->out_bytes);
        }
    }
    free(acc);
}

static void gemm_share(const void *argument, int32_t share, int32_t shares) {
    const Gemm *job = argument;
    int64_t row, last;
    cut(job->num_rows, share, shares, &row, &last);
    gemm_rows(job, row, last, NULL);
}

static void quantize_rows(const Quantize *job, int64_t row, int64_t last) {
    const Set *set = set_of(job->level);
    const int32_t n = job->channels;
    int8_t *codes = scratch((size_t)padded(n));
    if (!codes)
        abort();
    for (; row < last; row++) {
        uint8_t *out = (uint8_t *)job->out + row * job->out_bytes;
        const int whole = job->finish.bits == 8;
        set->quantize(&job->finish, job->x + row * n, job->inverse, n, whole ? (int8_t *)out : codes);
        if (!whole)
            set->pack(codes, n, job->finish.bits, out);
    }
    free(codes);
}

static void quantize_share(const void *argument, int32_t share, int32_t shares) {
    const Quantize *job = argument;
    int64_t row, last;
    cut(job->num_rows, share, shares, &row, &last);
    quantize_rows(job, row, last);
}

/* Rows of a chain at a time (their neighbours' rows fit the second cache), and its dense products at most (chains.py). */
enum { CHUNK = 96, LINKS = 4, PAIRS = 4 };

/* Codes of a chunk between two products: where row 0 would lie if all rows were there. */
static uint8_t *as_row_0(uint8_t *chunk, int64_t row, int64_t row_bytes) {
    return (uint8_t *)((uintptr_t)chunk - (uintptr_t)(row * row_bytes));
}

/* Rows of a chain, and the bytes of one after its first job. */
static int64_t rows_of(const Chain *job) { return job->spmm ? job->spmm->rows[job->spmm->threads] : job->quantize->num_rows; }
static int64_t first_bytes(const Chain *job) { return job->spmm ? job->spmm->out_bytes : job->quantize->out_bytes; }

/* Rows [row, last) through all products. between: room for a chunk of codes after each product but the last. */
static void chain_rows(const Chain *job, int64_t row, int64_t last, uint8_t *const *between, int32_t *acc, Fetch *soon) {
    uint8_t *x = as_row_0(between[0], row, first_bytes(job));
    if (job->spmm) {
        Spmm sums = *job->spmm;
        sums.out = x;
        spmm_rows(set_of(sums.level), &sums, row, last, acc);
    } else {
        Quantize codes = *job->quantize;
        codes.out = x;
        quantize_rows(&codes, row, last);
    }
    for (int32_t i = 0; i < job->count; i++) {
        Gemm product = *job->gemms[i];
        product.x = x;
        if (i + 1 < job->count)
            product.out = as_row_0(between[i + 1], row, product.out_bytes), product.num_rows = 0; /* not past the caches */
        gemm_rows(&product, row, last, soon);
        x = product.out;
    }
}

/* Blocks of four inputs that the products of a chain multiply for a chunk: how often they can ask for something. */
static int64_t blocks_of(const Chain *job) {
    int64_t blocks = 0;
    for (int32_t i = 0; i < job->count; i++)
        for (const Gemm *product = job->gemms[i]; product; product = product->second)
            blocks += (padded(product->channels) / 64) * planes_of(product->x_bits) *
                      ((bytes_of(product->inner, product->x_bits) + 3) / 4);
    return blocks * (CHUNK / ROWS);
}

/* What the sparse product reads for rows [row, last), to be asked for in `blocks` portions. */
static Fetch fetch_of(const Spmm *job, int64_t row, int64_t last, int64_t blocks) {
    const int64_t rows = job->rows[job->threads];
    row = row < rows ? row : rows, last = last < rows ? last : rows;
    const int32_t lines = (int32_t)((bytes_of(job->channels, job->x_bits) + 63) / 64);
    const int64_t pairs = 4 * (job->ptr[last] - job->ptr[row]) * ((lines + 1) / 2), each = (pairs + blocks - 1) / blocks;
    return (Fetch){job->indices + 4 * job->ptr[row], job->indices + 4 * job->ptr[last], job->x, job->x_bytes,
                   lines, 0, (int32_t)(each < PAIRS ? each : PAIRS)};
}

static void chain_share(const void *argument, int32_t share, int32_t shares) {
    const Chain *job = argument;
    const int64_t rows = rows_of(job);
    uint8_t *between[LINKS];
    for (int32_t i = 0; i < job->count; i++)
        if (!(between[i] = scratch((size_t)(CHUNK * (i ? job->gemms[i - 1]->out_bytes : first_bytes(job))))))
            abort();
    int32_t *acc = job->spmm ? spmm_space(job->spmm) : NULL;
    const int64_t blocks = blocks_of(job);
    for (int64_t row = (int64_t)share * CHUNK; row < rows; row += (int64_t)shares * CHUNK) {
        const int64_t last = row + CHUNK < rows ? row + CHUNK : rows, next = row + (int64_t)shares * CHUNK;
        Fetch soon = job->spmm ? fetch_of(job->spmm, next, next + CHUNK, blocks) : (Fetch){0};
        chain_rows(job, row, last, between, acc, &soon);
    }
    for (int32_t i = 0; i < job->count; i++)
        free(between[i]);
    free(acc);
}

/* Of so many steps: clipped, then the nearest, ties to even (1.5 * 2^23 leaves a float32 no bit behind the point). */
static inline int32_t code_of(float steps, float low, float high) {
    steps = steps > low ? steps : low;
    steps = steps < high ? steps : high;
    return (int32_t)((steps + 12582912.0f) - 12582912.0f);
}

/* Softmax row by row: exponentials come from the table, sums are added entry by entry in float64, so that every
   implementation gets the same bits. */
static void attention_share(const void *argument, int32_t share, int32_t shares) {
    const Attention *job = argument;
    const int32_t heads = job->heads;
    const Set *set = set_of(job->level);
    (void)shares;
    for (int64_t row = job->rows[share]; row < job->rows[share + 1]; row++) {
        if (set->attention && heads <= 8) {
            set->attention(job, row);
            continue;
        }
        const int8_t *target = job->target + row * job->stride;
        const int64_t first = 4 * job->ptr[row], stop = 4 * job->ptr[row + 1];
        double total[MAX_HEADS] = {0};
        for (int64_t entry = first; entry < stop; entry++)
            if (job->live[entry])
                for (int32_t h = 0; h < heads; h++)
                    total[h] += job->table[job->source[(int64_t)job->indices[entry] * job->stride + h] + target[h] -
                                           job->table_first];
        int32_t *sums = job->weight_sums + row * heads;
        for (int32_t h = 0; h < heads; h++)
            sums[h] = 0;
        for (int64_t entry = first; entry < stop; entry++) {
            uint8_t *out = job->weights + entry * heads;
            for (int32_t h = 0; h < heads; h++) {
                out[h] = 0;
                if (!job->live[entry])
                    continue;
                const double e = job->table[job->source[(int64_t)job->indices[entry] * job->stride + h] + target[h] -
                                            job->table_first];
                const int32_t code = code_of((float)(e / total[h]) * job->inverse, job->low, job->high);
                out[h] = (uint8_t)code;
                sums[h] += code;
            }
        }
    }
}


/* Codes of the stored values of a sparse matrix, as bytes of its groups, and their sum by row. */
static void entries_share(const void *argument, int32_t share, int32_t shares) {
    const Entries *job = argument;
    const Set *set = set_of(job->level);
    int64_t row, last;
    cut(job->num_rows, share, shares, &row, &last);
    const int64_t first = 4 * job->ptr[row], stop = 4 * job->ptr[last];
    set->entries(job->values + first, stop - first, job->inverse, job->low, job->high, job->weights + first);
    if (job->weight_sums)
        for (; row < last; row++) {
            int32_t sum = 0;
            for (int64_t entry = 4 * job->ptr[row]; entry < 4 * job->ptr[row + 1]; entry++)
                sum += job->low >= 0 ? job->weights[entry] : (int8_t)job->weights[entry];
            job->weight_sums[row] = sum;
        }
}

static void meet_share(const void *argument, int32_t share, int32_t shares) {
    const Meet *job = argument;
    int64_t row, last;
    cut(job->num_rows, share, shares, &row, &last);
    for (; row < last; row++) {
        const double factor = job->rows ? job->rows[row] : 1;
        uint8_t *out = job->weights + 4 * job->groups[row];
        int32_t total = 0;
        for (int64_t e = job->entries[row]; e < job->entries[row + 1]; e++) {
            int32_t sum = 0;
            for (int64_t i = job->ptr[e]; i < job->ptr[e + 1]; i++) {
                const uint8_t x = job->x[job->source[i]];
                sum += job->nonnegative ? x : (int8_t)x;
            }
            double value = sum;
            if (job->self[e] >= 0) {
                const uint8_t x = job->x[job->self[e]];
                value += job->own * (job->nonnegative ? x : (int8_t)x);
            }
            const float steps = (float)((value * factor) * job->multiplier[job->columns[e]]);
            const int32_t code = code_of(steps, job->low, job->high);
            out[e - job->entries[row]] = (uint8_t)code;
            total += code;
        }
        job->weight_sums[row] = total;
    }
}

static void unpack_share(const void *argument, int32_t share, int32_t shares) {
    const Unpack *job = argument;
    int64_t row, last;
    cut(job->num_rows, share, shares, &row, &last);
    for (; row < last; row++)
        set_of(job->level)->unpack(job->x + row * job->x_bytes, job->channels, job->bits, job->out + row * job->channels);
}

/* Rows [row, row + count) of an operand as integers, one behind the other. codes: room for as many. */
static void integers(const Set *set, const Operand *from, int64_t row, int64_t count, int32_t n, int8_t *codes, int32_t *out) {
    const uint8_t *x = from->x + row * from->x_bytes;
    for (int64_t r = 0; r < count; r++)
        if (from->bits == 32)
            memcpy(out + r * n, x + r * from->x_bytes, sizeof(int32_t) * (size_t)n);
        else
            set->unpack(x + r * from->x_bytes, n, from->bits, codes + r * n);
    for (int64_t k = 0; from->bits < 32 && k < count * n; k++)
        out[k] = codes[k] - from->zero;
}

static void blend_share(const void *argument, int32_t share, int32_t shares) {
    const Blend *job = argument;
    const Set *set = set_of(job->level);
    const int32_t n = job->channels;
    const int64_t most = padded((int64_t)job->lines * n);
    const int in_place = job->finish.kind == REALS || job->finish.bits == 8;
    int64_t row, last;
    cut(job->num_rows, share, shares, &row, &last);
    int32_t *sums = scratch((2 * sizeof(int32_t) + 1) * (size_t)most);
    if (!sums)
        abort();
    int32_t *also = sums + most;
    int8_t *codes = (int8_t *)(also + most);
    for (; row < last; row += job->lines) {
        const int64_t count = last - row < job->lines ? last - row : job->lines;
        uint8_t *out = (uint8_t *)job->out + row * job->out_bytes;
        integers(set, &job->first, row, count, n, codes, sums);
        if (job->second.x)
            integers(set, &job->second, row, count, n, codes, also);
        const Row many = {row, sums, job->second.x ? also : NULL, NULL, 0, 0};
        set->finish(&job->finish, &many, (int32_t)count * n, in_place ? (void *)out : codes);
        for (int64_t r = 0; !in_place && r < count; r++)
            set->pack(codes + r * n, n, job->finish.bits, out + r * job->out_bytes);
    }
    free(sums);
}

typedef void (*Share)(const void *job, int32_t share, int32_t shares);
typedef void (*End)(const void *job);
static const Share SHARES[] = {spmm_share, gemm_share, quantize_share, entries_share, spmm_float_share, attention_share,
                               unpack_share, chain_share, blend_share, meet_share};
static const End ENDS[] = {spmm_end, NULL, NULL, NULL, spmm_float_end, NULL, NULL, NULL, NULL, NULL};

/* Threads that wait for programs. A team belongs to who made it; nothing here is shared between teams. */
typedef struct Team {
    const Program *program;
    _Atomic int32_t turn;                  /* counts programs; -1 tells the members to go */
    _Atomic int32_t arrived, round, left;  /* a barrier between steps; members that have not finished */
    int32_t others, started;
    int32_t caller; /* the processor that the caller was on when it called; -1 where that is not known */
    pthread_mutex_t lock;
    pthread_cond_t called;
    struct Member *members;
} Team;

typedef struct Member {
    Team *team;
    int32_t share;
    pthread_t thread;
} Member;

#if defined(__x86_64__) && defined(__GNUC__)
#define PAUSE() __builtin_ia32_pause()
#else
#define PAUSE() ((void)0)
#endif
/* Turns of a waiting loop (some tens of nanoseconds each) before a thread gives way, and before it sleeps. Giving way
   early costs little on free cores, and where two threads have come to share one the other gets on at once. */
enum { SHORT = 100, LONG = 2000 };

static void wait_a_turn(int32_t turn) {
    if (turn < SHORT)
        PAUSE();
    else
        sched_yield();
}

static void meet(Team *team) {
    const int32_t round = atomic_load(&team->round);
    if (atomic_fetch_add(&team->arrived, 1) + 1 == team->program->threads) {
        atomic_store(&team->arrived, 0);
        atomic_store(&team->round, round + 1);
        return;
    }
    for (int32_t turn = 0; atomic_load_explicit(&team->round, memory_order_acquire) == round; turn++) {
        wait_a_turn(turn);
    }
}

/* A thread that is woken often lands on the processor of who woke it, and the two take turns there until the system moves
   one, later than a short program ends. So a member that finds itself there moves away at once. */
#if defined(__linux__)
static int32_t processor(void) { return sched_getcpu(); }
static void keep_off(int32_t taken) {
    cpu_set_t set;
    if (taken < 0 || sched_getcpu() != taken || sched_getaffinity(getpid(), sizeof(set), &set))
        return;
    CPU_CLR(taken, &set);
    if (CPU_COUNT(&set))
        (void)!pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}
#else
static int32_t processor(void) { return -1; }
static void keep_off(int32_t taken) { (void)taken; }
#endif

/* One member's part of a program. */
static void take_part(Team *team, const Program *program, int32_t share) {
    for (int32_t i = 0; i < program->count; i++) {
        const Step *step = &program->steps[i];
        if (share < step->threads)
            SHARES[step->kind](step->job, share, step->threads);
        const int ends = ENDS[step->kind] && step->threads > 1, more = i + 1 < program->count;
        if (program->threads > 1 && (ends || more))
            meet(team);
        if (!ends)
            continue;
        if (share == 0)
            ENDS[step->kind](step->job);
        if (more)
            meet(team);
    }
}

/* The next turn: watched for a while (programs often come one after the other), then slept for. */
static int32_t next_turn(Team *team, int32_t seen) {
    for (int32_t turn = 0; turn < LONG; turn++) {
        const int32_t now = atomic_load_explicit(&team->turn, memory_order_acquire);
        if (now != seen)
            return now;
        wait_a_turn(turn);
    }
    pthread_mutex_lock(&team->lock);
    while (atomic_load(&team->turn) == seen)
        pthread_cond_wait(&team->called, &team->lock);
    pthread_mutex_unlock(&team->lock);
    return atomic_load(&team->turn);
}

static void *member(void *argument) {
    Member *me = argument;
    for (int32_t turn = 0; (turn = next_turn(me->team, turn)) >= 0;) {
        if (me->share < me->team->program->threads) {
            keep_off(me->team->caller);
            take_part(me->team, me->team->program, me->share);
        }
        atomic_fetch_sub(&me->team->left, 1);
    }
    return NULL;
}

static void call(Team *team, int32_t turn) {
    pthread_mutex_lock(&team->lock);
    atomic_store(&team->turn, turn);
    pthread_cond_broadcast(&team->called);
    pthread_mutex_unlock(&team->lock);
}

EXPORT void dqviz_team_stop(Team *team) {
    call(team, -1);
    for (int32_t i = 0; i < team->started; i++)
        pthread_join(team->members[i].thread, NULL);
    pthread_cond_destroy(&team->called);
    pthread_mutex_destroy(&team->lock);
    free(team->members);
    free(team);
}

/* Starts `others` threads; NULL where memory or a thread cannot be had. */
EXPORT Team *dqviz_team_start(int32_t others) {
    Team *team = calloc(1, sizeof(Team));
    if (!team)
        return NULL;
    team->others = others;
    team->members = calloc((size_t)others, sizeof(Member));
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->called, NULL);
    for (; team->members && team->started < others; team->started++) {
        Member *next = &team->members[team->started];
        next->team = team;
        next->share = team->started + 1;
        if (pthread_create(&next->thread, NULL, member, next))
            break;
    }
    if (team->started < others) {
        dqviz_team_stop(team);
        return NULL;
    }
    return team;
}

/* Runs the steps one after the other, each by as many threads as it names: the caller and, with a team, its members.
   `team` may be NULL for a program of one thread. */
EXPORT void dqviz_run(Team *team, const Program *program) {
    if (program->threads > 1) {
        team->program = program;
        team->caller = processor();
        atomic_store(&team->left, team->others);
        call(team, (atomic_load(&team->turn) + 1) & 0x3fffffff);
    }
    take_part(team, program, 0);
    for (int32_t turn = 0; program->threads > 1 && atomic_load_explicit(&team->left, memory_order_acquire); turn++)
        wait_a_turn(turn);
}
