/* resp_inline.c -- splits an inline command into arguments, quotes and escapes included. */
#include "resp.h"

#include <string.h>

/* The line is rewritten as it is read: unescaping never makes it longer, so `write` never passes
 * `read`. */
typedef struct line {
    char *read, *write;
    const char *end;
} line;

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char escaped(char c) {
    switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
    }
}

/* `read` stands on a backslash within double quotes. */
static void take_escape(line *self) {
    char *c = self->read;
    if (self->end - c >= 4 && c[1] == 'x' && hex_digit(c[2]) >= 0 && hex_digit(c[3]) >= 0) {
        *self->write++ = (char)(hex_digit(c[2]) * 16 + hex_digit(c[3]));
        self->read += 4;
    } else if (self->end - c >= 2) {
        *self->write++ = escaped(c[1]);
        self->read += 2;
    } else {
        *self->write++ = *self->read++;
    }
}

/* `read` stands behind the opening quote. False: no closing one, or not at the argument's end. */
static bool take_quoted(line *self, char quote) {
    while (self->read < self->end) {
        char c = *self->read;
        if (c == quote) {
            self->read++;
            return self->read == self->end || is_space(*self->read);
        }
        bool quote_escaped = self->end - self->read >= 2 && self->read[1] == '\'';
        if (c == '\\' && quote == '"') {
            take_escape(self);
        } else {
            self->read += c == '\\' && quote_escaped;
            *self->write++ = *self->read++;
        }
    }
    return false;
}

/* Takes one argument; plain text may run into a quoted part, which then ends it. */
static bool take_arg(line *self) {
    while (self->read < self->end && !is_space(*self->read)) {
        char c = *self->read;
        if (c == '"' || c == '\'') {
            self->read++;
            return take_quoted(self, c);
        }
        *self->write++ = c;
        self->read++;
    }
    return true;
}

resp_status resp_split_line(resp_reader *reader, char *bytes, size_t size) {
    line self = {bytes, bytes, bytes + size};
    for (;;) {
        while (self.read < self.end && is_space(*self.read))
            self.read++;
        if (self.read == self.end)
            return RESP_REQUEST;
        char *arg = self.write;
        if (!take_arg(&self)) {
            strcpy(reader->error, "Protocol error: unbalanced quotes in request");
            return RESP_ERROR;
        }
        if (!resp_add_arg(reader, arg, (size_t)(self.write - arg)))
            return RESP_NO_MEMORY;
    }
}
