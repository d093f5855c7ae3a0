/* Passes over the values of one site: what a quantizer needs to see, its fake quantization, its clipped gradient.

   Every function walks x [num_rows, columns] (or, with ptr [num_rows + 1], the stored values of a CSR matrix) in spans
   of consecutive rows that are all protected or all not; rows [num_rows] bytes, 1 = protected, NULL = none is.
   dqviz/quant/passes.py holds the same in torch; both give the same bits (no fused multiply-add: see setup.py), but for
   the sums of dqviz_learned and dqviz_sampled, which are added up in another order (here the same on every processor). */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FAST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FAST
#endif
#define INLINE static inline __attribute__((always_inline))
#define LANES 16

typedef struct {
    const float *x;
    const uint8_t *rows;
    const int64_t *ptr;
    int64_t num_rows, columns;
} Values;

typedef struct {
    float low, high;
    int64_t nonzero, below, above;
} Seen;

EXPORT int32_t dqviz_passes_version(void) { return 4; }

static int64_t offset(const Values *v, int64_t row) { return v->ptr ? v->ptr[row] : row * v->columns; }

/* The span of rows that begins at *row: its end in x; *row moves behind it, *hidden says whether it is protected. */
static int64_t span(const Values *v, int64_t *row, int *hidden) {
    int64_t end = *row + 1;
    *hidden = v->rows ? v->rows[*row] : 0;
    if (!v->rows)
        end = v->num_rows;
    else
        while (end < v->num_rows && v->rows[end] == *hidden)
            end++;
    *row = end;
    return offset(v, end);
}

typedef struct {
    float low[LANES], high[LANES];
    int32_t nonzero[LANES], below[LANES], above[LANES], unordered[LANES];
} Lanes;

INLINE void see(Lanes *restrict s, int j, float value, float lo, float hi) {
    s->low[j] = value < s->low[j] ? value : s->low[j];
    s->high[j] = value > s->high[j] ? value : s->high[j];
    s->nonzero[j] += value != 0;
    s->below[j] += value < lo;
    s->above[j] += value > hi;
    s->unordered[j] |= value != value;
}

FAST static void look(Lanes *restrict s, const float *restrict x, int64_t n, float lo, float hi) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            see(s, j, x[i + j], lo, hi);
    for (int j = 0; i < n; i++, j++)
        see(s, j, x[i], lo, hi);
}

static void fold(Seen *seen, const Lanes *s, int *unordered) {
    for (int j = 0; j < LANES; j++) {
        seen->low = s->low[j] < seen->low ? s->low[j] : seen->low;
        seen->high = s->high[j] > seen->high ? s->high[j] : seen->high;
        seen->nonzero += s->nonzero[j];
        seen->below += s->below[j];
        seen->above += s->above[j];
        *unordered |= s->unordered[j];
    }
}

/* Extremes of what is not protected (a protected value counts as 0), how many values are not 0, below lo, above hi. */
EXPORT void dqviz_look(const Values *v, float lo, float hi, Seen *seen) {
    int unordered = 0;
    *seen = (Seen){INFINITY, -INFINITY, 0, 0, 0};
    for (int64_t row = 0, begin = offset(v, 0), end; row < v->num_rows; begin = end) {
        int hidden;
        end = span(v, &row, &hidden);
        if (hidden && end > begin) {
            seen->low = 0 < seen->low ? 0 : seen->low;
            seen->high = 0 > seen->high ? 0 : seen->high;
        }
        /* 32-bit counters of a lane: at most 2^31 values each */
        for (int64_t at = begin; !hidden && at < end; at += (int64_t)1 << 34) {
            Lanes s = {.nonzero = {0}};
            for (int j = 0; j < LANES; j++)
                s.low[j] = INFINITY, s.high[j] = -INFINITY;
            look(&s, v->x + at, end - at < (int64_t)1 << 34 ? end - at : (int64_t)1 << 34, lo, hi);
            fold(seen, &s, &unordered);
        }
    }
    if (unordered)
        seen->low = seen->high = NAN;
}

FAST static void count_row(const float *restrict x, int64_t n, float lo, float hi, int64_t often, int64_t *out) {
    int32_t nonzero = 0, below = 0, above = 0;
    for (int64_t i = 0; i < n; i++) {
        nonzero += x[i] != 0;
        below += x[i] < lo;
        above += x[i] > hi;
    }
    out[0] += often * nonzero;
    out[1] += often * below;
    out[2] += often * above;
}

/* How many values are not 0, below lo, above hi, where row i counts copies[i] times; protected rows do not count. */
EXPORT void dqviz_counts(const Values *v, const int64_t *copies, float lo, float hi, int64_t *out) {
    out[0] = out[1] = out[2] = 0;
    for (int64_t row = 0; row < v->num_rows; row++)
        if (copies[row] && !(v->rows && v->rows[row]))
            count_row(v->x + offset(v, row), offset(v, row + 1) - offset(v, row), lo, hi, copies[row], out);
}

/* The k-th smallest (k from 1) of n values, which are moved about (Hoare's selection, median of three). */
static float select_smallest(float *a, int64_t n, int64_t k) {
    int64_t left = 0, right = n - 1, want = k - 1;
    while (left < right) {
        float first = a[left], middle = a[left + (right - left) / 2], last = a[right];
        float low = first < middle ? first : middle, high = first < middle ? middle : first;
        float pivot = last < low ? low : last > high ? high : last;
        int64_t i = left, j = right;
        while (i <= j) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i <= j) {
                float swap = a[i];
                a[i++] = a[j];
                a[j--] = swap;
            }
        }
        if (want <= j)
            right = j;
        else if (want >= i)
            left = i;
        else
            return a[want];
    }
    return a[want];
}

/* Moves what lies beyond the limit to room, sixteen values at a time where none does. Returns how many there are. */
FAST static int64_t gather(float *restrict room, const float *restrict x, int64_t n, float sign, float limit) {
    int64_t found = 0;
    for (int64_t i = 0; i < n; i += LANES) {
        int64_t stop = i + LANES < n ? i + LANES : n;
        int any = 0;
        if (stop == i + LANES)
            for (int j = 0; j < LANES; j++)
                any |= sign * x[i + j] < limit;
        else
            any = 1;
        for (int64_t j = i; any && j < stop; j++)
            if (sign * x[j] < limit)
                room[found++] = sign * x[j];
    }
    return found;
}

/* The k-th value beyond `end` from outside: k-th smallest below it (sign 1) or k-th largest above it (sign -1).
   room [as many values as lie beyond]; at least k of them do. */
EXPORT float dqviz_beyond(const Values *v, float end, float sign, int64_t k, float *room) {
    int64_t n = 0;
    float limit = sign * end;
    for (int64_t row = 0, begin = offset(v, 0), stop; row < v->num_rows; begin = stop) {
        int hidden;
        stop = span(v, &row, &hidden);
        if (!hidden)
            n += gather(room + n, v->x + begin, stop - begin, sign, limit);
    }
    return sign * select_smallest(room, n, k);
}

FAST static void quantize(float *restrict out, const float *restrict x, int64_t n, float inverse, float scale, float low,
                          float high) {
    for (int64_t i = 0; i < n; i++) {
        float code = rintf(x[i] * inverse);
        code = code < low ? low : code;
        code = code > high ? high : code;
        out[i] = code * scale;
    }
}

/* out [like x]: protected values as they are, the rest clip(rint(x * inverse), low, high) * scale. */
EXPORT void dqviz_fake(const Values *v, float *out, float inverse, float scale, float low, float high) {
    for (int64_t row = 0, begin = offset(v, 0), end; row < v->num_rows; begin = end) {
        int hidden;
        end = span(v, &row, &hidden);
        if (hidden)
            memcpy(out + begin, v->x + begin, (size_t)(end - begin) * sizeof(float));
        else
            quantize(out + begin, v->x + begin, end - begin, inverse, scale, low, high);
    }
}

FAST static void inside(float *restrict out, const float *restrict grad, const float *restrict y, int64_t n, float low,
                        float high) {
    for (int64_t i = 0; i < n; i++)
        out[i] = (y[i] > low) & (y[i] < high) ? grad[i] : 0.0f;
}

/* v->x: the quantized values. out [like x]: grad, but 0 where an unprotected value is not between low and high. */
EXPORT void dqviz_inside(const Values *v, const float *grad, float *out, float low, float high) {
    for (int64_t row = 0, begin = offset(v, 0), end; row < v->num_rows; begin = end) {
        int hidden;
        end = span(v, &row, &hidden);
        if (hidden)
            memcpy(out + begin, grad + begin, (size_t)(end - begin) * sizeof(float));
        else
            inside(out + begin, grad + begin, v->x + begin, end - begin, low, high);
    }
}

/* One value's gradient, and what it adds to the two sums. */
INLINE float learn(double *restrict to_step, double *restrict outside, float g, float steps, float low, float high) {
    float code = rintf(steps);
    int within = (steps > low) & (steps < high);
    code = code < low ? low : code;
    code = code > high ? high : code;
    *to_step += g * (within ? code - steps : code);
    *outside += within ? 0.0f : g;
    return within ? g : 0.0f;
}

FAST static void learned(double *restrict sums, float *restrict out, const float *restrict grad, const float *restrict x,
                         int64_t n, float inverse, float low, float high) {
    double to_step[LANES] = {0}, outside[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            out[i + j] = learn(to_step + j, outside + j, grad[i + j], x[i + j] * inverse, low, high);
    for (int j = 0; i < n; i++, j++)
        out[i] = learn(to_step + j, outside + j, grad[i], x[i] * inverse, low, high);
    for (int j = 0; j < LANES; j++) {
        sums[0] += to_step[j];
        sums[1] += outside[j];
    }
}

/* Gradients of learned steps (dqviz/quant/learned.py). v->x: values before quantization. out [like x]: grad, but 0 where
   an unprotected value is clipped. sums: of grad times (code - steps) inside and code outside; of grad outside. */
EXPORT void dqviz_learned(const Values *v, const float *grad, float *out, float inverse, float low, float high,
                          double *sums) {
    sums[0] = sums[1] = 0;
    for (int64_t row = 0, begin = offset(v, 0), end; row < v->num_rows; begin = end) {
        int hidden;
        end = span(v, &row, &hidden);
        if (hidden)
            memcpy(out + begin, grad + begin, (size_t)(end - begin) * sizeof(float));
        else
            learned(sums, out + begin, grad + begin, v->x + begin, end - begin, inverse, low, high);
    }
}

/* out [nnz]: left [num_rows, channels] times right [columns, channels]^T where a CSR matrix holds a value. */
FAST EXPORT void dqviz_sampled(const int64_t *ptr, const int64_t *columns, int64_t num_rows, const float *left,
                               const float *right, int64_t channels, float *out) {
    for (int64_t row = 0; row < num_rows; row++)
        for (int64_t entry = ptr[row]; entry < ptr[row + 1]; entry++) {
            const float *a = left + row * channels, *b = right + columns[entry] * channels;
            float lanes[LANES] = {0}, sum = 0;
            int64_t i = 0;
            for (; i + LANES <= channels; i += LANES)
                for (int j = 0; j < LANES; j++)
                    lanes[j] += a[i + j] * b[i + j];
            for (int j = 0; i < channels; i++, j++)
                lanes[j] += a[i] * b[i];
            for (int j = 0; j < LANES; j++)
                sum += lanes[j];
            out[entry] = sum;
        }
}
