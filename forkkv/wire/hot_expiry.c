/* hot_expiry.c -- when keys expire: setting, asking, taking away. */
#include "hot.h"

/* ---- EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT ---------------------------------------------------- */

static const struct condition {
    const char *word;
    unsigned flag;
} conditions[] = {{"nx", FKV_NX}, {"xx", FKV_XX}, {"gt", FKV_GT}, {"lt", FKV_LT}};

static unsigned condition_flag(const resp_arg *arg) {
    for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++)
        if (hot_is_word(arg, conditions[i].word))
            return conditions[i].flag;
    return 0;
}

static bool read_conditions(hot_call *call, unsigned *ret_flags) {
    unsigned flags = 0;
    for (size_t i = 3; i < call->count; i++) {
        unsigned flag = condition_flag(&call->args[i]);
        if (!flag) {
            reply_error(call->out, "ERR Unsupported option %.*s",
                        call->args[i].size < 128 ? (int)call->args[i].size : 128,
                        call->args[i].data);
            return false;
        }
        flags |= flag;
    }
    const char *clash = NULL;
    if ((flags & FKV_NX) && flags != FKV_NX)
        clash = "NX and XX, GT or LT";
    else if ((flags & FKV_GT) && (flags & FKV_LT))
        clash = "GT and LT";
    if (clash)
        reply_error(call->out, "ERR %s options at the same time are not compatible", clash);
    *ret_flags = flags;
    return !clash;
}

/* `unit_ms`: of the argument; `base_ms`: what it counts from. */
static void expire(hot_call *call, int64_t unit_ms, int64_t base_ms) {
    unsigned flags;
    int64_t at_ms;
    if (!read_conditions(call, &flags) || !hot_read_integer(call, &call->args[2], &at_ms))
        return;
    if (__builtin_mul_overflow(at_ms, unit_ms, &at_ms) ||
        __builtin_add_overflow(at_ms, base_ms, &at_ms)) {
        hot_fail_expiry(call);
        return;
    }
    /* Any time before the epoch is as past as its first millisecond; 0 would mean no expiry. */
    at_ms = at_ms > 0 ? at_ms : 1;
    hot_tell_done(call, fkv_expire(call->table, call->key, at_ms, flags, NULL));
}

void hot_expire(hot_call *call) {
    expire(call, 1000, fkv_now_ms());
}

void hot_pexpire(hot_call *call) {
    expire(call, 1, fkv_now_ms());
}

void hot_expireat(hot_call *call) {
    expire(call, 1000, 0);
}

void hot_pexpireat(hot_call *call) {
    expire(call, 1, 0);
}

void hot_persist(hot_call *call) {
    hot_tell_done(call, fkv_expire(call->table, call->key, 0, 0, NULL));
}

/* ---- TTL, PTTL, EXPIRETIME, PEXPIRETIME ------------------------------------------------------ */

#define NO_KEY (-2)
#define NO_EXPIRY (-1)

/* Replies when the key expires, counted from `base_ms` in units of `unit_ms`, rounded. */
static void tell_expiry(hot_call *call, int64_t unit_ms, int64_t base_ms) {
    int64_t at_ms;
    fkv_status status = fkv_expiry(call->table, call->key, &at_ms);
    if (status == FKV_MISS) {
        reply_integer(call->out, NO_KEY);
    } else if (status != FKV_OK) {
        hot_fail(call, status);
    } else if (at_ms == 0) {
        reply_integer(call->out, NO_EXPIRY);
    } else {
        int64_t left_ms = at_ms > base_ms ? at_ms - base_ms : 0;
        bool round_up = left_ms % unit_ms >= (unit_ms + 1) / 2;
        reply_integer(call->out, left_ms / unit_ms + round_up);
    }
}

void hot_ttl(hot_call *call) {
    tell_expiry(call, 1000, fkv_now_ms());
}

void hot_pttl(hot_call *call) {
    tell_expiry(call, 1, fkv_now_ms());
}

void hot_expiretime(hot_call *call) {
    tell_expiry(call, 1000, 0);
}

void hot_pexpiretime(hot_call *call) {
    tell_expiry(call, 1, 0);
}
