/* hot_strings.c -- one key and its value. */
#include "hot_options.h"

/* Ends a command whose value was to come through `sink`: FKV_MISS is a null. */
static void finish_value(hot_call *call, reply_bulk_sink *sink, fkv_status status) {
    if (status == FKV_OK)
        return;
    reply_sink_undo(sink);
    if (status == FKV_MISS)
        reply_null(call->out);
    else
        hot_fail(call, status);
}

void hot_get(hot_call *call) {
    reply_bulk_sink sink = reply_sink(call->out);
    finish_value(call, &sink, fkv_get(call->table, call->key, &sink.sink));
}

void hot_getdel(hot_call *call) {
    reply_bulk_sink sink = reply_sink(call->out);
    finish_value(call, &sink, fkv_delete(call->table, call->key, &sink.sink));
}

void hot_getex(hot_call *call) {
    hot_options options;
    if (!hot_read_options(call, 2, HOT_OPTIONS_GETEX, &options))
        return;
    if (!options.persist && !options.expires_at_ms) {
        hot_get(call);
        return;
    }
    reply_bulk_sink sink = reply_sink(call->out);
    fkv_status status = fkv_expire(call->table, call->key, options.expires_at_ms, 0, &sink.sink);
    finish_value(call, &sink, status == FKV_UNMET ? FKV_OK : status);
}

/* ---- storing --------------------------------------------------------------------------------- */

static fkv_status store(hot_call *call, const resp_arg *value, const hot_options *options,
                        fkv_sink *old, bool *ret_existed) {
    return fkv_set(call->table, call->key, value->data, value->size, options->flags,
                   options->expires_at_ms, old, ret_existed);
}

/* Stores and answers what was there before, a null when nothing was. */
static void store_and_get(hot_call *call, const resp_arg *value, const hot_options *options) {
    reply_bulk_sink sink = reply_sink(call->out);
    bool existed = false;
    fkv_status status = store(call, value, options, &sink.sink, &existed);
    if (status == FKV_OK || status == FKV_UNMET)
        status = existed ? FKV_OK : FKV_MISS;
    finish_value(call, &sink, status);
}

static void store_and_confirm(hot_call *call, const resp_arg *value, const hot_options *options) {
    fkv_status status = store(call, value, options, NULL, NULL);
    if (status == FKV_OK)
        reply_ok(call->out);
    else if (status == FKV_UNMET)
        reply_null(call->out);
    else
        hot_fail(call, status);
}

void hot_set(hot_call *call) {
    hot_options options;
    if (!hot_read_options(call, 3, HOT_OPTIONS_SET, &options))
        return;
    if (options.get)
        store_and_get(call, &call->args[2], &options);
    else
        store_and_confirm(call, &call->args[2], &options);
}

void hot_getset(hot_call *call) {
    store_and_get(call, &call->args[2], &(hot_options){0});
}

void hot_setnx(hot_call *call) {
    const hot_options options = {.flags = FKV_NX};
    hot_tell_done(call, store(call, &call->args[2], &options, NULL, NULL));
}

static void set_with_ttl(hot_call *call, int64_t unit_ms) {
    hot_options options = {0};
    if (hot_read_ttl(call, &call->args[2], unit_ms, &options.expires_at_ms))
        store_and_confirm(call, &call->args[3], &options);
}

void hot_setex(hot_call *call) {
    set_with_ttl(call, 1000);
}

void hot_psetex(hot_call *call) {
    set_with_ttl(call, 1);
}

/* ---- parts of a value ------------------------------------------------------------------------ */

void hot_append(hot_call *call) {
    uint64_t size;
    const resp_arg *tail = &call->args[2];
    fkv_status status = fkv_append(call->table, call->key, tail->data, tail->size, &size);
    if (status == FKV_OK)
        reply_integer(call->out, (int64_t)size);
    else
        hot_fail(call, status);
}

void hot_strlen(hot_call *call) {
    uint64_t size = 0;
    fkv_status status = fkv_size(call->table, call->key, &size);
    if (status == FKV_OK || status == FKV_MISS)
        reply_integer(call->out, (int64_t)size);
    else
        hot_fail(call, status);
}
