/* resp.h -- requests out of bytes: RESP multibulk and inline commands, without I/O.
 *
 * resp_parse() looks at the bytes at hand and says one of: a request, more bytes are needed, or the
 * client breaks the protocol. It keeps nothing of its own. The arguments point into the caller's
 * bytes; what is remembered of an unfinished request is a resp_progress, so that a request that
 * comes in many pieces is walked through twice at most.
 *
 *     while (resp_parse(&reader, bytes, size, &progress, &used) == RESP_REQUEST) {
 *         run(reader.args, reader.count);
 *         reader.count = 0, bytes += used, size -= used;
 *     } */
#ifndef FORKKV_RESP_H
#define FORKKV_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESP_LINE_MAX ((size_t)64 << 10) /* bytes of an inline command, or of a count */
#define RESP_ERROR_SIZE 64

typedef enum resp_status {
    RESP_REQUEST,   /* complete; one without any argument is to be skipped */
    RESP_MORE,      /* the bytes end inside a request */
    RESP_ERROR,     /* a protocol error: its text is in the reader */
    RESP_NO_MEMORY, /* for the arguments */
} resp_status;

typedef struct resp_arg {
    char *data;
    size_t size;
} resp_arg;

/* What one reader of requests owns: the arguments found so far, which grow as needed and may be
 * reset by count = 0, and the text of the last error. All zeros to start with. */
typedef struct resp_reader {
    resp_arg *args;
    size_t count, capacity;
    size_t bulk_max; /* bytes allowed in one argument */
    char error[RESP_ERROR_SIZE];
} resp_reader;

/* Of a request whose end was not there yet: all zeros before its first byte. Sizes count from that
 * byte, so the bytes may move in memory. */
typedef struct resp_progress {
    size_t position;   /* all before it is known to be well formed */
    size_t needed;     /* with fewer bytes than this, another look is of no use */
    int64_t remaining; /* arguments still to come at `position` */
} resp_progress;

/* Parses the request that starts at bytes[0]. RESP_REQUEST appends its arguments to reader->args,
 * sets *ret_consumed; otherwise reader->count stays. Only RESP_MORE leaves `progress` set. Inline
 * arguments with quotes are unescaped in place, so such a request must be used before its bytes are
 * parsed again; resp_is_inline() tells. */
resp_status resp_parse(resp_reader *reader, char *bytes, size_t size, resp_progress *progress,
                       size_t *ret_consumed);

static inline bool resp_is_inline(const char *bytes) {
    return bytes[0] != '*';
}

bool resp_grow_args(resp_reader *reader); /* false without memory */

/* Appends one argument. False without memory. */
static inline bool resp_add_arg(resp_reader *reader, char *data, size_t size) {
    if (reader->count == reader->capacity && !resp_grow_args(reader))
        return false;
    reader->args[reader->count++] = (resp_arg){data, size};
    return true;
}

/* resp_inline.c: splits one line, its end not included, into arguments as a shell would: spaces
 * separate, "..." knows \n \r \t \b \a \xHH, '...' knows \'. RESP_REQUEST, RESP_ERROR or
 * RESP_NO_MEMORY. */
resp_status resp_split_line(resp_reader *reader, char *line, size_t size);

void resp_reader_deinit(resp_reader *reader);

#endif
