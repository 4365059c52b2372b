/* Start-up and traps of 32-bit RISC-V cores in machine mode. */
#include "print.h"
#include "semihosting.h"
#include "startup.h"

void Reset_Handler(void);
void reset(void);
void trap(void);

__attribute__((naked, section(".vectors"), used)) void Reset_Handler(void)
{
    __asm__ volatile("la sp, __stack_top\n"
                     "j reset\n");
}

__attribute__((used)) void reset(void)
{
    __asm__ volatile("csrw mtvec, %0" ::"r"(trap));
    startup_memory();
    semihosting_exit((uint32_t)main());
}

/* Never returns, so nothing is saved. */
__attribute__((aligned(4))) void trap(void)
{
    uint32_t cause, pc, value;
    __asm__ volatile("csrr %0, mcause" : "=r"(cause));
    __asm__ volatile("csrr %0, mepc" : "=r"(pc));
    __asm__ volatile("csrr %0, mtval" : "=r"(value));
    print("\n{\"fault\": ");
    print_number(cause);
    print(", \"pc\": ");
    print_number(pc);
    print(", \"mtval\": ");
    print_number(value);
    print("}\n");
    semihosting_exit(EXIT_FAULT);
}
