/* hot_rename.c -- RENAME, RENAMENX, COPY and MOVE: a value under another name. */
#include "hot.h"

static void fail_same(hot_call *call) {
    reply_error(call->out, "ERR source and destination objects are the same");
}

static bool no_such_key(hot_call *call, fkv_status status) {
    if (status == FKV_MISS)
        reply_error(call->out, "ERR no such key");
    return status == FKV_MISS;
}

void hot_rename(hot_call *call) {
    fkv_key to = hot_make_key(call, &call->args[2]);
    fkv_status status = fkv_rename(call->table, call->key, &to, 0);
    if (status == FKV_OK)
        reply_ok(call->out);
    else if (!no_such_key(call, status))
        hot_fail(call, status);
}

void hot_renamenx(hot_call *call) {
    fkv_key to = hot_make_key(call, &call->args[2]);
    fkv_status status = fkv_rename(call->table, call->key, &to, FKV_NX);
    if (!no_such_key(call, status))
        hot_tell_done(call, status);
}

/* COPY's options, in any order: DB n, REPLACE. False: the error is replied. */
static bool read_copy_options(hot_call *call, unsigned *ret_database, unsigned *ret_flags) {
    *ret_database = call->client->database;
    *ret_flags = FKV_NX;
    for (size_t i = 3; i < call->count; i++) {
        if (hot_is_word(&call->args[i], "replace")) {
            *ret_flags = 0;
        } else if (hot_is_word(&call->args[i], "db") && i + 1 < call->count) {
            if (!hot_read_database(call, &call->args[++i], ret_database))
                return false;
        } else {
            hot_fail_syntax(call);
            return false;
        }
    }
    return true;
}

void hot_copy(hot_call *call) {
    const resp_arg *from = &call->args[1], *name = &call->args[2];
    unsigned database, flags;
    if (!read_copy_options(call, &database, &flags))
        return;
    if (database == call->client->database && from->size == name->size &&
        memcmp(from->data, name->data, name->size) == 0) {
        fail_same(call);
        return;
    }
    fkv_key to = fkv_make_key(call->table, database, name->data, name->size);
    hot_tell_done(call, fkv_copy(call->table, call->key, &to, flags));
}

void hot_move(hot_call *call) {
    const resp_arg *name = &call->args[1];
    unsigned database;
    if (!hot_read_database(call, &call->args[2], &database))
        return;
    if (database == call->client->database) {
        fail_same(call);
        return;
    }
    fkv_key to = fkv_make_key(call->table, database, name->data, name->size);
    hot_tell_done(call, fkv_rename(call->table, call->key, &to, FKV_NX));
}
