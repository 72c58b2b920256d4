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

void hot_select(hot_call *call) {
    int64_t database;
    if (!hot_read_integer(call, &call->args[1], &database))
        return;
    if (database < 0 || database >= FKV_DATABASES) {
        reply_error(call->out, "ERR DB index is out of range");
        return;
    }
    call->client->database = (unsigned)database;
    reply_ok(call->out);
}

void hot_quit(hot_call *call) {
    reply_ok(call->out);
    call->client->closing = CLOSED_QUIT;
}
