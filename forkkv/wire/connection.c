/* connection.c -- the table of connections. */
#include "connection.h"

#include <stdlib.h>

static bool make_place(connection_table *table, size_t fd) {
    if (fd < table->capacity)
        return true;
    size_t capacity = table->capacity ? table->capacity : 64;
    while (capacity <= fd)
        capacity *= 2;
    connection **by_fd = realloc(table->by_fd, capacity * sizeof *by_fd);
    if (!by_fd)
        return false;
    memset(by_fd + table->capacity, 0, (capacity - table->capacity) * sizeof *by_fd);
    table->by_fd = by_fd;
    table->capacity = capacity;
    return true;
}

connection *connection_add(connection_table *table, int fd) {
    connection *self = make_place(table, (size_t)fd) ? calloc(1, sizeof *self) : NULL;
    if (!self)
        return NULL;
    if (++table->serial == 0)
        table->serial = 1;
    self->id = connection_id(table->serial, fd);
    self->fd = fd;
    self->protocol = 2;
    table->by_fd[fd] = self;
    table->count++;
    return self;
}

void connection_remove(connection_table *table, connection *self) {
    table->by_fd[self->fd] = NULL;
    table->count--;
    buffer_deinit(&self->query);
    buffer_deinit(&self->unsent);
    free(self);
}

connection *connection_find(const connection_table *table, uint64_t id) {
    size_t fd = (uint32_t)id;
    connection *self = fd < table->capacity ? table->by_fd[fd] : NULL;
    return self && self->id == id ? self : NULL;
}

void connection_table_deinit(connection_table *table) {
    for (size_t fd = 0; fd < table->capacity; fd++)
        if (table->by_fd[fd])
            connection_remove(table, table->by_fd[fd]);
    free(table->by_fd);
    *table = (connection_table){0};
}
