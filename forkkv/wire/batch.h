/* batch.h -- a run of complete requests of one connection, made ready before they are executed. */
#ifndef FORKKV_BATCH_H
#define FORKKV_BATCH_H

#include "hot.h"

#define BATCH_MAX 32

typedef struct batch_entry {
    const hot_command *command;
    size_t first_arg, count; /* its arguments, in the reader */
    size_t size;             /* bytes of the request */
    fkv_key key;             /* of the first argument, if the command has a key */
} batch_entry;

typedef struct batch {
    connection *client;
    buffer *query; /* its requests: `lent` or the connection's own; NULL: nothing to run */
    buffer lent;   /* read into, and mostly emptied again within the tick */
    resp_reader reader;
    resp_status status; /* what the last look at `query` said */
    batch_entry entries[BATCH_MAX];
    size_t count;
} batch;

struct door;

/* Parses what `query` holds, up to BATCH_MAX requests, makes their keys, and asks the memory for
 * the buckets of those keys. */
void batch_prepare(struct door *door, batch *self);

/* Asks for the items as well: best when the buckets have had time to come. */
void batch_prefetch(const struct door *door, const batch *self);

/* Executes what was prepared, then whatever else `query` holds, until there is no complete request,
 * or the connection stops, pauses or ends. */
void batch_run(struct door *door, batch *self);

#endif
