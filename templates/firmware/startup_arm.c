/* Start-up and faults of Arm Cortex-M cores. */
#include "print.h"
#include "semihosting.h"
#include "startup.h"

#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define CFSR (*(volatile uint32_t *)0xE000ED28u)
#define HFSR (*(volatile uint32_t *)0xE000ED2Cu)
#define BFAR (*(volatile uint32_t *)0xE000ED38u)

void Reset_Handler(void);
void Fault_Handler(void);
void SysTick_Handler(void);
void fault(const uint32_t *frame, uint32_t exception);

/* Entry of the exception table: the first is the stack, the others are handlers. */
typedef union {
    const void *stack;
    void (*handler)(void);
} vector_t;

__attribute__((section(".vectors"), used)) static const vector_t vectors[16] = {
    {.stack = __stack_top},       {.handler = Reset_Handler}, {.handler = Fault_Handler},
    {.handler = Fault_Handler},   {.handler = Fault_Handler}, {.handler = Fault_Handler},
    {.handler = Fault_Handler},   {.handler = Fault_Handler}, {.handler = Fault_Handler},
    {.handler = Fault_Handler},   {.handler = Fault_Handler}, {.handler = Fault_Handler},
    {.handler = Fault_Handler},   {.handler = Fault_Handler}, {.handler = Fault_Handler},
    {.handler = SysTick_Handler},
};

void Reset_Handler(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= 0xFu << 20; /* coprocessors 10 and 11: floating point and Helium */
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
#if defined(__ARM_FEATURE_MVE)
    uint32_t fpscr;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(fpscr));
    fpscr = (fpscr & ~(7u << 16)) | (4u << 16); /* LTPSIZE 4: no loop tail is predicated */
    __asm__ volatile("vmsr fpscr, %0" ::"r"(fpscr));
#endif
    startup_memory();
    semihosting_exit((uint32_t)main());
}

/* Hands the frame to C on a fresh stack: the old one may be what failed. */
__attribute__((naked)) void Fault_Handler(void)
{
    __asm__ volatile("mrs r0, msp\n"
                     "mrs r1, ipsr\n"
                     "ldr r2, =__stack_top\n"
                     "mov sp, r2\n"
                     "ldr r2, =fault\n"
                     "bx r2\n"
                     ".ltorg\n");
}

__attribute__((used)) void fault(const uint32_t *frame, uint32_t exception)
{
    const uintptr_t at = (uintptr_t)frame;
    print("\n{\"fault\": ");
    print_number(exception);
    print(", \"cfsr\": ");
    print_number(CFSR);
    print(", \"hfsr\": ");
    print_number(HFSR);
    print(", \"bfar\": ");
    print_number(BFAR);
    if (at >= (uintptr_t)__stack_bottom && at + 32u <= (uintptr_t)__stack_top) {
        print(", \"pc\": ");
        print_number(frame[6]);
    } else {
        print(", \"overflowed_sp\": ");
        print_number((uint32_t)at);
    }
    print("}\n");
    semihosting_exit(EXIT_FAULT);
}
