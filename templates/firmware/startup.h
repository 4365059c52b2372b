/* What the start-up code of every core shares. */
#ifndef FIRMWARE_STARTUP_H
#define FIRMWARE_STARTUP_H

#include <stdint.h>

#define EXIT_FAULT 200u

extern uint32_t __stack_bottom[], __stack_top[]; /* from the linker script */

int main(void);
void startup_memory(void);         /* copies .data, clears .bss, paints the stack's unused part */
uint32_t startup_stack_used(void); /* most bytes of stack that were in use since then */

#endif
