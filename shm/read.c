/* read.c -- reading one key: lock-free, and under the lock for whoever was interfered with. */
#include "internal.h"

#define COPY_PIECE 16384

fkv_status fkv_check_key(const fkv_key *key) {
    if (key->size == 0 || key->size > FKV_KEY_MAX)
        return FKV_KEY_SIZE;
    return key->database < FKV_DATABASES ? FKV_OK : FKV_INVALID;
}

/* Copies the value's first `size` bytes, a piece at a time: once it is garbage it is not read on,
 * for its memory may have gone back to the kernel, and touching it would get it again. */
void fkv_copy_value(const fkv_table *table, const fkv_found *found, void *to, size_t size) {
    for (size_t at = 0; at < size && (at == 0 || fkv_still_valid(table, found)); at += COPY_PIECE)
        fkv_racy_copy((char *)to + at, found->value + at,
                      size - at < COPY_PIECE ? size - at : COPY_PIECE);
}

/* What a read does with a hit: copies something out. False refuses (no memory). */
typedef bool (*take_fn)(const fkv_table *table, const fkv_found *found, void *context);

bool fkv_take_value(const fkv_table *table, const fkv_found *found, void *context) {
    fkv_sink *sink = context;
    void *room = sink->room(sink, found->value_size);
    if (room != NULL)
        fkv_copy_value(table, found, room, found->value_size);
    return room != NULL;
}

static bool take_nothing(const fkv_table *table, const fkv_found *found, void *context) {
    (void)table, (void)found, (void)context;
    return true;
}

/* The way for readers that were interfered with: nothing moves under the lock. */
static fkv_status read_locked(fkv_table *table, const fkv_key *key, take_fn take, void *context,
                              fkv_found *found) {
    fkv_partition *partition = fkv_partition_of(table, key->hash);
    fkv_status status = fkv_write_begin_at(table, partition);
    if (status != FKV_OK)
        return status;
    status = fkv_partition_lock(table, partition);
    if (status == FKV_OK) {
        fkv_count_up(table->own, FKV_COUNT_read_locked, 1);
        if (!fkv_search_locked(table, key, found) || fkv_expired(found->expires_at_ms))
            status = FKV_MISS;
        else if (!take(table, found, context))
            status = FKV_SYSTEM;
        fkv_partition_unlock(table, partition);
    }
    fkv_write_end(table);
    return status;
}

/* Finds the key and takes from it; on FKV_OK and FKV_MISS the answer was true at one moment. */
static inline fkv_status read_key(fkv_table *table, const fkv_key *key, take_fn take,
                                  void *context, fkv_found *found) {
    fkv_status status = fkv_ready(table);
    if (status == FKV_OK)
        status = fkv_check_key(key);
    if (status != FKV_OK)
        return status;
    for (int tries = 0; tries < FKV_READ_TRIES; tries++) {
        enum fkv_search search = fkv_search_racy(table, key, found);
        if (search == FKV_SEARCH_MISS)
            return FKV_MISS;
        if (search == FKV_SEARCH_HIT) {
            bool expired = fkv_expired(found->expires_at_ms);
            bool taken = expired || take(table, found, context);
            if (!taken)
                return FKV_SYSTEM;
            if (__builtin_expect(fkv_still_valid(table, found), 1))
                return expired ? FKV_MISS : FKV_OK;
        }
        fkv_count_up(table->own, FKV_COUNT_read_retries, 1);
    }
    return read_locked(table, key, take, context, found);
}

static inline fkv_status count_hit(fkv_table *table, fkv_status status) {
    if (status == FKV_OK || status == FKV_MISS)
        fkv_count_up(table->own, status == FKV_OK ? FKV_COUNT_hits : FKV_COUNT_misses, 1);
    return status;
}

fkv_status fkv_get(fkv_table *table, const fkv_key *key, fkv_sink *sink) {
    fkv_found found;
    fkv_status status = read_key(table, key, fkv_take_value, sink, &found);
    if (status == FKV_OK && fkv_evicts(table))
        fkv_count_access(found.slot_at);
    return count_hit(table, status);
}

fkv_status fkv_size(fkv_table *table, const fkv_key *key, uint64_t *ret_size) {
    fkv_found found;
    fkv_status status = count_hit(table, read_key(table, key, take_nothing, NULL, &found));
    *ret_size = status == FKV_OK ? found.value_size : 0;
    return status;
}

fkv_status fkv_expiry(fkv_table *table, const fkv_key *key, int64_t *ret_at_ms) {
    fkv_found found;
    fkv_status status = count_hit(table, read_key(table, key, take_nothing, NULL, &found));
    *ret_at_ms = status == FKV_OK ? found.expires_at_ms : 0;
    return status;
}

/* A run costs its segments whole; the index, what it takes at present divided by its keys. */
fkv_status fkv_usage(fkv_table *table, const fkv_key *key, uint64_t *ret_bytes) {
    fkv_found found;
    fkv_status status = read_key(table, key, take_nothing, NULL, &found);
    *ret_bytes = 0;
    if (status != FKV_OK)
        return status;
    uint64_t bytes = fkv_item_bytes(key->size, found.value_size, found.slot & FKV_SLOT_EXPIRES);
    uint64_t segments = (bytes + table->segment_bytes - 1) >> table->segment_shift;
    uint64_t used = atomic_load_explicit(&found.partition->used, memory_order_relaxed);
    uint64_t index = atomic_load_explicit(&found.partition->index_bytes, memory_order_relaxed);
    *ret_bytes = (segments > 1 ? segments << table->segment_shift : bytes) +
                 index / (used > 0 ? used : 1);
    return FKV_OK;
}

fkv_status fkv_frequency(fkv_table *table, const fkv_key *key, unsigned *ret_count) {
    fkv_found found;
    fkv_status status = read_key(table, key, take_nothing, NULL, &found);
    unsigned count = 0;
    if (status == FKV_OK)
        count = atomic_load_explicit(fkv_access_of(found.slot_at), memory_order_relaxed);
    *ret_count = count < FKV_ACCESS_MAX ? count : status == FKV_OK ? FKV_ACCESS_MAX : 0;
    return status;
}
