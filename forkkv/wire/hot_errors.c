/* hot_errors.c -- the errors that hot commands share, in the words clients know from Redis where
 * Redis has the error, and with the next step where it is ours. */
#include <errno.h>

#include "hot.h"
#include "number.h"

static const char *const operation_errors[] = {
    [FKV_NOT_INTEGER] = "ERR value is not an integer or out of range",
    [FKV_OVERFLOW] = "ERR increment or decrement would overflow",
    [FKV_FULL] = "OOM command not allowed when used memory > 'maxmemory'.",
    [FKV_NO_SPACE] = "OOM the file system behind /dev/shm is full; free or enlarge it",
    [FKV_RETIRED] = "ERR the table was unlinked or replaced; restart the server",
    [FKV_CROWDED] = "ERR too many processes have the table open; end one of them",
    [FKV_CORRUPT] = "ERR the table is damaged; run `forkkv check`",
};

void hot_fail(hot_call *call, fkv_status status) {
    const size_t known = sizeof operation_errors / sizeof operation_errors[0];
    if (status == FKV_KEY_SIZE) {
        reply_error(call->out, "ERR a key is 1 to %d bytes long", FKV_KEY_MAX);
    } else if (status == FKV_TOO_BIG) {
        fkv_facts facts;
        fkv_read_facts(call->table, &facts);
        reply_error(call->out, "ERR value exceeds %llu bytes, the most this table can hold",
                    (unsigned long long)facts.value_max);
    } else if (status == FKV_BUSY) {
        char text[200];
        fkv_busy_text(call->table, text, sizeof text);
        reply_error(call->out, "BUSY %s", text);
    } else if ((size_t)status < known && operation_errors[status]) {
        reply_error(call->out, "%s", operation_errors[status]);
    } else if (status == FKV_SYSTEM) {
        reply_error(call->out, "ERR a system call of the table failed: %s", strerror(errno));
    } else {
        reply_error(call->out, "ERR %s", fkv_status_text(status));
    }
}

void hot_tell_done(hot_call *call, fkv_status status) {
    if (status == FKV_OK || status == FKV_MISS || status == FKV_UNMET)
        reply_integer(call->out, status == FKV_OK);
    else
        hot_fail(call, status);
}

void hot_fail_arity(hot_call *call) {
    reply_error(call->out, "ERR wrong number of arguments for '%s' command", call->command->name);
}

void hot_fail_syntax(hot_call *call) {
    reply_error(call->out, "ERR syntax error");
}

void hot_fail_expiry(hot_call *call) {
    reply_error(call->out, "ERR invalid expire time in '%s' command", call->command->name);
}

bool hot_read_integer(hot_call *call, const resp_arg *arg, int64_t *ret) {
    if (number_parse(arg->data, arg->size, ret))
        return true;
    hot_fail(call, FKV_NOT_INTEGER);
    return false;
}

bool hot_is_word(const resp_arg *arg, const char *word) {
    if (arg->size != strlen(word))
        return false;
    for (size_t i = 0; i < arg->size; i++)
        if ((arg->data[i] | 0x20) != word[i])
            return false;
    return true;
}
