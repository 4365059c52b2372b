/* The core counts its retired instructions itself, 64 bits wide. */
#include "counter.h"

static uint64_t first;

static uint64_t retired(void)
{
    uint32_t high, low, again;
    do {
        __asm__ volatile("csrr %0, minstreth\n"
                         "csrr %1, minstret\n"
                         "csrr %2, minstreth\n"
                         : "=r"(high), "=r"(low), "=r"(again));
    } while (high != again);
    return ((uint64_t)high << 32) | low;
}

__attribute__((noinline)) void counter_start(void)
{
    first = retired();
}

__attribute__((noinline)) void counter_stop(counter_t *elapsed)
{
    const uint64_t passed = retired() - first;
    elapsed->high = (uint32_t)(passed >> 32);
    elapsed->low = (uint32_t)passed;
    elapsed->interrupts = 0u;
}
