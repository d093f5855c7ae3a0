/* Integer kernels of graph networks: what is called from Python, and what each instruction set implements.

   A code is signed. Codes of 8 bits lie one to a byte. Narrower codes are stored as fields (code - qmin, unsigned), two
   or four to a byte, in planes: byte j of a row holds features j, j + P, j + 2P, ... where P is the number of bytes, so
   that one mask turns a vector of bytes into a vector of consecutive features.

   A sparse matrix is a list of groups of four entries; a row owns whole groups and pads its last one with weight 0.
   No function here keeps state, allocates anything that outlives it, or knows of Python. */
#ifndef DQVIZ_KERNELS_H
#define DQVIZ_KERNELS_H

#include <stdint.h>

/* A function that must dissolve in its caller. Not in a checked build (`make sanitize`): checks copied into every use of
   it take minutes to compile. */
#ifdef DQVIZ_CHECKED
#define INLINE static inline
#else
#define INLINE static inline __attribute__((always_inline))
#endif

enum { SUMS = 0, CODES = 1, REALS = 2 };           /* what leaves a kernel: int32 sums, codes, float32 */
enum { PLAIN = 0, AVX2 = 1, AVX2_VNNI = 2, AVX512 = 3, NEON = 4 }; /* instruction sets */
enum { CHECKED = 1, CERTAIN = 2 };                  /* what float32 decides */
enum { MAX_HEADS = 16, ROWS = 6, LANES = 16 };

/* y = float32((sum * rows[row]) * multiplier + second * also + offset); code = rint(clip(y, low, high)) + zero_point.
   multiplier and offset end in LANES zeros, in float64 and in float32. `fast` says how far float32 may be
   trusted: 0 not at all; CHECKED: a result no further than `tie` from an integer has the code of the float64 one, and no
   result leaves int32; CERTAIN: every result has (dqviz_certain). Thresholds (ascending, below 0) stand for ELU: a
   negative y becomes minus the number of thresholds above it, which is rint(elu(y)). */
typedef struct {
    int32_t kind, bits, zero_point, num_thresholds;
    float low, high;
    const double *multiplier, *offset;
    float *multiplier32, *offset32;
    const float *thresholds;
    const double *rows, *also; /* a factor of each row, the multiplier of a second sum; NULL where there is none */
    const float *also32;
    int32_t fast;
    float tie, elu, pad; /* elu: steps of one unit, where there are thresholds */
} Finish;

/* out[v] = sum over entries (u, w) of w (x[u] - zero) + own (x[v] - zero). Share i does groups [groups[i], groups[i+1])
   of rows [rows[i], rows[i+1]]; the sums of a row that is cut go to head[i] and tail[i]. */
typedef struct {
    int32_t level, threads, channels, heads;
    int32_t x_bits, zero, nonnegative, fits_int8;
    double own;
    const int64_t *ptr;     /* [num_rows + 1] in groups */
    const int32_t *indices; /* [4 groups + slack] */
    const uint8_t *weights; /* [4 groups + slack] times heads, entry by entry */
    const int32_t *weight_sums; /* [num_rows] times heads */
    const uint8_t *spread; /* with heads: [vectors, 4, 64], which weight byte each accumulator byte needs (avx512_sparse.c) */
    const uint8_t *x;
    int64_t x_bytes; /* bytes of a row of x */
    const int64_t *rows, *groups;
    int32_t *head, *tail; /* [threads, channels] */
    void *out;
    int64_t out_bytes;
    Finish finish;
} Spmm;

/* The same product in float32. */
typedef struct {
    int32_t level, threads, channels, unused;
    const int64_t *ptr;
    const int32_t *indices;
    const float *weights, *x;
    const int64_t *rows, *groups;
    float *head, *tail, *out;
} SpmmFloat;

/* out = (x - zero) (w - weight_zero). Weights come packed: planes of x, then tiles of 64
   outputs, then blocks of four inputs, so that a tile is read from one place. */
typedef struct Gemm {
    int32_t level, threads, inner, channels;
    int32_t x_bits, zero, weight_zero, unused;
    const uint8_t *x;
    int64_t x_bytes;
    const int8_t *weights;      /* [planes, padded channels / 64, ceil(P / 4), 64, 4] */
    const int32_t *column_sums; /* [padded channels] */
    int64_t num_rows;
    void *out;
    int64_t out_bytes;
    const struct Gemm *second; /* another product with as many outputs, finished together with this one; or NULL */
    Finish finish;
} Gemm;

/* Rows that will be read soon: `lines` cache lines each, `line` of them asked for of the row that `next` names. `pairs`:
   how many pairs of lines a block of four inputs asks for. */
typedef struct {
    const int32_t *next, *stop;
    const uint8_t *x;
    int64_t step;
    int32_t lines, line, pairs;
} Fetch;

/* codes of x * inverse */
typedef struct {
    int32_t level, threads, channels, unused;
    const float *x;
    float inverse, pad;
    int64_t num_rows;
    void *out;
    int64_t out_bytes;
    Finish finish;
} Quantize;

/* Rows of a sparse product, or of floats to codes (the other is NULL), that go on through `count` dense products, some
   rows at a time: what is between them stays in the near caches, and what the next rows of the sparse product read is
   asked for while these are multiplied. Thread i takes every threads-th piece of rows, so that heavy rows beside each
   other are shared. */
typedef struct {
    int32_t threads, count;
    const Spmm *spmm;
    const Quantize *quantize;
    const Gemm *const *gemms;
} Chain;

/* Codes of NORM for each edge and head: softmax over the entries of a row of leaky_relu(logit), in codes.
   table[s - table_first] = exp(leaky_relu(s * step)) in float64 for every possible sum s of two codes. */
typedef struct {
    int32_t threads, heads, table_first, level;
    float inverse, low, high, pad;
    const int64_t *ptr;
    const int32_t *indices;
    const int8_t *source, *target; /* codes [num_nodes, heads], rows `stride` bytes apart */
    int64_t stride;
    const double *table;
    int64_t num_rows;
    const int64_t *rows;   /* [threads + 1]: shares of whole rows */
    uint8_t *weights;      /* out, [4 groups, heads] centred codes */
    int32_t *weight_sums;  /* out, [num_rows, heads] */
    const uint8_t *live;   /* [4 groups]: 0 for padding */
} Attention;

/* Centred codes of the stored values of a sparse matrix: values and weights [4 groups], weight_sums [num_rows] or NULL. */
typedef struct {
    int32_t level, threads;
    float inverse, low, high, pad;
    const float *values;
    const int64_t *ptr;
    int64_t num_rows;
    uint8_t *weights;
    int32_t *weight_sums;
} Entries;

/* Sums of the stored values of a sparse matrix, as bytes of the groups of another: entry e is the sum of
   x[source[ptr[e]]] to x[source[ptr[e + 1] - 1]] and own x[self[e]] (self -1: none), finished as rows and columns say. */
typedef struct {
    int32_t level, threads, nonnegative, unused; /* x is unsigned */
    float low, high;
    double own;
    const uint8_t *x;
    const int64_t *ptr;
    const int32_t *source, *self;
    const int64_t *entries, *groups; /* [num_rows + 1]: of each row of the sum */
    const int32_t *columns;          /* of each entry */
    const double *multiplier, *rows; /* of each column; of each row, or NULL */
    int64_t num_rows;
    uint8_t *weights;
    int32_t *weight_sums;
} Meet;

/* Packed codes one to a byte. */
typedef struct {
    int32_t level, threads, channels, bits;
    const uint8_t *x;
    int64_t x_bytes, num_rows;
    int8_t *out;
} Unpack;

/* A matrix as integers: codes less their zero point or, of 32 bits, int32 sums; x NULL where there is none. */
typedef struct {
    const uint8_t *x;
    int64_t x_bytes; /* of a row */
    int32_t bits, zero;
} Operand;

/* first, or first and second, in one epilogue, `lines` rows at a time: its multipliers and offsets are those of so many
   rows behind each other, so that rows of a few channels fill whole vectors. */
typedef struct {
    int32_t level, threads, channels, lines;
    Operand first, second;
    int64_t num_rows;
    void *out; /* rows without gaps between them */
    int64_t out_bytes;
    Finish finish;
} Blend;

/* One job of a program: its kind (the order of SHARES in kernels.c) and how many threads share it. */
typedef struct {
    int32_t kind, threads;
    const void *job;
} Step;

typedef struct {
    int32_t threads, count;
    const Step *steps;
} Program;

/* The sums of a row, with all that its epilogue may need: the second sums, the row's own codes (or NULL). */
typedef struct {
    int64_t number;
    const int32_t *sums, *second;
    const int8_t *self;
    double own;
    int32_t zero;
} Row;

/* What an instruction set implements. `sums`: int32 sums of one row, raw (zero points and the bias of unsigned fields
   come later); returns that bias. */
typedef struct {
    int32_t (*sums)(const Spmm *job, int64_t first, int64_t stop, int32_t *acc);
    /* Whole rows [first, last) to codes without leaving the registers; 0 where this matrix needs the general way. */
    int (*rows)(const Spmm *job, int64_t first, int64_t last);
    /* Rows [first, last) to codes or reals; 0 where this epilogue needs the general way. `soon`: what to ask for meanwhile. */
    int (*gemm)(const Gemm *job, int64_t first, int64_t last, Fetch *soon);
    void (*sums_float)(const SpmmFloat *job, int64_t first, int64_t stop, float *acc);
    void (*products)(const Gemm *job, int64_t row, int count, int32_t *acc, int64_t stride);
    void (*finish)(const Finish *f, const Row *row, int32_t n, void *out);
    void (*quantize)(const Finish *f, const float *x, float inverse, int32_t n, int8_t *out);
    /* Weights and weight sums of one row of attention; NULL: the general loop does it. */
    void (*attention)(const Attention *job, int64_t row);
    void (*entries)(const float *x, int64_t n, float inverse, float low, float high, uint8_t *out);
    void (*pack)(const int8_t *codes, int32_t n, int32_t bits, uint8_t *out);
    void (*unpack)(const uint8_t *packed, int32_t n, int32_t bits, int8_t *codes);
} Set;

extern const Set plain_set;
extern const Set avx2_set;
extern const Set avx_vnni_set, avx512_vnni_set; /* AVX2_VNNI, in either encoding */
extern const Set avx512_set;
extern const Set neon_set;

static inline int32_t planes_of(int32_t bits) { return bits == 8 ? 1 : bits == 2 ? 4 : 2; }
static inline int32_t width_of(int32_t bits) { return 8 / planes_of(bits); }
static inline int32_t bytes_of(int32_t channels, int32_t bits) {
    int32_t planes = planes_of(bits);
    return (channels + planes - 1) / planes;
}
static inline int64_t padded(int64_t n) { return (n + 63) & ~(int64_t)63; }

#endif
