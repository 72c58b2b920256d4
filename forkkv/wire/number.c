/* number.c -- strict parsing and plain formatting of 64-bit decimal integers. */
#include "number.h"

#include <string.h>

bool number_parse(const char *text, size_t size, int64_t *ret) {
    bool negative = size > 0 && text[0] == '-';
    const char *digit = text + negative, *end = text + size;
    if (digit == end || size > NUMBER_TEXT_MAX)
        return false;
    if (*digit == '0') {
        *ret = 0;
        return size == 1;
    }
    uint64_t limit = (uint64_t)INT64_MAX + negative, value = 0;
    for (; digit < end; digit++) {
        unsigned step = (unsigned char)*digit - '0';
        if (step > 9 || value > (limit - step) / 10)
            return false;
        value = value * 10 + step;
    }
    *ret = (int64_t)(negative ? 0 - value : value);
    return true;
}

size_t number_format(int64_t value, char *text) {
    char digits[NUMBER_TEXT_MAX];
    char *first = digits + sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--first = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        *--first = '-';
    size_t size = (size_t)(digits + sizeof digits - first);
    memcpy(text, first, size);
    return size;
}
