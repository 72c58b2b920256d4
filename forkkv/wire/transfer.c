/* transfer.c -- moves bytes between sockets and buffers: one read, one write. */
#include <errno.h>
#include <unistd.h>

#include "door.h"

#define READ_SIZE ((size_t)16 << 10) /* of a buffer that is lent */
#define PIECE_MAX ((size_t)1 << 10)  /* bytes of an unfinished request worth copying back */
#define READ_MIN (READ_SIZE - PIECE_MAX)

/* ---- reading --------------------------------------------------------------------------------- */

/* Connections borrow a buffer for the instant, which the memory of many idle ones is thankful for;
 * only a large unfinished request gathers in the connection's own, where its bytes stay in place
 * until it runs. */
static buffer *choose_query(connection *client, buffer *lent) {
    buffer *own = &client->query;
    if (buffer_size(own) > PIECE_MAX || client->progress.needed > READ_SIZE)
        return own;
    if (!buffer_room(lent, READ_SIZE) || !buffer_move(own, lent))
        return NULL;
    buffer_shrink(own, 0);
    return lent;
}

static char *make_room(const connection *client, buffer *query) {
    size_t waiting = buffer_size(query), needed = client->progress.needed;
    size_t missing = needed > waiting ? needed - waiting : 0;
    return buffer_room(query, missing > READ_MIN ? missing : READ_MIN);
}

buffer *door_receive(door *self, connection *client, buffer *lent) {
    buffer *query = choose_query(client, lent);
    char *room = query ? make_room(client, query) : NULL;
    if (!room) {
        client->broken = CLOSED_NO_MEMORY;
        return NULL;
    }
    ssize_t size = read(client->fd, room, query->capacity - query->end);
    door_count(self, FKV_COUNT_read, 1);
    if (size > 0) {
        door_count(self, FKV_COUNT_bytes_in, (uint64_t)size);
        buffer_added(query, (size_t)size);
        return query;
    }
    if (size == 0)
        client->closing = CLOSED_BY_CLIENT;
    else if (errno == EAGAIN || errno == EINTR)
        door_count(self, FKV_COUNT_read_empty, 1);
    else
        client->broken = errno == ECONNRESET ? CLOSED_BY_CLIENT : strerror(errno);
    return NULL;
}

void door_keep(door *self, connection *client, buffer *query) {
    if (query != &client->query && !buffer_move(query, &client->query))
        client->broken = CLOSED_NO_MEMORY;
    size_t size = buffer_size(&client->query), needed = client->progress.needed;
    if (!client->broken && (size > needed ? size : needed) > self->limits.query_max)
        client->broken = CLOSED_QUERY_LIMIT;
    buffer_shrink(&client->query, needed);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_out(door *self, connection *client, buffer *out) {
    size_t size = buffer_size(out);
    ssize_t written = write(client->fd, buffer_bytes(out), size);
    door_count(self, FKV_COUNT_write, 1);
    if (written >= 0) {
        door_count(self, FKV_COUNT_bytes_out, (uint64_t)written);
        buffer_consume(out, (size_t)written);
    } else if (errno == EPIPE || errno == ECONNRESET) {
        client->broken = CLOSED_BY_CLIENT;
    } else if (errno != EAGAIN && errno != EINTR) {
        client->broken = strerror(errno);
    }
    if (written < (ssize_t)size && !client->broken)
        door_count(self, FKV_COUNT_write_partial, 1);
}

void door_send(door *self, connection *client) {
    buffer *fresh = &self->reply.bytes, *unsent = &client->unsent;
    if (buffer_size(unsent) && !buffer_move(fresh, unsent))
        client->broken = CLOSED_NO_MEMORY;
    buffer *out = buffer_size(unsent) ? unsent : fresh;
    if (!client->broken && buffer_size(out))
        write_out(self, client, out);
    if (!client->broken && !buffer_move(fresh, unsent))
        client->broken = CLOSED_NO_MEMORY;
    buffer_shrink(unsent, 0);
}
