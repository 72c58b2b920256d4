/* reply.c -- encodes replies into a buffer. */
#include "reply.h"

#include <stdarg.h>
#include <stdio.h>

#include "closed.h"
#include "number.h"

#define ERROR_MAX 512 /* bytes; a longer error is cut */

char *reply_room(reply *self, size_t size) {
    buffer *bytes = &self->bytes;
    if (self->broken)
        return NULL;
    if (size > self->size_max || buffer_size(bytes) > self->size_max - size) {
        self->broken = CLOSED_REPLY_LIMIT;
        return NULL;
    }
    char *room = buffer_room(bytes, size);
    if (room)
        buffer_added(bytes, size);
    else
        self->broken = CLOSED_NO_MEMORY;
    return room;
}

void reply_raw(reply *self, const char *text, size_t size) {
    char *room = reply_room(self, size);
    if (room)
        memcpy(room, text, size);
}

/* Writes mark, number and line end; returns the size. */
static size_t format_head(char *text, char mark, int64_t number) {
    text[0] = mark;
    size_t size = 1 + number_format(number, text + 1);
    text[size] = '\r';
    text[size + 1] = '\n';
    return size + 2;
}

#define HEAD_MAX (1 + NUMBER_TEXT_MAX + 2)

static void append_head(reply *self, char mark, int64_t number) {
    char head[HEAD_MAX];
    reply_raw(self, head, format_head(head, mark, number));
}

void reply_integer(reply *self, int64_t value) {
    append_head(self, ':', value);
}

void reply_array(reply *self, size_t count) {
    append_head(self, '*', (int64_t)count);
}

void reply_null(reply *self) {
    if (self->protocol == 2)
        reply_literal(self, "$-1\r\n");
    else
        reply_literal(self, "_\r\n");
}

char *reply_bulk_room(reply *self, size_t size) {
    char head[HEAD_MAX];
    size_t head_size = format_head(head, '$', (int64_t)size);
    char *room = reply_room(self, head_size + size + 2);
    if (!room)
        return NULL;
    memcpy(room, head, head_size);
    memcpy(room + head_size + size, "\r\n", 2);
    return room + head_size;
}

void reply_bulk(reply *self, const char *data, size_t size) {
    char *room = reply_bulk_room(self, size);
    if (room)
        memcpy(room, data, size);
}

void reply_error(reply *self, const char *format, ...) {
    char text[ERROR_MAX];
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t size = written < ERROR_MAX ? (size_t)written : ERROR_MAX - 1;
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\r' || text[i] == '\n')
            text[i] = ' ';
    reply_literal(self, "-");
    reply_raw(self, text, size);
    reply_literal(self, "\r\n");
    self->failed = true;
}

static void *bulk_sink_room(fkv_sink *self, size_t size) {
    reply_bulk_sink *sink = (reply_bulk_sink *)self;
    buffer_truncate(&sink->out->bytes, sink->mark); /* what an earlier try of the read left */
    return reply_bulk_room(sink->out, size);
}

reply_bulk_sink reply_sink(reply *self) {
    return (reply_bulk_sink){{bulk_sink_room}, self, buffer_size(&self->bytes)};
}

void reply_sink_undo(reply_bulk_sink *sink) {
    buffer_truncate(&sink->out->bytes, sink->mark);
}
