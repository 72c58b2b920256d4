/* tick.c -- one pass of a worker: wait once, then for each ready connection read once, run what is
 * complete, write once. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "door.h"

#define REPLY_KEPT ((size_t)1 << 20) /* bytes of the shared reply buffer that stay allocated */

int door_wait(door *self, int timeout_ms) {
    int ready = epoll_wait(self->epoll_fd, self->events, DOOR_EVENTS, timeout_ms);
    self->ready = ready < 0 ? 0 : ready;
    return ready < 0 && errno != EINTR ? -1 : self->ready;
}

/* ---- what a connection waits for ------------------------------------------------------------- */

static int watch(door *self, connection *client, uint32_t events) {
    if (events == client->watched)
        return 0;
    struct epoll_event event = {.events = events, .data.u64 = client->id};
    int change = !client->watched ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    door_count(self, FKV_COUNT_epoll_ctl, 1);
    client->watched = events;
    return epoll_ctl(self->epoll_fd, change, client->fd, &event);
}

static bool may_read(const door *self, const connection *client) {
    return !client->stopped && !client->paused && !client->closing && !client->broken &&
           !self->draining;
}

static uint32_t wanted(const door *self, const connection *client) {
    if (client->stopped) /* mostly for an instant, not worth a system call */
        return client->watched;
    bool to_send = client->paused || buffer_size(&client->unsent) > 0; /* paused: to be resumed */
    return (may_read(self, client) ? EPOLLIN : 0) | (to_send ? EPOLLOUT : 0);
}

/* ---- work on one connection ------------------------------------------------------------------ */

void door_begin(door *self, const connection *client) {
    size_t waiting = buffer_size(&client->unsent), max = self->limits.reply_max;
    self->reply.size_max = waiting < max ? max - waiting : 0;
    self->reply.protocol = client->protocol;
    self->reply.broken = NULL;
}

static void close_connection(door *self, connection *client, const char *reason) {
    uint64_t id = client->id;
    close(client->fd);
    door_count(self, FKV_COUNT_close, 1);
    if (strcmp(reason, CLOSED_QUERY_LIMIT) == 0)
        door_count(self, FKV_COUNT_query_limit_closed, 1);
    if (strcmp(reason, CLOSED_REPLY_LIMIT) == 0)
        door_count(self, FKV_COUNT_reply_limit_closed, 1);
    connection_remove(&self->connections, client);
    door_count_connections(self);
    self->hooks.closed(self->hooks.context, id, reason);
}

/* The answer to a stopped connection follows in an instant: one write for both. */
static void hold_replies(door *self, connection *client) {
    if (!buffer_move(&self->reply.bytes, &client->unsent))
        client->broken = CLOSED_NO_MEMORY;
}

void door_end(door *self, connection *client) {
    if (self->reply.broken && !client->broken)
        client->broken = self->reply.broken;
    if (!client->broken && client->stopped)
        hold_replies(self, client);
    else if (!client->broken)
        door_send(self, client);
    buffer_truncate(&self->reply.bytes, 0);
    buffer_shrink(&self->reply.bytes, REPLY_KEPT);
    if (client->broken)
        close_connection(self, client, client->broken);
    else if (client->closing && buffer_size(&client->unsent) == 0)
        close_connection(self, client, client->closing);
    else if (watch(self, client, wanted(self, client)) < 0)
        close_connection(self, client, strerror(errno));
}

/* Reads, or takes up what was left when the connection paused, and makes it ready to run. */
static void open_lane(door *self, batch *lane, connection *client, uint32_t events) {
    lane->client = client;
    lane->query = NULL;
    if ((events & ~(uint32_t)EPOLLIN) && buffer_size(&client->unsent))
        door_send(self, client);
    if (client->paused && buffer_size(&client->unsent) == 0) {
        client->paused = false;
        lane->query = &client->query;
    } else if ((events & ~(uint32_t)EPOLLOUT) && may_read(self, client)) {
        lane->query = door_receive(self, client, &lane->lent);
    }
    if (lane->query)
        batch_prepare(self, lane);
}

static void run_lane(door *self, batch *lane) {
    door_begin(self, lane->client);
    if (lane->query) {
        batch_run(self, lane);
        door_keep(self, lane->client, lane->query);
    }
    door_end(self, lane->client);
}

/* Opens a lane for the event if there is work on a connection. */
static bool take_event(door *self, batch *lane, const struct epoll_event *event) {
    connection *client = connection_find(&self->connections, event->data.u64);
    if (client && !client->stopped) {
        open_lane(self, lane, client, event->events);
        return true;
    }
    if (client) /* nobody answered yet: level-triggered, it would come again and again */
        watch(self, client, 0);
    else if (connection_is_listener(event->data.u64))
        self->hooks.acceptable(self->hooks.context, (int)event->data.u64);
    return false;
}

static void prefetch_lane(door *self, size_t i, size_t lanes) {
    if (i < lanes && self->lanes[i].query)
        batch_prefetch(self, &self->lanes[i]);
}

/* Several connections at a time: while one runs, the memory fetches what the next will touch. */
static void serve_events(door *self) {
    for (int taken = 0; taken < self->ready;) {
        size_t lanes = 0;
        while (lanes < DOOR_LANES && taken < self->ready)
            lanes += take_event(self, &self->lanes[lanes], &self->events[taken++]);
        prefetch_lane(self, 0, lanes);
        for (size_t i = 0; i < lanes; i++) {
            prefetch_lane(self, i + 1, lanes);
            run_lane(self, &self->lanes[i]);
        }
    }
    self->ready = 0;
}

void door_serve(door *self) {
    uint64_t before = stopwatch_read(&self->stopwatch);
    door_count(self, FKV_COUNT_epoll_wait, 1);
    serve_events(self);
    door_count(self, FKV_COUNT_ticks, 1);
    uint64_t steps = stopwatch_read(&self->stopwatch) - before;
    door_count(self, FKV_COUNT_tick_ns, stopwatch_ns(&self->stopwatch, steps));
    __atomic_store_n(&self->activity->heartbeat_ns, stopwatch_clock_ns(CLOCK_MONOTONIC),
                     __ATOMIC_RELAXED);
}

/* ---- from outside of a tick ------------------------------------------------------------------ */

int door_add(door *self, connection *client) {
    return watch(self, client, wanted(self, client));
}

void door_answer(door *self, connection *client, const char *reply, size_t size) {
    if (!client->stopped)
        return;
    door_begin(self, client);
    client->stopped = false;
    client->last = NULL;
    client->commands++;
    door_count(self, FKV_COUNT_commands, 1);
    if (size > 0 && reply[0] == '-')
        door_count(self, FKV_COUNT_errors, 1);
    reply_raw(&self->reply, reply, size);
    batch *lane = &self->lanes[0];
    lane->client = client;
    lane->query = &client->query;
    batch_prepare(self, lane);
    batch_run(self, lane);
    door_keep(self, client, lane->query);
    door_end(self, client);
}

void door_close(door *self, connection *client) {
    door_begin(self, client);
    client->stopped = false;
    client->closing = CLOSED_BY_SERVER;
    buffer_deinit(&client->query);
    door_end(self, client);
}

size_t door_drain(door *self) {
    size_t waiting = 0;
    self->draining = true;
    for (size_t fd = 0; fd < self->connections.capacity; fd++) {
        connection *client = self->connections.by_fd[fd];
        if (!client)
            continue;
        watch(self, client, wanted(self, client));
        waiting += client->stopped || client->paused || buffer_size(&client->unsent) > 0;
    }
    return waiting;
}
