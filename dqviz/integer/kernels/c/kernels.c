/* What Python calls: work is cut into shares, one a thread; each row is summed, finished and packed while in the cache. */
#include "kernels.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(_MSC_VER)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

static const Set *set_of(int32_t level) {
#if defined(__x86_64__) && defined(__GNUC__)
    if (level == AVX512)
        return &avx512_set;
    if (level == AVX2)
        return &avx2_set;
#endif
    (void)level;
    return &plain_set;
}

/* Bit i: instruction set i runs on this processor. */
EXPORT int32_t dqviz_levels(void) {
    int32_t levels = 1 << PLAIN;
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        levels |= 1 << AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni") &&
        __builtin_cpu_supports("avx512vbmi"))
        levels |= 1 << AVX512;
#endif
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
}

typedef void (*Share)(const void *job, int32_t share, int32_t shares);
typedef struct {
    Share run;
    const void *job;
    int32_t share, shares;
} Task;

static void *start(void *task) {
    const Task *t = task;
    t->run(t->job, t->share, t->shares);
    return NULL;
}

/* One thread a share, the last share here. A thread that cannot be had is no failure: its share is done here too. */
static void together(Share run, const void *job, int32_t shares) {
    pthread_t threads[shares];
    Task tasks[shares];
    int running[shares];
    for (int32_t i = 0; i < shares; i++)
        tasks[i] = (Task){run, job, i, shares};
    for (int32_t i = 0; i < shares - 1; i++)
        running[i] = pthread_create(&threads[i], NULL, start, &tasks[i]) == 0;
    start(&tasks[shares - 1]);
    for (int32_t i = 0; i < shares - 1; i++) {
        if (running[i])
            pthread_join(threads[i], NULL);
        else
            start(&tasks[i]);
    }
}

/* Rows of equal number for each share. */
static void cut(int64_t rows, int32_t share, int32_t shares, int64_t *first, int64_t *last) {
    *first = rows * share / shares;
    *last = rows * (share + 1) / shares;
}

static void finish_row(const Set *set, const Finish *f, const int32_t *acc, int32_t n, double own, const int8_t *self,
                       int32_t zero, int8_t *codes, uint8_t *out) {
    if (f->kind == SUMS)
        memcpy(out, acc, sizeof(int32_t) * (size_t)n);
    else if (f->kind == REALS || f->bits == 8)
        set->finish(f, acc, n, own, self, zero, out);
    else {
        set->finish(f, acc, n, own, self, zero, codes);
        set->pack(codes, n, f->bits, out);
    }
}

/* Scratch of one share; NULL when memory is short (the caller then has no result and says so). */
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

static void spmm_share(const void *argument, int32_t share, int32_t shares) {
    const Spmm *job = argument;
    const Set *set = set_of(job->level);
    const int32_t n = job->channels;
    (void)shares;
    int32_t *acc = scratch(sizeof(int32_t) * (size_t)padded(n) + 2 * (size_t)padded(n));
    if (!acc)
        abort();
    int8_t *self = (int8_t *)(acc + padded(n)), *codes = self + padded(n);
    int64_t row = job->rows[share], group = job->groups[share];
    const int64_t last = job->rows[share + 1], stop = job->groups[share + 1];
    if (row < last && group > job->ptr[row]) {
        piece(set, job, group, job->ptr[row + 1], acc, job->head + (int64_t)share * n);
        group = job->ptr[++row];
    }
    if (row < last && set->rows && set->rows(job, row, last))
        group = job->ptr[row = last];
    for (; row < last; row++) {
        const int32_t bias = set->sums(job, job->ptr[row], job->ptr[row + 1], acc);
        centre(job, acc, job->weight_sums + row * job->heads, job->zero + bias);
        if (job->own != 0)
            set->unpack(job->x + row * job->x_bytes, n, job->x_bits, self);
        finish_row(set, &job->finish, acc, n, job->own, job->own != 0 ? self : NULL, job->zero, codes,
                   (uint8_t *)job->out + row * job->out_bytes);
        group = job->ptr[row + 1];
    }
    piece(set, job, group, stop, acc, job->tail + (int64_t)share * n);
    free(acc);
}

EXPORT void dqviz_spmm(const Spmm *job) { together(spmm_share, job, job->threads); }

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

EXPORT void dqviz_spmm_float(const SpmmFloat *job) { together(spmm_float_share, job, job->threads); }

static void gemm_share(const void *argument, int32_t share, int32_t shares) {
    const Gemm *job = argument;
    const Set *set = set_of(job->level);
    const int64_t stride = padded(job->channels);
    int64_t row, last;
    cut(job->num_rows, share, shares, &row, &last);
    int32_t *acc = scratch(sizeof(int32_t) * (size_t)(ROWS * stride) + (size_t)stride + (size_t)padded(job->inner));
    if (!acc)
        abort();
    int8_t *codes = (int8_t *)(acc + ROWS * stride), *x = codes + stride;
    for (; row < last; row += ROWS) {
        const int count = last - row < ROWS ? (int)(last - row) : ROWS;
        set->products(job, row, count, acc, stride);
        for (int r = 0; r < count; r++) {
            int32_t *sums = acc + r * stride;
            if (job->weight_zero) { /* sum of (x - zero) times the weights' zero point */
                int32_t total = 0;
                set->unpack(job->x + (row + r) * job->x_bytes, job->inner, job->x_bits, x);
                for (int32_t k = 0; k < job->inner; k++)
                    total += x[k];
                const uint32_t shift = (uint32_t)job->weight_zero * (uint32_t)(total - job->zero * job->inner);
                for (int32_t k = 0; k < job->channels; k++)
                    sums[k] = (int32_t)((uint32_t)sums[k] - shift);
            }
            finish_row(set, &job->finish, sums, job->channels, 0, NULL, 0, codes,
                       (uint8_t *)job->out + (row + r) * job->out_bytes);
        }
    }
    free(acc);
}

EXPORT void dqviz_gemm(const Gemm *job) { together(gemm_share, job, job->threads); }

static void quantize_share(const void *argument, int32_t share, int32_t shares) {
    const Quantize *job = argument;
    const Set *set = set_of(job->level);
    const int32_t n = job->channels;
    int64_t row, last;
    cut(job->num_rows, share, shares, &row, &last);
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

EXPORT void dqviz_quantize(const Quantize *job) { together(quantize_share, job, job->threads); }

/* Softmax row by row: exponentials come from the table, sums are added entry by entry in float64, so that every
   implementation gets the same bits. */
static void attention_share(const void *argument, int32_t share, int32_t shares) {
    const Attention *job = argument;
    const int32_t heads = job->heads;
    (void)shares;
    for (int64_t row = job->rows[share]; row < job->rows[share + 1]; row++) {
        const int8_t *target = job->target + row * heads;
        const int64_t first = 4 * job->ptr[row], stop = 4 * job->ptr[row + 1];
        double total[MAX_HEADS] = {0};
        for (int64_t entry = first; entry < stop; entry++)
            if (job->live[entry])
                for (int32_t h = 0; h < heads; h++)
                    total[h] += job->table[job->source[(int64_t)job->indices[entry] * heads + h] + target[h] -
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
                const double e = job->table[job->source[(int64_t)job->indices[entry] * heads + h] + target[h] -
                                            job->table_first];
                float y = (float)(e / total[h]) * job->inverse;
                y = y > job->low ? y : job->low;
                y = y < job->high ? y : job->high;
                y = (y + 12582912.0f) - 12582912.0f;
                out[h] = (uint8_t)(int32_t)y;
                sums[h] += (int32_t)y;
            }
        }
    }
}

EXPORT void dqviz_attention(const Attention *job) { together(attention_share, job, job->threads); }
