/* door.h -- a worker's network door: its listeners, its connections, and one epoll for them all.
 *
 * The caller owns the loop. One pass is a tick:
 *
 *     door_wait(door, timeout_ms);     the only call that may sleep
 *     door_use(door, table);
 *     door_serve(door);                reads, runs, writes; tells the caller by its hooks
 *
 * What the hot table answers is answered inside door_serve(). A command outside it stops its
 * connection: the caller answers with door_answer(), and what the client sent behind it runs then,
 * so that replies keep their order. Hooks must not call back into the door.
 *
 * Every system call is counted in this process's activity. All descriptors are CLOEXEC and
 * non-blocking; the process is expected to ignore SIGPIPE. */
#ifndef FORKKV_DOOR_H
#define FORKKV_DOOR_H

#include <sys/epoll.h>

#include "batch.h"
#include "connection.h"
#include "fkv.h"
#include "reply.h"
#include "stopwatch.h"

#define DOOR_EVENTS 256 /* taken from epoll in one tick */
#define DOOR_LANES 16   /* connections whose requests are made ready together */

typedef struct door_limits {
    size_t query_max;        /* bytes of one unfinished request */
    size_t bulk_max;         /* bytes of one argument */
    size_t reply_max;        /* bytes of replies that a slow reader may leave unread */
    size_t reply_paused;     /* above this many unread, a connection's commands wait */
} door_limits;
#define DOOR_LIMITS_DEFAULT                                                                        \
    ((door_limits){(size_t)1 << 30, (size_t)512 << 20, (size_t)256 << 20, (size_t)1 << 20})

/* What the caller is told. */
typedef struct door_hooks {
    void *context;
    void (*acceptable)(void *context, int listener); /* door_accept() it */
    void (*command)(void *context, uint64_t id, const resp_arg *args, size_t count);
    void (*closed)(void *context, uint64_t id, const char *reason);
} door_hooks;

typedef struct door {
    int epoll_fd;
    bool draining;
    struct epoll_event events[DOOR_EVENTS]; /* of the last wait */
    int ready;                              /* how many */
    door_limits limits;
    door_hooks hooks;
    connection_table connections;
    fkv_table *table;
    fkv_activity *activity; /* own, or `uncounted` while there is none */
    fkv_activity uncounted;
    stopwatch stopwatch;
    batch lanes[DOOR_LANES];
    reply reply;    /* of the connection whose requests run; mostly sent and emptied at once */
    buffer scratch; /* of one command */
} door;

/* 0, or -1 with errno. After a failure the door owns nothing. */
int door_init(door *self, const door_limits *limits, const door_hooks *hooks);

/* Closes every connection, without a word to the hooks, and the epoll. The counts go to the table
 * of the last door_use(), which must be open still, or call door_use_none() first. */
void door_deinit(door *self);

/* Names the table for what follows; to be called again after anything that may have closed it,
 * forked, or enrolled the process anew. */
void door_use(door *self, fkv_table *table);
void door_use_none(door *self); /* it was closed */

/* Watches a listener, shared with other processes: one of them is woken (EPOLLEXCLUSIVE). What it
 * accepts has its options, such as TCP_NODELAY. 0, or -1 with errno. */
int door_listen(door *self, int listener);
int door_unlisten(door *self, int listener);

/* Waits for at most `timeout_ms` (-1: for ever). Returns the number of events, 0 also when a
 * signal came, or -1 with errno. */
int door_wait(door *self, int timeout_ms);

/* Serves the events of the last wait. */
void door_serve(door *self);

/* Accepts one connection. 1 and *ret; 0: nobody is waiting; -1 with errno, EMFILE for one, where
 * the listener stays readable: stop watching it for a while. */
int door_accept(door *self, int listener, connection **ret);

/* Accepts one connection only to send it `error` (protocol) and close it. As door_accept(). */
int door_reject(door *self, int listener, const char *error, size_t size);

/* Appends the reply a stopped connection waits for, and runs the rest of what it sent. */
void door_answer(door *self, connection *client, const char *reply, size_t size);

/* Ends a connection once its replies are sent; nothing more of it is read or run. */
void door_close(door *self, connection *client);

/* Reads no more from anybody. Returns how many connections still wait for replies. */
size_t door_drain(door *self);

/* ---- between the files of the door ----------------------------------------------------------- */

static inline void door_count(door *self, enum fkv_counter counter, uint64_t n) {
    fkv_count_up(self->activity, counter, n);
}

/* transfer.c: reads once, into `lent` or the connection's own buffer. Returns the one that now
 * holds all that the client sent and that is not run yet, or NULL: nothing came, and the connection
 * may be over. */
buffer *door_receive(door *self, connection *client, buffer *lent);

/* Keeps what batch_run() left of that buffer. */
void door_keep(door *self, connection *client, buffer *query);

/* Sends what replies there are, old ones first. What the socket does not take waits. */
void door_send(door *self, connection *client);

/* tick.c: begins and ends work on a connection. In between its replies gather in `reply`; the end
 * sends them, then closes the connection if it is over, or asks epoll for what it waits for:
 * `client` may be gone afterwards. */
void door_begin(door *self, const connection *client);
void door_end(door *self, connection *client);

/* Watches a new connection. 0, or -1 with errno. */
int door_add(door *self, connection *client);

static inline void door_count_connections(door *self) {
    __atomic_store_n(&self->activity->counts[FKV_COUNT_connections], self->connections.count,
                     __ATOMIC_RELAXED);
}

#endif
