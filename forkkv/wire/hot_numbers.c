/* hot_numbers.c -- values that are integers. */
#include "hot.h"

static void add(hot_call *call, int64_t delta) {
    int64_t sum;
    fkv_status status = fkv_add(call->table, call->key, delta, &sum);
    if (status == FKV_OK)
        reply_integer(call->out, sum);
    else
        hot_fail(call, status);
}

void hot_incr(hot_call *call) {
    add(call, 1);
}

void hot_decr(hot_call *call) {
    add(call, -1);
}

void hot_incrby(hot_call *call) {
    int64_t delta;
    if (hot_read_integer(call, &call->args[2], &delta))
        add(call, delta);
}

void hot_decrby(hot_call *call) {
    int64_t delta;
    if (!hot_read_integer(call, &call->args[2], &delta))
        return;
    if (delta == INT64_MIN)
        reply_error(call->out, "ERR decrement would overflow");
    else
        add(call, -delta);
}
