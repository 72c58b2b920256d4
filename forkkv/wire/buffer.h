/* buffer.h -- bytes that wait: appended at the end, consumed from the start.
 *
 * A buffer of all zeros is empty and owns nothing. Pointers into it are valid until the next call
 * that may make room. */
#ifndef FORKKV_BUFFER_H
#define FORKKV_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct buffer {
    char *data;
    size_t start, end; /* what waits is data[start .. end) */
    size_t capacity;
} buffer;

static inline size_t buffer_size(const buffer *self) {
    return self->end - self->start;
}

static inline char *buffer_bytes(const buffer *self) {
    return self->data + self->start;
}

/* Makes room for `size` bytes behind the end by moving or reallocating. NULL without memory; the
 * buffer is then as it was. */
char *buffer_grow(buffer *self, size_t size);

/* A place for `size` bytes behind the end; add them with buffer_added(). NULL without memory. */
static inline char *buffer_room(buffer *self, size_t size) {
    if (self->capacity - self->end >= size && self->data)
        return self->data + self->end;
    return buffer_grow(self, size);
}

static inline void buffer_added(buffer *self, size_t size) {
    self->end += size;
}

static inline void buffer_consume(buffer *self, size_t size) {
    self->start += size;
    if (self->start == self->end)
        self->start = self->end = 0;
}

/* Keeps the first `size` of the waiting bytes. */
static inline void buffer_truncate(buffer *self, size_t size) {
    if (size == 0)
        self->start = 0;
    self->end = self->start + size;
}

/* Moves everything that waits in `from` behind what waits in `to`; into an empty `to`, a large
 * amount goes without being copied. False without memory. */
bool buffer_move(buffer *from, buffer *to);

/* Gives memory back: all of it when nothing waits and more than `keep` bytes are held, and the
 * unused part when that is most of it. */
void buffer_shrink(buffer *self, size_t keep);

void buffer_deinit(buffer *self);

#endif
