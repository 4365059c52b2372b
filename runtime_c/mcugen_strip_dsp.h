/* SPDX-License-Identifier: 0BSD */
/* mcugen_strip_dsp.h - depthwise convolution by strips: what one output row, or two of them, need of four channels of x
 * is copied to scratch as words of two int16. What then multiplies them is generated.
 *
 * The halves of a word are of neighbouring rows or, where the filter has one row, of neighbouring columns. Scratch holds
 * the weights of a channel, then the strip [column][plane][4], then, where the kernel wants them, sums of a row. */
#ifndef MCUGEN_STRIP_DSP_H
#define MCUGEN_STRIP_DSP_H

#include "mcugen_dsp.h"

typedef struct {
    /* Of each output channel: what its outputs are made with, then bytes of weights. */
    const int32_t *channels;
    int32_t record, weights; /* words of an output channel; of its weights, in scratch */
    int32_t rounding, lo, hi;
    int32_t x_zero_point;
    int32_t x_height, x_channels;
    int32_t x_row, x_step; /* bytes of a row, and from a column of the strip to the next one */
    int32_t y_width, depth_multiplier;
    int32_t stride_h, dilation_h, pad_top;
    int32_t together;                 /* output rows that share a strip, 1 or 2 */
    int32_t rows, planes, columns;    /* of x, and of the strip */
    int32_t second_strip, second_odd; /* of the second output row: words; whether pairs begin a row earlier */
    int32_t parts;
    /* Columns that are alike: the first word; how many; bytes into the row of both halves, -1 where there is none. */
    struct {
        int32_t first, count, x, x_top;
    } part[3];
} mcugen_strip_t;

/* `count` columns of words: where the bytes of both halves are, and how many bytes from a column to the next one. */
typedef struct {
    const int8_t *x[2];
    int32_t step[2];
    uint32_t *to;
    int32_t to_step; /* a multiple of four */
    int32_t count, channels;
} mcugen_strip_copy_t;

/* One row of outputs, channel by channel, four columns at a time. */
typedef struct {
    uint32_t *weights;
    int8_t *y;
    int32_t y_step;
    const int8_t *end; /* the last four's first; y, this and the next ones are the kernel's own */
    int32_t bias, multiplier, shift, moved;
    const uint32_t *strip;
    int32_t strip_step; /* bytes from a channel to the next one */
    const int32_t *channel;
    int8_t *output;      /* the first channel's first */
    int32_t reach, last; /* bytes from the first four to the last ones; outputs of those */
    int32_t channels, rounding;
    int32_t earlier; /* whether weights are paired from one row above */
    int32_t lo, hi;
    int32_t *sums; /* where those of a row have place */
} mcugen_strip_walk_t;

/* to[k] of every column: x[0][k] and x[1][k]; k below `channels`. */
MCUGEN_DSP_FUNCTION void mcugen_strip_copy_few(const mcugen_strip_copy_t *copy)
{
    for (int32_t i = 0; i < copy->count; ++i) {
        uint32_t *to = copy->to + i * (copy->to_step / 4);
        const int8_t *first = copy->x[0] + i * copy->step[0];
        const int8_t *second = copy->x[1] + i * copy->step[1];
        for (int32_t k = 0; k < copy->channels; ++k) {
            to[k] = mcugen_halves(first[k], second[k]);
        }
    }
}

/* The same of four channels. r0 and r1 bytes, r2 and r3 from a column to the next one, r4 words. */
MCUGEN_DSP_FUNCTION void mcugen_strip_copy(const mcugen_strip_copy_t *copy)
{
#if MCUGEN_DSP_INSTRUCTIONS
#define MCUGEN_COLUMN(first, second)                \
    "pkhbt r11, " first ", " second ", lsl #16\n\t" \
    "pkhtb r12, " second ", " first ", asr #16\n\t" \
    "sxtb16 " first ", r11\n\t"                     \
    "sxtb16 r11, r11, ror #8\n\t"                   \
    "sxtb16 " second ", r12\n\t"                    \
    "sxtb16 r12, r12, ror #8\n\t"                   \
    "str " first ", [r4]\n\t"                       \
    "str r11, [r4, #4]\n\t"                         \
    "str " second ", [r4, #8]\n\t"                  \
    "str r12, [r4, #12]\n\t"
    /* No operand but the structure, and all that must be kept is pushed: any compiler has registers left. */
    __asm volatile("push {r4-r11, lr}\n\t"
                   "mov r0, %0\n\t"
                   "ldmia r0, {r0-r6}\n\t"
                   "subs r6, r6, #2\n\t"
                   "blt 2f\n\t"
                   "1:\n\t"
                   "ldr r7, [r0]\n\t"
                   "ldr r8, [r1]\n\t"
                   "ldr r9, [r0, r2]\n\t"
                   "ldr r10, [r1, r3]\n\t"
                   "add r0, r0, r2, lsl #1\n\t"
                   "add r1, r1, r3, lsl #1\n\t" MCUGEN_COLUMN("r7", "r8") "add r4, r4, r5\n\t" MCUGEN_COLUMN(
                       "r9", "r10") "add r4, r4, r5\n\t"
                                    "subs r6, r6, #2\n\t"
                                    "bge 1b\n\t"
                                    "2:\n\t"
                                    "adds r6, r6, #2\n\t"
                                    "beq 3f\n\t"
                                    "ldr r7, [r0]\n\t"
                                    "ldr r8, [r1]\n\t" MCUGEN_COLUMN("r7", "r8") "3:\n\t"
                                                                                 "pop {r4-r11, lr}\n\t"
                   :
                   : "r"(copy)
                   : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#undef MCUGEN_COLUMN
#else
    mcugen_strip_copy_few(copy);
#endif
}

/* What is under way. */
typedef struct {
    const mcugen_strip_t *d;
    const int8_t *x;
    int8_t *y, *out;          /* out: the output row */
    uint32_t *strip;          /* where it begins */
    const uint32_t *words;    /* of the block's first channel, for this output row */
    int32_t row, row_end;     /* the strip's first output row */
    int32_t rows, below;      /* output rows of the strip, and which of them it is */
    int32_t first, next, end; /* input channels of the block */
    mcugen_strip_walk_t walk;
} mcugen_strip_rows_t;

/* Where a half of a column is, in row `at` of x; `column`: bytes into the row. */
static inline void mcugen_strip_half(const mcugen_strip_t *d, const int8_t *x, int32_t at, int32_t column,
                                     const int8_t *padding, const int8_t **place, int32_t *step)
{
    const int32_t inside = at >= 0 && at < d->x_height && column >= 0;
    *place = inside ? x + at * d->x_row + column : padding;
    *step = inside ? d->x_step : 0;
}

/* Both halves of a strip's channels that begin at x, for output rows whose first row of x is `top`. */
MCUGEN_DSP_FUNCTION void mcugen_strip_gather(const mcugen_strip_t *d, const int8_t *x, int32_t top,
                                             int32_t channels, uint32_t *strip)
{
    const uint32_t zero = (uint32_t)(d->x_zero_point & 255) * UINT32_C(0x01010101);
    const int8_t *const padding = (const int8_t *)(const void *)&zero;
    mcugen_strip_copy_t copy;
    copy.to_step = 16 * d->planes;
    copy.channels = channels;
    for (int32_t i = 0; i < d->rows; i += 2) {
        const int32_t next = i + 1 < d->rows ? top + d->dilation_h : top;
        for (int32_t k = 0; k < d->parts; ++k) {
            copy.to = strip + d->part[k].first;
            copy.count = d->part[k].count;
            mcugen_strip_half(d, x, top, d->part[k].x, padding, &copy.x[0], &copy.step[0]);
            mcugen_strip_half(d, x, next, d->part[k].x_top, padding, &copy.x[1], &copy.step[1]);
            if (channels == 4) {
                mcugen_strip_copy(&copy);
            } else {
                mcugen_strip_copy_few(&copy);
            }
        }
        top += 2 * d->dilation_h;
        strip += 4;
    }
}

/* Output rows row_begin..row_end-1 are to be done: of the strip all is x's zero point at first. */
MCUGEN_DSP_FUNCTION void mcugen_strip_begin(mcugen_strip_rows_t *rows, const mcugen_strip_t *d,
                                            const int8_t *x, int8_t *y, int8_t *scratch, int32_t row_begin,
                                            int32_t row_end)
{
    const int32_t y_channels = d->x_channels * d->depth_multiplier;
    const int32_t before = (d->y_width - 1) / 4 * 4; /* outputs before the last four */
    const uint32_t padding = mcugen_halves(d->x_zero_point, d->x_zero_point);
    uint32_t *const weights = (uint32_t *)(void *)scratch;
    uint32_t *const strip = weights + d->weights;
    uint32_t *const end = strip + 4 * d->planes * d->columns;
    for (uint32_t *at = strip; at != end; at += 4) {
        at[0] = at[1] = at[2] = at[3] = padding;
    }
    rows->d = d;
    rows->x = x;
    rows->y = y;
    rows->strip = strip;
    rows->row = row_begin - d->together;
    rows->row_end = row_end;
    rows->rows = rows->below = 0;
    rows->next = rows->end = d->x_channels;
    rows->walk.weights = weights;
    rows->walk.y_step = y_channels;
    rows->walk.strip_step = d->depth_multiplier == 1 ? 4 : 0;
    rows->walk.reach = before * y_channels;
    rows->walk.last = d->y_width - before;
    rows->walk.earlier = 0;
    rows->walk.rounding = d->rounding;
    rows->walk.lo = d->lo;
    rows->walk.hi = d->hi;
    rows->walk.sums = (int32_t *)(void *)end;
}

/* Whether anything is left to walk; then `walk` says what. Of the last four channels some are copied again, none is done
 * again. */
MCUGEN_DSP_FUNCTION int32_t mcugen_strip_next(mcugen_strip_rows_t *rows)
{
    const mcugen_strip_t *const d = rows->d;
    const int32_t y_row = d->y_width * d->x_channels * d->depth_multiplier;
    if (rows->next == rows->end) {
        if (++rows->below < rows->rows) {
            rows->words += d->second_strip;
            rows->walk.earlier = d->second_odd;
            rows->out += y_row;
        } else {
            if (rows->end == d->x_channels) {
                rows->row += d->together;
                rows->end = 0;
                if (rows->row >= rows->row_end) {
                    return 0;
                }
                rows->rows = mcugen_clamp(d->together, 1, rows->row_end - rows->row);
            }
            const int32_t first = rows->end;
            const int32_t copied = mcugen_clamp(d->x_channels - 4, 0, first);
            const int32_t count = d->x_channels < 4 ? d->x_channels : 4;
            mcugen_strip_gather(d, rows->x + copied, rows->row * d->stride_h - d->pad_top, count,
                                rows->strip);
            rows->below = 0;
            rows->words = rows->strip + (first - copied);
            rows->walk.earlier = 0;
            rows->out = rows->y + rows->row * y_row;
            rows->first = first;
            rows->end = copied + count;
        }
        rows->next = rows->first;
    }
    const int32_t once = d->depth_multiplier == 1 ? rows->end - rows->next : 1;
    const int32_t output = rows->next * d->depth_multiplier;
    rows->walk.strip = rows->words + (rows->next - rows->first);
    rows->walk.channel = d->channels + d->record * output;
    rows->walk.output = rows->out + output;
    rows->walk.channels = once * d->depth_multiplier;
    rows->next += once;
    return 1;
}

#endif
