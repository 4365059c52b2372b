#include "semihosting.h"

#define SYS_WRITE0 0x04
#define SYS_EXIT_EXTENDED 0x20
#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

#if defined(__arm__)
static void call(uint32_t operation, const void *parameter)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = parameter;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
#elif defined(__riscv)
static void call(uint32_t operation, const void *parameter)
{
    register uint32_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = parameter;
    /* The three instructions are the call's signature: uncompressed and within one page. */
    __asm__ volatile(".option push\n"
                     ".option norvc\n"
                     ".balign 16\n"
                     "slli x0, x0, 0x1f\n"
                     "ebreak\n"
                     "srai x0, x0, 7\n"
                     ".option pop\n"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
}
#else
#error "No semihosting for this core"
#endif

void semihosting_print(const char *text)
{
    call(SYS_WRITE0, text);
}

_Noreturn void semihosting_exit(uint32_t code)
{
    const uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, code};
    call(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}
