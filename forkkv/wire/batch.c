/* batch.c -- parses a run of requests, brings their keys into the cache, executes them in order.
 *
 * A key costs two cache misses, its bucket and its item. Asking for those of many requests before
 * the first command runs lets them overlap. */
#include "door.h"

/* Whatever is not executed after all is parsed again, which an inline request does not survive
 * (its quotes are gone): it is a batch of its own. A command from outside the hot table ends its
 * batch, because it stops the connection. */
static void gather(batch *self) {
    resp_reader *reader = &self->reader;
    const buffer *query = self->query;
    size_t at = query->start;
    bool last = false;
    reader->count = self->count = 0;
    while (self->count < BATCH_MAX && !last) {
        self->status = RESP_MORE;
        if (at == query->end)
            return;
        char *bytes = query->data + at;
        bool is_inline = resp_is_inline(bytes);
        if (is_inline && self->count > 0)
            return;
        batch_entry *entry = &self->entries[self->count];
        entry->first_arg = reader->count;
        self->status = resp_parse(reader, bytes, query->end - at, &self->client->progress,
                                  &entry->size);
        if (self->status != RESP_REQUEST)
            return;
        const resp_arg *name = &reader->args[entry->first_arg];
        entry->count = reader->count - entry->first_arg;
        entry->command = entry->count ? hot_find(name->data, name->size) : NULL;
        at += entry->size;
        self->count++;
        last = is_inline || (entry->count > 0 && !entry->command);
    }
}

static inline bool has_key(const batch_entry *entry) {
    return entry->command && entry->command->first_key && entry->count > 1;
}

void batch_prepare(door *door, batch *self) {
    gather(self);
    for (size_t i = 0; i < self->count; i++) {
        batch_entry *entry = &self->entries[i];
        if (!has_key(entry))
            continue;
        const resp_arg *arg = &self->reader.args[entry->first_arg + 1];
        entry->key = fkv_make_key(door->table, self->client->database, arg->data, arg->size);
        fkv_prefetch_slot(door->table, &entry->key);
    }
}

void batch_prefetch(const door *door, const batch *self) {
    for (size_t i = 0; i < self->count; i++)
        if (has_key(&self->entries[i]))
            fkv_prefetch_item(door->table, &self->entries[i].key);
}

static inline void add_to(uint64_t *cell, uint64_t n) {
    __atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static void count_command(door *door, const hot_command *command, uint64_t ns) {
    fkv_command_count *row = &door->activity->commands[command - hot_commands];
    add_to(&row->calls, 1);
    add_to(&row->ns, ns);
    door_count(door, FKV_COUNT_commands, 1);
    if (door->reply.failed) {
        add_to(&row->failed, 1);
        door_count(door, FKV_COUNT_errors, 1);
    }
}

static void execute(door *door, batch *self, batch_entry *entry) {
    connection *client = self->client;
    hot_call call = {
        .table = door->table,
        .client = client,
        .out = &door->reply,
        .scratch = &door->scratch,
        .command = entry->command,
        .args = &self->reader.args[entry->first_arg],
        .count = entry->count,
        .key = &entry->key,
    };
    door->reply.failed = false;
    if (!hot_arity_fits(entry->command, entry->count)) {
        hot_fail_arity(&call);
        return;
    }
    if (has_key(entry) && entry->key.database != client->database) /* after a SELECT */
        entry->key = hot_make_key(&call, &call.args[1]);
    client->last = entry->command;
    client->commands++;
    entry->command->run(&call);
}

/* Stops the connection at a command that is not hot. Browsers can be made to send requests to any
 * port; what looks like HTTP is not answered. */
static void stop_at(door *door, batch *self, const batch_entry *entry) {
    const resp_arg *args = &self->reader.args[entry->first_arg];
    if (hot_is_word(args, "post") || hot_is_word(args, "host:")) {
        self->client->broken = CLOSED_CROSS_PROTOCOL;
        return;
    }
    self->client->stopped = true;
    door->hooks.command(door->hooks.context, self->client->id, args, entry->count);
}

static inline bool may_run(const door *door, const connection *client) {
    return !client->stopped && !client->paused && !client->closing && !client->broken &&
           !door->reply.broken;
}

/* Keeps a client that does not read its replies from filling memory with them. */
static void pause_if_unread(door *door, connection *client) {
    size_t most = door->limits.reply_paused;
    if (buffer_size(&door->reply.bytes) + buffer_size(&client->unsent) <= most)
        return;
    door_send(door, client);
    client->paused = buffer_size(&client->unsent) > most;
}

static void execute_all(door *door, batch *self) {
    uint64_t before = stopwatch_read(&door->stopwatch);
    for (size_t i = 0; i < self->count && may_run(door, self->client); i++) {
        batch_entry *entry = &self->entries[i];
        if (entry->command) {
            execute(door, self, entry);
            uint64_t after = stopwatch_read(&door->stopwatch);
            count_command(door, entry->command, stopwatch_ns(&door->stopwatch, after - before));
            before = after;
        } else if (entry->count > 0) {
            stop_at(door, self, entry);
        }
        buffer_consume(self->query, entry->size);
        pause_if_unread(door, self->client);
    }
}

static void refuse(door *door, batch *self) {
    door_count(door, FKV_COUNT_protocol_errors, 1);
    door_count(door, FKV_COUNT_errors, 1);
    reply_error(&door->reply, "ERR %s", self->reader.error);
    self->client->closing = CLOSED_PROTOCOL;
    buffer_truncate(self->query, 0);
}

void batch_run(door *door, batch *self) {
    while (self->count > 0) {
        execute_all(door, self);
        if (!may_run(door, self->client)) {
            self->client->progress = (resp_progress){0}; /* was of what follows the batch */
            return;
        }
        batch_prepare(door, self);
        batch_prefetch(door, self);
    }
    if (self->status == RESP_ERROR)
        refuse(door, self);
    else if (self->status == RESP_NO_MEMORY)
        self->client->broken = CLOSED_NO_MEMORY;
}
