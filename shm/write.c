/* write.c -- storing and removing one key: compose privately, lock, store one slot, unlock. */
#include "internal.h"

/* ---- composing ------------------------------------------------------------------------------ */

uint64_t fkv_value_max(const fkv_table *table) {
    const fkv_geometry *g = &table->geometry;
    uint64_t least_other = g->index_off + (uint64_t)g->partition_count * FKV_KERNEL_PAGE;
    uint64_t segments = (g->memory_bytes - least_other) >> table->segment_shift;
    uint64_t bytes = (segments - g->reserve_segments) / 16 * 15 * table->segment_bytes;
    uint64_t most = UINT32_MAX - FKV_KEY_MAX - 64;
    return (bytes < most ? bytes : most) - FKV_KEY_MAX - 16;
}

fkv_item *fkv_compose(fkv_table *table, const fkv_key *key, uint64_t value_size,
                      int64_t expires_at_ms, enum fkv_room kind, fkv_status *ret_status) {
    if (value_size > fkv_value_max(table)) {
        *ret_status = FKV_TOO_BIG;
        return NULL;
    }
    bool expires = expires_at_ms != 0;
    fkv_item *item = fkv_append_room(table, fkv_item_bytes(key->size, value_size, expires),
                                     fkv_queue_for(table, key), kind, ret_status);
    if (item == NULL) {
        fkv_count_up(table->own, FKV_COUNT_refused, 1);
        return NULL;
    }
    table->holds_items = true;
    *item = (fkv_item){(uint32_t)value_size, (uint16_t)key->size, (uint8_t)key->database,
                       expires ? FKV_ITEM_EXPIRES : 0};
    if (expires)
        memcpy(item + 1, &expires_at_ms, sizeof expires_at_ms);
    memcpy((char *)fkv_item_key(item), key->data, key->size);
    return item;
}

uint64_t fkv_item_slot(const fkv_table *table, const fkv_item *item, const fkv_key *key) {
    uint64_t offset = (uint64_t)((const uint8_t *)item - table->base);
    return offset >> 3 | fkv_slot_match(key) |
           (item->flags & FKV_ITEM_EXPIRES ? FKV_SLOT_EXPIRES : 0);
}

/* Publishes `item` in place of `found`, or in a new slot if that is not there. */
fkv_status fkv_publish_locked(fkv_table *table, const fkv_key *key, const fkv_found *found,
                                 bool there, const fkv_item *item) {
    fkv_status status = FKV_OK;
    fkv_partition *partition = found->partition;
    _Atomic uint64_t *slot_at =
        there ? found->slot_at : fkv_place_locked(table, key, partition, &status);
    if (slot_at != NULL)
        fkv_slot_store_locked(table, partition, slot_at, fkv_item_slot(table, item, key),
                              key->hash);
    if (there && fkv_evicts(table))
        fkv_count_access(slot_at);
    return status;
}

void fkv_remove_locked(fkv_table *table, const fkv_key *key, const fkv_found *found) {
    fkv_slot_store_locked(table, found->partition, found->slot_at, 0, key->hash);
}

/* Near the limit only what replaces at least as much is let in. Others may replace it at the same
 * time: in lasting doubt the key is there, and of that size. */
static bool replaces_as_much(fkv_table *table, const fkv_key *key, uint64_t bytes) {
    fkv_found found;
    for (int tries = 0; tries < 8 * FKV_READ_TRIES; tries++) {
        enum fkv_search search = fkv_search_racy(table, key, &found);
        if (search == FKV_SEARCH_MISS)
            return false;
        uint64_t before =
            fkv_item_bytes(key->size, found.value_size, found.slot & FKV_SLOT_EXPIRES);
        if (search == FKV_SEARCH_HIT && fkv_still_valid(table, &found))
            return before >= bytes;
    }
    return true;
}

/* fkv_compose, once more as a replacement if growing was refused. */
fkv_item *fkv_compose_any(fkv_table *table, const fkv_key *key, uint64_t value_size,
                         int64_t expires_at_ms, fkv_status *ret_status) {
    fkv_item *item = fkv_compose(table, key, value_size, expires_at_ms, FKV_ROOM_GROW, ret_status);
    if (item == NULL && *ret_status == FKV_FULL &&
        replaces_as_much(table, key, fkv_item_bytes(key->size, value_size, expires_at_ms != 0)))
        item = fkv_compose(table, key, value_size, expires_at_ms, FKV_ROOM_REPLACE, ret_status);
    return item;
}

/* ---- set ------------------------------------------------------------------------------------ */

static fkv_status set_locked(fkv_table *table, fkv_set_request *request) {
    fkv_found found;
    bool there = fkv_search_locked(table, request->key, &found);
    bool lives = there && !fkv_expired(found.expires_at_ms);
    request->existed = lives;
    if (lives && request->old != NULL && !fkv_take_value(table, &found, request->old))
        return FKV_SYSTEM;
    if (((request->flags & FKV_NX) && lives) || ((request->flags & FKV_XX) && !lives))
        return FKV_UNMET;
    if (request->item != NULL)
        return fkv_publish_locked(table, request->key, &found, there, request->item);
    if (there)
        fkv_remove_locked(table, request->key, &found);
    return FKV_OK;
}

static fkv_status lock_and_set(fkv_table *table, fkv_set_request *request) {
    fkv_partition *partition = fkv_partition_of(table, request->key->hash);
    fkv_status status;
    int tries = 0;
    do {
        if ((status = fkv_partition_lock(table, partition)) != FKV_OK)
            break;
        status = set_locked(table, request);
        fkv_partition_unlock(table, partition);
    } while (fkv_make_index_room(table, status, &tries));
    if (status != FKV_OK && request->item != NULL)
        fkv_append_undo(table, request->item);
    return status;
}

static fkv_status set_composed(fkv_table *table, fkv_set_request *request, const void *value,
                               size_t value_size, int64_t expires_at_ms) {
    fkv_status status;
    if (!fkv_expired(expires_at_ms)) {
        fkv_item *item = fkv_compose_any(table, request->key, value_size, expires_at_ms, &status);
        if (item == NULL)
            return status;
        if (value_size > 0)
            memcpy((char *)fkv_item_value(item), value, value_size);
        fkv_append_done(table, item, expires_at_ms);
        request->item = item;
    }
    return lock_and_set(table, request);
}

fkv_status fkv_set(fkv_table *table, const fkv_key *key, const void *value, size_t value_size,
                   unsigned flags, int64_t expires_at_ms, fkv_sink *old, bool *ret_existed) {
    fkv_set_request request = {key, NULL, flags, old, false};
    fkv_status status = fkv_check_key(key);
    if (status == FKV_OK)
        status = fkv_write_begin_at(table, fkv_partition_of(table, key->hash));
    if (status != FKV_OK)
        return status;
    status = flags & FKV_KEEP_TTL
                 ? fkv_set_keeping_ttl(table, &request, value, value_size)
                 : set_composed(table, &request, value, value_size, expires_at_ms);
    fkv_append_settle(table);
    if (status == FKV_OK)
        fkv_count_up(table->own, FKV_COUNT_sets, 1);
    fkv_write_end(table);
    if (ret_existed != NULL)
        *ret_existed = request.existed;
    return status;
}

fkv_status fkv_delete(fkv_table *table, const fkv_key *key, fkv_sink *old) {
    fkv_partition *partition = fkv_partition_of(table, key->hash);
    fkv_found found;
    fkv_status status = fkv_check_key(key);
    if (status == FKV_OK)
        status = fkv_write_begin_at(table, partition);
    if (status != FKV_OK)
        return status;
    status = fkv_partition_lock(table, partition);
    if (status == FKV_OK) {
        bool there = fkv_search_locked(table, key, &found);
        bool lives = there && !fkv_expired(found.expires_at_ms);
        status = lives ? FKV_OK : FKV_MISS;
        if (lives && old != NULL && !fkv_take_value(table, &found, old))
            status = FKV_SYSTEM;
        if (there && status != FKV_SYSTEM)
            fkv_remove_locked(table, key, &found);
        fkv_partition_unlock(table, partition);
    }
    if (status == FKV_OK)
        fkv_count_up(table->own, FKV_COUNT_deletes, 1);
    fkv_write_end(table);
    return status;
}
