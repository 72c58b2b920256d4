/* resp.c -- the RESP request parser: a walk over the bytes at hand, without I/O. */
#include "resp.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"

static resp_status fail(resp_reader *reader, const char *text) {
    snprintf(reader->error, sizeof reader->error, "Protocol error: %s", text);
    return RESP_ERROR;
}

bool resp_grow_args(resp_reader *reader) {
    size_t capacity = reader->capacity ? 2 * reader->capacity : 64;
    resp_arg *args = realloc(reader->args, capacity * sizeof *args);
    if (!args)
        return false;
    reader->args = args;
    reader->capacity = capacity;
    return true;
}

void resp_reader_deinit(resp_reader *reader) {
    free(reader->args);
    reader->args = NULL;
    reader->count = reader->capacity = 0;
}

/* "*3\r\n" or "$16\r\n" in its usual form: the mark, 1 to 9 digits, no leading zero. Returns where
 * the line ends, or 0 when it takes a closer look. */
static inline size_t read_usual_count(const char *bytes, size_t size, size_t at, char mark,
                                      int64_t *ret) {
    size_t digits = at + 1, i = digits;
    size_t stop = size - at > 10 ? at + 10 : size;
    int64_t count = 0;
    for (; i < stop && (unsigned char)(bytes[i] - '0') <= 9; i++)
        count = count * 10 + (bytes[i] - '0');
    if (i == digits || i + 1 >= size || bytes[i] != '\r' || bytes[at] != mark)
        return 0;
    if (bytes[digits] == '0' && i > digits + 1)
        return 0;
    *ret = count;
    return i + 2;
}

static resp_status fail_mark(resp_reader *reader, char mark, char got) {
    char text[32];
    snprintf(text, sizeof text, "expected '%c', got '%c'", mark,
             got >= ' ' && got <= '~' ? got : '?');
    return fail(reader, text);
}

/* The closer look, at a line that is unusual, broken, or not all there. */
static resp_status read_odd_count(resp_reader *reader, const char *bytes, size_t size, size_t *at,
                                  char mark, int64_t *ret) {
    const char *line = bytes + *at;
    size_t left = size - *at, scan = left < RESP_LINE_MAX ? left : RESP_LINE_MAX;
    const char *cr = memchr(line, '\r', scan);
    if (!cr && left > RESP_LINE_MAX)
        return fail(reader, mark == '*' ? "too big mbulk count string"
                                        : "too big bulk count string");
    if (!cr || cr + 1 == line + left)
        return RESP_MORE;
    if (*line != mark)
        return fail_mark(reader, mark, *line);
    if (!number_parse(line + 1, (size_t)(cr - line - 1), ret))
        return fail(reader, mark == '*' ? "invalid multibulk length" : "invalid bulk length");
    *at += (size_t)(cr - line) + 2;
    return RESP_REQUEST;
}

/* Reads the line with `mark` and a count at *at, and moves *at behind it. */
static inline resp_status read_count(resp_reader *reader, const char *bytes, size_t size,
                                     size_t *at, char mark, int64_t *ret) {
    size_t end = read_usual_count(bytes, size, *at, mark, ret);
    if (!end)
        return read_odd_count(reader, bytes, size, at, mark, ret);
    *at = end;
    return RESP_REQUEST;
}

/* Walks on from progress->position; `keep` appends the arguments it meets to the reader. */
static resp_status walk(resp_reader *reader, char *bytes, size_t size, resp_progress *progress,
                        bool keep) {
    size_t at = progress->position;
    int64_t length;
    while (progress->remaining > 0) {
        progress->position = at;
        progress->needed = size + 1;
        if (at == size)
            return RESP_MORE;
        resp_status status = read_count(reader, bytes, size, &at, '$', &length);
        if (status != RESP_REQUEST)
            return status;
        if (length < 0 || (uint64_t)length > reader->bulk_max)
            return fail(reader, "invalid bulk length");
        if (size - at < (size_t)length + 2) {
            progress->needed = at + (size_t)length + 2;
            return RESP_MORE;
        }
        if (keep && !resp_add_arg(reader, bytes + at, (size_t)length))
            return RESP_NO_MEMORY;
        at += (size_t)length + 2;
        progress->remaining--;
    }
    progress->position = at;
    return RESP_REQUEST;
}

/* Reads the number of arguments. */
static resp_status begin(resp_reader *reader, const char *bytes, size_t size,
                         resp_progress *progress) {
    int64_t count;
    size_t at = 0;
    progress->needed = size + 1;
    resp_status status = read_count(reader, bytes, size, &at, '*', &count);
    if (status != RESP_REQUEST)
        return status;
    if (count > INT_MAX)
        return fail(reader, "invalid multibulk length");
    progress->position = at;
    progress->remaining = count;
    return RESP_REQUEST;
}

static resp_status parse_multibulk(resp_reader *reader, char *bytes, size_t size,
                                   resp_progress *progress) {
    if (progress->position > 0) {
        resp_status status = walk(reader, bytes, size, progress, false);
        if (status != RESP_REQUEST)
            return status;
        *progress = (resp_progress){0};
    }
    resp_status status = begin(reader, bytes, size, progress);
    return status == RESP_REQUEST ? walk(reader, bytes, size, progress, true) : status;
}

static resp_status parse_inline(resp_reader *reader, char *bytes, size_t size,
                                resp_progress *progress) {
    size_t seen = progress->position;
    char *newline = memchr(bytes + seen, '\n', size - seen);
    if (!newline) {
        progress->position = size;
        progress->needed = size + 1;
        return size > RESP_LINE_MAX ? fail(reader, "too big inline request") : RESP_MORE;
    }
    size_t line_size = (size_t)(newline - bytes);
    progress->position = line_size + 1;
    if (line_size > 0 && bytes[line_size - 1] == '\r')
        line_size--;
    return resp_split_line(reader, bytes, line_size);
}

resp_status resp_parse(resp_reader *reader, char *bytes, size_t size, resp_progress *progress,
                       size_t *ret_consumed) {
    if (size == 0 || size < progress->needed)
        return RESP_MORE;
    size_t count = reader->count;
    resp_status status = resp_is_inline(bytes) ? parse_inline(reader, bytes, size, progress)
                                               : parse_multibulk(reader, bytes, size, progress);
    if (status == RESP_REQUEST)
        *ret_consumed = progress->position;
    else
        reader->count = count;
    if (status != RESP_MORE)
        *progress = (resp_progress){0};
    return status;
}
