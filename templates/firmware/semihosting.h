/* Semihosting: the emulator (or a debugger) prints and ends the program on the core's behalf. */
#ifndef FIRMWARE_SEMIHOSTING_H
#define FIRMWARE_SEMIHOSTING_H

#include <stdint.h>

void semihosting_print(const char *text); /* no formatting, no stdio */
_Noreturn void semihosting_exit(uint32_t code);

#endif
