#include "print.h"

#include "semihosting.h"

void print(const char *text)
{
    semihosting_print(text);
}

void print_number(uint32_t value)
{
    char digits[11];
    char *at = &digits[10];
    *at = '\0';
    do {
        *--at = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0u);
    semihosting_print(at);
}
