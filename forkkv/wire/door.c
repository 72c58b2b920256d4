/* door.c -- the door's making and end, its listeners, and who comes in. */
#include "door.h"

#include <errno.h>
#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

/* Buffers of large requests and replies come and go by the tick. By default the allocator returns
 * such memory to the kernel at once and faults it in again for the next: most of what they cost. */
static void keep_freed_memory(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 8 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20); /* bytes that stay with the process */
#endif
}

int door_init(door *self, const door_limits *limits, const door_hooks *hooks) {
    *self = (door){.limits = *limits, .hooks = *hooks};
    for (size_t i = 0; i < DOOR_LANES; i++)
        self->lanes[i].reader.bulk_max = limits->bulk_max;
    door_use_none(self);
    self->stopwatch = stopwatch_init();
    hot_init();
    keep_freed_memory();
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return self->epoll_fd < 0 ? -1 : 0;
}

void door_deinit(door *self) {
    for (size_t fd = 0; fd < self->connections.capacity; fd++)
        if (self->connections.by_fd[fd]) {
            close((int)fd);
            door_count(self, FKV_COUNT_close, 1);
        }
    connection_table_deinit(&self->connections);
    door_count_connections(self);
    close(self->epoll_fd);
    door_count(self, FKV_COUNT_close, 1);
    for (size_t i = 0; i < DOOR_LANES; i++) {
        resp_reader_deinit(&self->lanes[i].reader);
        buffer_deinit(&self->lanes[i].lent);
    }
    buffer_deinit(&self->reply.bytes);
    buffer_deinit(&self->scratch);
}

void door_use(door *self, fkv_table *table) {
    fkv_activity *activity = fkv_own_activity(table);
    self->table = table;
    self->activity = activity ? activity : &self->uncounted;
}

void door_use_none(door *self) {
    self->table = NULL;
    self->activity = &self->uncounted;
}

/* ---- listeners ------------------------------------------------------------------------------- */

static int change_listener(door *self, int change, int listener) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE,
                                .data.u64 = connection_id(0, listener)};
    door_count(self, FKV_COUNT_epoll_ctl, 1);
    return epoll_ctl(self->epoll_fd, change, listener, &event);
}

int door_listen(door *self, int listener) {
    return change_listener(self, EPOLL_CTL_ADD, listener);
}

int door_unlisten(door *self, int listener) {
    return change_listener(self, EPOLL_CTL_DEL, listener);
}

/* ---- who comes in ---------------------------------------------------------------------------- */

/* 1, 0 when there is nobody (any more), or -1 with errno. */
static int accept_one(door *self, int listener, int *ret_fd) {
    *ret_fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    door_count(self, FKV_COUNT_accept4, 1);
    if (*ret_fd >= 0)
        return 1;
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED && errno != EPROTO)
        return -1;
    door_count(self, FKV_COUNT_accept_empty, 1);
    return 0;
}

static void close_socket(door *self, int fd) {
    int cause = errno;
    close(fd);
    door_count(self, FKV_COUNT_close, 1);
    errno = cause;
}

int door_accept(door *self, int listener, connection **ret) {
    int fd, accepted = accept_one(self, listener, &fd);
    if (accepted <= 0)
        return accepted;
    *ret = connection_add(&self->connections, fd);
    if (!*ret) {
        errno = ENOMEM;
        close_socket(self, fd);
        return -1;
    }
    if (door_add(self, *ret) < 0) {
        connection_remove(&self->connections, *ret);
        close_socket(self, fd);
        return -1;
    }
    door_count(self, FKV_COUNT_accepted, 1);
    door_count_connections(self);
    return 1;
}

int door_reject(door *self, int listener, const char *error, size_t size) {
    int fd, accepted = accept_one(self, listener, &fd);
    if (accepted <= 0)
        return accepted;
    ssize_t written = write(fd, error, size); /* whether it arrives is the client's concern */
    door_count(self, FKV_COUNT_write, 1);
    door_count(self, FKV_COUNT_bytes_out, written > 0 ? (uint64_t)written : 0);
    close_socket(self, fd);
    door_count(self, FKV_COUNT_rejected, 1);
    return 1;
}
