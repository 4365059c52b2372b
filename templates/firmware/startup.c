#include "startup.h"

#define PAINT 0x57ACCA11u
#define MARGIN 32u /* words below the caller's frame that are left unpainted */

extern uint32_t __data_start[], __data_end[], __bss_start[], __bss_end[];
extern const uint32_t __data_load[];

void startup_memory(void)
{
    const uint32_t *from = __data_load;
    for (uint32_t *to = __data_start; to < __data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = __bss_start; to < __bss_end; to++) {
        *to = 0u;
    }
    const uint32_t *const used = (const uint32_t *)__builtin_frame_address(0) - MARGIN;
    for (uint32_t *to = __stack_bottom; to < used; to++) {
        *to = PAINT;
    }
}

uint32_t startup_stack_used(void)
{
    const uint32_t *at = __stack_bottom;
    while (at < __stack_top && *at == PAINT) {
        at++;
    }
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)at);
}
