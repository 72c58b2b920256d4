/* hot_keys.c -- commands about keys, whatever their values. */
#include "hot.h"

typedef fkv_status (*key_operation)(fkv_table *table, const fkv_key *key);

/* Replies for how many of the keys `operation` succeeded. */
static void count_keys(hot_call *call, key_operation operation) {
    int64_t count = 0;
    for (size_t i = 1; i < call->count; i++) {
        fkv_key key = i == 1 ? *call->key : hot_make_key(call, &call->args[i]);
        fkv_status status = operation(call->table, &key);
        if (status != FKV_OK && status != FKV_MISS) {
            hot_fail(call, status);
            return;
        }
        count += status == FKV_OK;
    }
    reply_integer(call->out, count);
}

static fkv_status delete_key(fkv_table *table, const fkv_key *key) {
    return fkv_delete(table, key, NULL);
}

static fkv_status find_key(fkv_table *table, const fkv_key *key) {
    uint64_t size;
    return fkv_size(table, key, &size);
}

void hot_del(hot_call *call) {
    count_keys(call, delete_key);
}

void hot_exists(hot_call *call) {
    count_keys(call, find_key);
}

void hot_type(hot_call *call) {
    fkv_status status = find_key(call->table, call->key);
    if (status == FKV_OK)
        reply_literal(call->out, "+string\r\n");
    else if (status == FKV_MISS)
        reply_literal(call->out, "+none\r\n");
    else
        hot_fail(call, status);
}
