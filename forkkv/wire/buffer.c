/* buffer.c -- the slow paths of a buffer: growing, moving, shrinking. */
#include "buffer.h"

#include <stdint.h>
#include <stdlib.h>

#define CAPACITY_MIN 256
#define COPY_MAX ((size_t)16 << 10) /* above this, buffer_move hands the memory over */

char *buffer_grow(buffer *self, size_t size) {
    size_t waiting = buffer_size(self);
    if (size > SIZE_MAX / 4 - waiting)
        return NULL;
    /* Moving costs what waits, and frees at least as much: amortized it is one copy per byte. */
    if (self->start >= waiting && self->capacity - waiting >= size && self->data) {
        memmove(self->data, buffer_bytes(self), waiting);
    } else {
        size_t capacity = waiting + size > 2 * waiting ? waiting + size : 2 * waiting;
        if (capacity < CAPACITY_MIN)
            capacity = CAPACITY_MIN;
        char *data = malloc(capacity);
        if (!data)
            return NULL;
        if (waiting)
            memcpy(data, buffer_bytes(self), waiting);
        free(self->data);
        self->data = data;
        self->capacity = capacity;
    }
    self->start = 0;
    self->end = waiting;
    return self->data + waiting;
}

bool buffer_move(buffer *from, buffer *to) {
    size_t size = buffer_size(from);
    if (buffer_size(to) == 0 && size > COPY_MAX) {
        buffer emptied = *to;
        *to = *from;
        *from = emptied;
        return true;
    }
    if (size) {
        char *room = buffer_room(to, size);
        if (!room)
            return false;
        memcpy(room, buffer_bytes(from), size);
        buffer_added(to, size);
    }
    from->start = from->end = 0;
    return true;
}

void buffer_shrink(buffer *self, size_t keep) {
    size_t waiting = buffer_size(self);
    if (self->capacity <= keep || waiting > self->capacity / 4)
        return;
    if (waiting == 0) {
        buffer_deinit(self);
        return;
    }
    memmove(self->data, buffer_bytes(self), waiting);
    self->start = 0;
    self->end = waiting;
    size_t capacity = waiting > keep ? waiting : keep;
    char *smaller = realloc(self->data, capacity);
    if (smaller) {
        self->data = smaller;
        self->capacity = capacity;
    }
}

void buffer_deinit(buffer *self) {
    free(self->data);
    *self = (buffer){0};
}
