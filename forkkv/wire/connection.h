/* connection.h -- one client's connection, and the table of all of them by file descriptor. */
#ifndef FORKKV_CONNECTION_H
#define FORKKV_CONNECTION_H

#include <stdint.h>

#include "buffer.h"
#include "closed.h"
#include "resp.h"

struct hot_command;

typedef struct connection {
    uint64_t id; /* see connection_id() */
    int fd;
    int protocol;      /* 2 or 3 */
    unsigned database;
    uint32_t watched;  /* epoll events asked for; 0: not in the epoll set */
    bool stopped;      /* at a command that waits for an answer from outside the hot table */
    bool paused;       /* too many replies are unread: nothing is run or read until they are sent */
    const char *closing; /* why it is to be closed once its replies are sent, or NULL */
    const char *broken;  /* why it is to be closed at once, or NULL */
    buffer query;      /* read, not yet run; mostly empty, see door_receive() */
    buffer unsent;     /* replies that the socket did not take yet */
    resp_progress progress; /* of the request that `query` ends within */
    uint64_t commands; /* run so far */
    const struct hot_command *last; /* the last one; NULL: answered from outside */
} connection;

/* Connections by file descriptor: descriptors are small and dense. */
typedef struct connection_table {
    connection **by_fd;
    size_t capacity, count;
    uint32_t serial; /* of the last connection */
} connection_table;

/* Adds a connection for `fd`. NULL without memory. */
connection *connection_add(connection_table *table, int fd);

/* Forgets and frees it. Its descriptor is the caller's to close. */
void connection_remove(connection_table *table, connection *self);

/* The id is never used again within the process, while the descriptor in its low half soon is: what
 * holds an old id finds nothing. */
static inline uint64_t connection_id(uint32_t serial, int fd) {
    return (uint64_t)serial << 32 | (uint32_t)fd;
}

/* What epoll returns for a listener, which is no connection. */
static inline bool connection_is_listener(uint64_t id) {
    return id >> 32 == 0;
}

/* NULL: closed, or never was. */
connection *connection_find(const connection_table *table, uint64_t id);

/* Frees the table and every connection left in it. */
void connection_table_deinit(connection_table *table);

#endif
