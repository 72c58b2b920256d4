/* hot_options.c -- reads the options of SET and GETEX. */
#include "hot_options.h"

/* What may stand together is a matter of kinds: of each kind one word only, which may be repeated.
 * KEEPTTL, PERSIST and the times exclude each other because they are of one kind. */
enum kind { CONDITION = 1, EXPIRY, ANSWER };

static const struct option {
    const char *word;
    enum kind kind;
    bool in_set, in_getex;
    unsigned flag;
    int64_t unit_ms; /* a time follows */
    bool from_now;
} options[] = {
    {"nx", CONDITION, true, false, FKV_NX, 0, false},
    {"xx", CONDITION, true, false, FKV_XX, 0, false},
    {"get", ANSWER, true, false, 0, 0, false},
    {"keepttl", EXPIRY, true, false, FKV_KEEP_TTL, 0, false},
    {"persist", EXPIRY, false, true, 0, 0, false},
    {"ex", EXPIRY, true, true, 0, 1000, true},
    {"px", EXPIRY, true, true, 0, 1, true},
    {"exat", EXPIRY, true, true, 0, 1000, false},
    {"pxat", EXPIRY, true, true, 0, 1, false},
};

static const struct option *find_option(const resp_arg *arg, enum hot_options_of command) {
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const struct option *option = &options[i];
        if (hot_is_word(arg, option->word))
            return (command == HOT_OPTIONS_SET ? option->in_set : option->in_getex) ? option : NULL;
    }
    return NULL;
}

static bool read_time(hot_call *call, const resp_arg *arg, int64_t unit_ms, int64_t base_ms,
                      int64_t *ret_at_ms) {
    int64_t time;
    if (!hot_read_integer(call, arg, &time))
        return false;
    if (time > 0 && !__builtin_mul_overflow(time, unit_ms, &time) &&
        !__builtin_add_overflow(time, base_ms, ret_at_ms))
        return true;
    hot_fail_expiry(call);
    return false;
}

bool hot_read_ttl(hot_call *call, const resp_arg *arg, int64_t unit_ms, int64_t *ret_at_ms) {
    return read_time(call, arg, unit_ms, fkv_now_ms(), ret_at_ms);
}

bool hot_read_options(hot_call *call, size_t first, enum hot_options_of command,
                      hot_options *ret) {
    const struct option *chosen[ANSWER + 1] = {NULL};
    const resp_arg *time = NULL;
    for (size_t i = first; i < call->count; i++) {
        const struct option *option = find_option(&call->args[i], command);
        if (!option || (chosen[option->kind] && chosen[option->kind] != option) ||
            (option->unit_ms && i + 1 == call->count)) {
            hot_fail_syntax(call);
            return false;
        }
        chosen[option->kind] = option;
        if (option->unit_ms)
            time = &call->args[++i];
    }
    const struct option *expiry = chosen[EXPIRY];
    *ret = (hot_options){0};
    ret->flags = (chosen[CONDITION] ? chosen[CONDITION]->flag : 0) | (expiry ? expiry->flag : 0);
    ret->get = chosen[ANSWER] != NULL;
    ret->persist = expiry && !expiry->unit_ms && !expiry->flag;
    return !time || read_time(call, time, expiry->unit_ms, expiry->from_now ? fkv_now_ms() : 0,
                              &ret->expires_at_ms);
}
