/* hot_session.c -- commands about the connection itself. */
#include "hot.h"

void hot_ping(hot_call *call) {
    if (call->count == 1)
        reply_literal(call->out, "+PONG\r\n");
    else if (call->count == 2)
        reply_bulk(call->out, call->args[1].data, call->args[1].size);
    else
        hot_fail_arity(call);
}

void hot_echo(hot_call *call) {
    reply_bulk(call->out, call->args[1].data, call->args[1].size);
}

bool hot_read_database(hot_call *call, const resp_arg *arg, unsigned *ret) {
    int64_t database;
    if (!hot_read_integer(call, arg, &database))
        return false;
    *ret = (unsigned)database;
    if (database >= 0 && database < FKV_DATABASES)
        return true;
    if (database < INT32_MIN || database > INT32_MAX) /* Redis reads an int first */
        reply_error(call->out, "ERR value is out of range, value must between %d and %d", INT32_MIN,
                    INT32_MAX);
    else
        reply_error(call->out, "ERR DB index is out of range");
    return false;
}

void hot_select(hot_call *call) {
    unsigned database;
    if (!hot_read_database(call, &call->args[1], &database))
        return;
    call->client->database = database;
    reply_ok(call->out);
}

void hot_quit(hot_call *call) {
    reply_ok(call->out);
    call->client->closing = CLOSED_QUIT;
}
