/* hot_options.h -- the options of SET and GETEX. */
#ifndef FORKKV_HOT_OPTIONS_H
#define FORKKV_HOT_OPTIONS_H

#include "hot.h"

typedef struct hot_options {
    unsigned flags;       /* FKV_NX, FKV_XX, FKV_KEEP_TTL */
    bool get;             /* GET: answer the old value */
    bool persist;         /* PERSIST */
    int64_t expires_at_ms; /* 0: no expiry was asked for */
} hot_options;

enum hot_options_of { HOT_OPTIONS_SET, HOT_OPTIONS_GETEX };

/* Reads the arguments from `first` on. False: the error is replied. */
bool hot_read_options(hot_call *call, size_t first, enum hot_options_of command,
                      hot_options *ret);

/* Reads a time to live in units of `unit_ms` (above 0) into a time since the epoch. False: the
 * error is replied. */
bool hot_read_ttl(hot_call *call, const resp_arg *arg, int64_t unit_ms, int64_t *ret_at_ms);

#endif
