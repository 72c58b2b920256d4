/* get_many.c -- reading many keys as of one moment, without a lock if nobody interferes.
 *
 * Read each key, then confirm that none of the slots has changed since: all of it was true when the
 * first round ended. A miss is confirmed by a second search and by the partition's shape, which
 * goes up with every new key. A hit is confirmed by its slot, unless a commit is under way that
 * may have stored another of our keys already, and this one not yet. */
#include <stdlib.h>

#include "internal.h"

typedef struct get_many {
    const fkv_key *keys;
    fkv_sink **sinks;
    bool *found;
    fkv_found *items;
    size_t count;
} get_many;

/* Reads every key by itself. FKV_BUSY: interfered with. */
static fkv_status read_each(fkv_table *table, get_many *work) {
    for (size_t i = 0; i < work->count; i++) {
        fkv_found *item = &work->items[i];
        enum fkv_search search = fkv_search_racy(table, &work->keys[i], item);
        if (search == FKV_SEARCH_RETRY)
            return FKV_BUSY;
        work->found[i] = search == FKV_SEARCH_HIT && !fkv_expired(item->expires_at_ms);
        if (search == FKV_SEARCH_MISS)
            item->slot_at = NULL;
        else if (work->found[i] && !fkv_take_value(table, item, work->sinks[i]))
            return FKV_SYSTEM;
    }
    return FKV_OK;
}

static bool confirm_miss(const fkv_table *table, const fkv_key *key, const fkv_found *item) {
    fkv_found again;
    return fkv_search_racy(table, key, &again) == FKV_SEARCH_MISS && again.shape == item->shape;
}

/* Whether all of it was true at the moment read_each ended. */
static bool confirm_each(const fkv_table *table, const get_many *work) {
    for (size_t i = 0; i < work->count; i++) {
        const fkv_found *item = &work->items[i];
        if (item->slot_at != NULL ? !fkv_confirm_hit(table, item)
                                  : !confirm_miss(table, &work->keys[i], item))
            return false;
    }
    return true;
}

static fkv_status read_all_locked(fkv_table *table, get_many *work) {
    fkv_partition **partitions = malloc(work->count * sizeof *partitions);
    if (partitions == NULL)
        return FKV_SYSTEM;
    size_t count = work->count;
    fkv_status status = FKV_OK;
    for (size_t i = 0; i < count; i++) {
        partitions[i] = fkv_partition_of(table, work->keys[i].hash);
        if (status == FKV_OK)
            status = fkv_await_partition(table, partitions[i]);
    }
    if (status == FKV_OK)
        status = fkv_write_begin(table);
    if (status == FKV_OK) {
        status = fkv_lock_many(table, partitions, &count);
        bool locked = status == FKV_OK;
        for (size_t i = 0; status == FKV_OK && i < work->count; i++) {
            fkv_found *item = &work->items[i];
            work->found[i] = fkv_search_locked(table, &work->keys[i], item) &&
                             !fkv_expired(item->expires_at_ms);
            if (work->found[i] && !fkv_take_value(table, item, work->sinks[i]))
                status = FKV_SYSTEM;
        }
        if (locked)
            fkv_unlock_many(table, partitions, count);
        fkv_write_end(table);
    }
    free(partitions);
    return status;
}

static fkv_status get_all(fkv_table *table, get_many *work) {
    for (int tries = 0; tries < FKV_READ_TRIES; tries++) {
        fkv_status status = read_each(table, work);
        if (status == FKV_SYSTEM || (status == FKV_OK && confirm_each(table, work)))
            return status;
        fkv_count_up(table->own, FKV_COUNT_read_retries, 1);
    }
    fkv_count_up(table->own, FKV_COUNT_read_locked, 1);
    return read_all_locked(table, work);
}

fkv_status fkv_get_many(fkv_table *table, const fkv_key *keys, size_t count, fkv_sink **sinks,
                        bool *ret_found) {
    fkv_found few[32];
    fkv_status status = fkv_ready(table);
    for (size_t i = 0; status == FKV_OK && i < count; i++)
        status = fkv_check_key(&keys[i]);
    if (status != FKV_OK)
        return status;
    get_many work = {keys, sinks, ret_found, few, count};
    if (count > sizeof few / sizeof *few && (work.items = malloc(count * sizeof *few)) == NULL)
        return FKV_SYSTEM;
    status = get_all(table, &work);
    bool evicts = fkv_evicts(table);
    for (size_t i = 0; status == FKV_OK && i < count; i++) {
        fkv_count_up(table->own, ret_found[i] ? FKV_COUNT_hits : FKV_COUNT_misses, 1);
        if (evicts && ret_found[i])
            fkv_count_access(work.items[i].slot_at);
    }
    if (work.items != few)
        free(work.items);
    return status;
}
