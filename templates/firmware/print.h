/* Prints JSON without stdio. */
#ifndef FIRMWARE_PRINT_H
#define FIRMWARE_PRINT_H

#include <stdint.h>

void print(const char *text);
void print_number(uint32_t value);

#endif
