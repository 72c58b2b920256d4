/* number.h -- 64-bit decimal integers, in the one spelling the protocol allows. */
#ifndef FORKKV_NUMBER_H
#define FORKKV_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NUMBER_TEXT_MAX 20 /* "-9223372036854775808" */

/* Reads all of text[0 .. size): an optional '-', then digits without a leading zero; no '+', no
 * "-0", no spaces. False when it is anything else or does not fit. */
bool number_parse(const char *text, size_t size, int64_t *ret);

/* Writes `value` to `text`, which has room for NUMBER_TEXT_MAX bytes; returns how many it took.
 * No terminating NUL. */
size_t number_format(int64_t value, char *text);

#endif
