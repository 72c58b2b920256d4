/* reply.h -- replies as RESP2 or RESP3, appended to a buffer.
 *
 * None of these functions fails where it stands: what cannot be appended, for want of memory or
 * because too much waits already, leaves the reply `broken`, and its connection is to be closed. */
#ifndef FORKKV_REPLY_H
#define FORKKV_REPLY_H

#include "buffer.h"
#include "fkv.h"

typedef struct reply {
    buffer bytes;
    size_t size_max;    /* bytes that may wait */
    const char *broken; /* why nothing more can be appended, or NULL */
    int protocol;       /* 2 or 3 */
    bool failed;        /* an error was appended; whoever counts them resets it */
} reply;

/* A place for exactly `size` bytes, already part of the reply. NULL: the reply is broken. */
char *reply_room(reply *self, size_t size);

/* Ready-made protocol, "+OK\r\n" for one. */
void reply_raw(reply *self, const char *text, size_t size);
#define reply_literal(self, text) reply_raw(self, text, sizeof text - 1)
#define reply_ok(self) reply_literal(self, "+OK\r\n")

void reply_integer(reply *self, int64_t value);
void reply_bulk(reply *self, const char *data, size_t size);
void reply_null(reply *self); /* "$-1" in RESP2, "_" in RESP3 */
void reply_array(reply *self, size_t count); /* `count` replies are to follow */

/* An error: its code and text ("ERR syntax error"), as printf would write it. Line ends within
 * become spaces. */
void reply_error(reply *self, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends a bulk of `size` bytes and returns where they are to be written, at once. */
char *reply_bulk_room(reply *self, size_t size);

/* A sink that makes a value the next bulk of a reply: no copy between the table and the socket.
 * Start from reply_sink(); when the operation did not deliver, reply_sink_undo(). */
typedef struct reply_bulk_sink {
    fkv_sink sink;
    reply *out;
    size_t mark; /* size of the reply before */
} reply_bulk_sink;
reply_bulk_sink reply_sink(reply *self);
void reply_sink_undo(reply_bulk_sink *sink);

#endif
