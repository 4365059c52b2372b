/* SysTick is 24 bits wide, so an interrupt counts its periods. */
#include "counter.h"

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define ICSR (*(volatile uint32_t *)0xE000ED04u)
#define ICSR_PENDSTSET (1u << 26)
#define ICSR_PENDSTCLR (1u << 25)
#define CSR_RUN 7u /* core clock, interrupt, enable */
#define PERIOD 0x1000000u

static volatile uint32_t periods;
static uint32_t first;

/* SYSTICK_HANDLER_INSTRUCTIONS in mcugen/bench/emulator.py is the length of this path. */
__attribute__((naked)) void SysTick_Handler(void)
{
    __asm__ volatile(".syntax unified\n"
                     "ldr r0, =%c0\n"
                     "ldr r1, [r0]\n"
                     "adds r1, #1\n"
                     "str r1, [r0]\n"
                     "bx lr\n"
                     ".ltorg\n"
                     :
                     : "i"(&periods));
}

__attribute__((noinline)) void counter_start(void)
{
    uint32_t now;
    SYST_CSR = 0u;
    SYST_RVR = PERIOD - 1u;
    SYST_CVR = 0u;
    ICSR = ICSR_PENDSTCLR;
    periods = 0u;
    SYST_CSR = CSR_RUN;
    do { /* the first tick loads the counter */
        now = SYST_CVR;
    } while (now == 0u);
    first = now;
}

__attribute__((noinline)) void counter_stop(counter_t *elapsed)
{
    __asm__ volatile("cpsid i" ::: "memory");
    const uint32_t now = SYST_CVR;
    const uint32_t pending = ICSR & ICSR_PENDSTSET;
    SYST_CSR = 0u;
    ICSR = ICSR_PENDSTCLR;
    __asm__ volatile("cpsie i" ::: "memory");
    uint32_t high = periods;
    elapsed->interrupts = high;
    /* Pending and high up: the wrap came before `now` was read, its handler not yet. */
    if (pending != 0u && now > PERIOD / 2u) {
        high++;
    }
    elapsed->high = high - (first < now ? 1u : 0u);
    elapsed->low = (first - now) & (PERIOD - 1u);
}
