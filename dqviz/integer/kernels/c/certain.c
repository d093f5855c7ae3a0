/* Proof that float32 decides every code of an epilogue: then a kernel need not look for sums near a tie.

   The definition, F(sum) = clip(rint(float32(sum M + B))) in float64, never falls as the sum grows (or never rises), and
   neither does G(sum) = clip(rint(fma(float32(sum), m, b))) in float32. Two such functions of an integer are equal
   everywhere if every step of F is a step of G: at the first sum T where F reaches a value, G has reached it, and at T - 1
   it has not. With 4-bit codes that is 15 sums a channel. Where rounding M and B to the nearest m and b moves a step, a
   few neighbours of m and b are tried; the sums are those of magnitude `reach` at most. */
#include "kernels.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(_MSC_VER)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* One channel: bounds of its rounded steps, and the sign that turns a falling function into a rising one. */
typedef struct {
    double multiplier, offset;
    float low, high;
    int64_t reach, sign;
} Channel;

static float clipped(float y, const Channel *c) { return fminf(fmaxf(rintf(y), c->low), c->high); }
static float defined(const Channel *c, int64_t sum) {
    const double product = (double)(c->sign * sum) * c->multiplier;
    return clipped((float)(product + c->offset), c);
}
static float in_float(const Channel *c, int64_t sum, float m, float b) {
    return clipped(fmaf((float)(int32_t)(c->sign * sum), m, b), c);
}

/* The first sum, from -reach to reach + 1, at which the definition reaches `step`; reach + 2 where the guess is too far off. */
static int64_t first_at(const Channel *c, float step) {
    const double guess = ceil((step - 0.5 - c->offset) / fabs(c->multiplier));
    const int64_t far = c->reach + 1;
    int64_t at = guess <= (double)-c->reach ? -c->reach : guess >= (double)far ? far : (int64_t)guess;
    for (int turn = 0; turn < 64; turn++) {
        if (at <= c->reach && defined(c, at) < step)
            at++;
        else if (at > -c->reach && defined(c, at - 1) >= step)
            at--;
        else
            return at;
    }
    return c->reach + 2;
}

static int steps_agree(const Channel *c, const int64_t *first, int32_t count, float m, float b) {
    if (m == 0 || !(fabsf(m) * (float)c->reach + fabsf(b) < 1e9f)) /* rounded steps must fit int32 */
        return 0;
    for (int32_t i = 0; i < count; i++) {
        const float step = c->low + (float)(i + 1);
        if (first[i] <= c->reach && in_float(c, first[i], m, b) < step)
            return 0;
        if (first[i] > -c->reach && in_float(c, first[i] - 1, m, b) >= step)
            return 0;
    }
    return 1;
}

static float neighbour(float x, int steps) {
    for (; steps > 0; steps--)
        x = nextafterf(x, INFINITY);
    for (; steps < 0; steps++)
        x = nextafterf(x, -INFINITY);
    return x;
}

/* Finds m and b for one channel, near those given. */
static int decide(const Channel *c, int64_t *first, int32_t count, float *m, float *b) {
    static const int NEAR[] = {0, 1, -1, 2, -2, 3, -3, 4, -4, 6, -6, 8, -8};
    const float unit = ldexpf(fmaxf(fabsf(c->low), fabsf(c->high)), -26);
    for (int32_t i = 0; i < count; i++)
        if ((first[i] = first_at(c, c->low + (float)(i + 1))) > c->reach + 1)
            return 0;
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < (int)(sizeof(NEAR) / sizeof(*NEAR)); j++) {
            const float near = neighbour(*m, NEAR[i]), moved = *b + (float)NEAR[j] * unit;
            if (steps_agree(c, first, count, near, moved)) {
                *m = near, *b = moved;
                return 1;
            }
        }
    return 0;
}

/* 1, and the float32 multipliers and offsets that do it in `f`, where float32 decides every code of sums of magnitude
   `reach` at most; 0, and `f` unchanged, where it was not shown. */
EXPORT int32_t dqviz_certain(const Finish *f, int32_t channels, int64_t reach) {
    const int32_t count = (int32_t)(f->high - f->low);
    float *found = malloc(2 * sizeof(float) * (size_t)channels);
    int64_t *first = malloc(sizeof(int64_t) * (size_t)(count > 0 ? count : 1));
    int sure = found && first && reach < INT32_MAX && count >= 0 && !f->thresholds && !f->rows && !f->also;
    for (int32_t k = 0; sure && k < channels; k++) {
        const Channel c = {f->multiplier[k], f->offset[k], f->low, f->high, reach, f->multiplier[k] < 0 ? -1 : 1};
        float m = f->multiplier32[k], b = f->offset32[k];
        sure = isfinite(c.offset) && isfinite(c.multiplier) && c.multiplier != 0 && decide(&c, first, count, &m, &b);
        found[2 * k] = m, found[2 * k + 1] = b;
    }
    for (int32_t k = 0; sure && k < channels; k++)
        f->multiplier32[k] = found[2 * k], f->offset32[k] = found[2 * k + 1];
    free(found);
    free(first);
    return sure;
}
