/* Counts executed instructions, or a timer's ticks from which they follow when the emulator runs with -icount. */
#ifndef FIRMWARE_COUNTER_H
#define FIRMWARE_COUNTER_H

#include <stdint.h>

typedef struct {
    uint32_t high;       /* full periods of the counter */
    uint32_t low;        /* and what is left; the period is 2^24 on Arm, 2^32 on RISC-V */
    uint32_t interrupts; /* handlers that ran meanwhile and whose own instructions were counted */
} counter_t;

void counter_start(void);
void counter_stop(counter_t *elapsed);

#endif
