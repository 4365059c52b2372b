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
    const int32_t
        *channels; /* of each output channel: what its outputs are made with, then bytes of weights */
    int32_t record, weights; /* words of an output channel; of its weights, in scratch */
    int32_t rounding, lo, hi;
    int32_t x_zero_point;
    int32_t x_height, x_row, x_channels,
        x_step; /* bytes of a row, and from a column of the strip to the next one */
    int32_t y_width, depth_multiplier;
    int32_t stride_h, dilation_h, pad_top;
    int32_t together;                      /* output rows that share a strip, 1 or 2 */
    int32_t rows, planes, columns;         /* of x, and of the strip */
    int32_t second_strip, second_channels; /* words to those of the second output row */
    struct {
        int32_t first, count,
            x[2]; /* columns of the strip; bytes into the row for both halves, -1: outside of x */
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
    int32_t channels, rounding, lo, hi;
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

/* The strip of `channels` channels that begin at x, for output rows whose first row of x is `top`. */
MCUGEN_DSP_FUNCTION void mcugen_strip_gather(const mcugen_strip_t *d, const int8_t *x, int32_t top,
                                             int32_t channels, uint32_t *strip,
                                             void (*copy_columns)(const mcugen_strip_copy_t *))
{
    const int8_t zero = (int8_t)d->x_zero_point;
    const int8_t padding[4] = {zero, zero, zero, zero};
    for (int32_t i = 0; i < d->rows; i += 2, strip += 4) {
        const int32_t at[2] = {top, i + 1 < d->rows ? top + d->dilation_h : top};
        for (int32_t k = 0; k < 3 && d->part[k].count > 0; ++k) {
            uint32_t *const to = strip + 4 * d->planes * d->part[k].first;
            mcugen_strip_copy_t copy = {{padding, padding}, {0, 0},           to,
                                        16 * d->planes,     d->part[k].count, channels};
            for (int32_t half = 0; half < 2; ++half) {
                if (at[half] >= 0 && at[half] < d->x_height && d->part[k].x[half] >= 0) {
                    copy.x[half] = x + at[half] * d->x_row + d->part[k].x[half];
                    copy.step[half] = d->x_step;
                }
            }
            copy_columns(&copy);
        }
        top += 2 * d->dilation_h;
    }
}

/* One output row of the input channels first..end-1. strip: of the first one; y: the row. */
MCUGEN_DSP_FUNCTION void mcugen_strip_outputs(const mcugen_strip_t *d, uint32_t *weights,
                                              const uint32_t *strip, const int32_t *channels, int32_t first,
                                              int32_t end, int8_t *y,
                                              void (*walk_row)(const mcugen_strip_walk_t *))
{
    const int32_t y_channels = d->x_channels * d->depth_multiplier;
    const int32_t before = (d->y_width - 1) / 4 * 4;                 /* outputs before the last four */
    const int32_t once = d->depth_multiplier == 1 ? end - first : 1; /* input channels in one call */
    int32_t output = first * d->depth_multiplier;
    mcugen_strip_walk_t walk = {
        .weights = weights,
        .y_step = y_channels,
        .strip = strip,
        .strip_step = d->depth_multiplier == 1 ? 4 : 0,
        .reach = before * y_channels,
        .last = d->y_width - before,
        .channels = once * d->depth_multiplier,
        .rounding = d->rounding,
        .lo = d->lo,
        .hi = d->hi,
        .sums = (int32_t *)(void *)(weights + d->weights + 4 * d->planes * d->columns),
    };
    for (; first < end; first += once) {
        walk.channel = channels + d->record * output;
        walk.output = y + output;
        walk_row(&walk);
        walk.strip += once;
        output += walk.channels;
    }
}

/* Output rows row_begin..row_end-1. */
MCUGEN_DSP_FUNCTION void mcugen_strip_rows(const mcugen_strip_t *d, const int8_t *x, int8_t *y,
                                           int8_t *scratch, int32_t row_begin, int32_t row_end,
                                           void (*copy_columns)(const mcugen_strip_copy_t *),
                                           void (*walk_row)(const mcugen_strip_walk_t *))
{
    uint32_t *const weights = (uint32_t *)(void *)scratch;
    uint32_t *const strip = weights + d->weights;
    const int32_t y_row = d->y_width * d->x_channels * d->depth_multiplier;
    const uint32_t padding = mcugen_halves(d->x_zero_point, d->x_zero_point);
    for (int32_t i = 0; i < 4 * d->planes * d->columns; i += 4) {
        strip[i] = strip[i + 1] = strip[i + 2] = strip[i + 3] = padding;
    }
    for (int32_t row = row_begin; row < row_end; row += d->together) {
        int8_t *const out = y + row * y_row;
        const int32_t second = d->together > 1 && row + 1 < row_end;
        int32_t end;
        for (int32_t first = 0; first < d->x_channels; first = end) {
            /* Of the last four some are copied again, none is done again. */
            const int32_t copied = mcugen_clamp(d->x_channels - 4, 0, first);
            const uint32_t *const words = strip + (first - copied);
            end = d->x_channels < 4 ? d->x_channels : copied + 4;
            mcugen_strip_gather(d, x + copied, row * d->stride_h - d->pad_top, end - copied, strip,
                                copy_columns);
            mcugen_strip_outputs(d, weights, words, d->channels, first, end, out, walk_row);
            if (second) {
                mcugen_strip_outputs(d, weights, words + d->second_strip, d->channels + d->second_channels,
                                     first, end, out + y_row, walk_row);
            }
        }
    }
}

#endif
