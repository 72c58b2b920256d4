/* move.c -- emptying a segment: what lives in it is copied out, or evicted; the rest is garbage.
 *
 * Only the index knows what is live: an item lives if the slot of its key names it. An item that is
 * dead stays dead, so the walk needs the lock only to move, and never looks twice: `head.walked`
 * goes up behind it. So a segment can be emptied a little at a time, by whoever has time. */
#include "internal.h"

#define WALK_AHEAD 16

typedef struct walk_step {
    const fkv_item *item;
    fkv_key key;
} walk_step;

/* Copies `item` to our own segment of `queue`. NULL with *ret_status: no room. */
static fkv_item *copy_out(fkv_table *table, const fkv_item *item, int64_t expires_at_ms,
                          enum fkv_queue queue, fkv_status *ret_status) {
    uint64_t bytes = fkv_item_size(item);
    fkv_item *copy = fkv_append_room(table, bytes, queue, FKV_ROOM_RESERVE, ret_status);
    if (copy == NULL)
        return NULL;
    memcpy(copy, item, bytes);
    fkv_append_done(table, copy, expires_at_ms);
    return copy;
}

/* Whether a slot may still name the item; *ret_access: how often it was used. "Yes" in doubt. */
static bool may_live(const fkv_table *table, const fkv_key *key, const fkv_item *item,
                     uint8_t *ret_access) {
    uint64_t offset = (uint64_t)((const uint8_t *)item - table->base);
    _Atomic uint64_t *slot_at;
    enum fkv_search search = fkv_search_slot(table, key, offset, &slot_at);
    *ret_access = search == FKV_SEARCH_HIT
                      ? atomic_load_explicit(fkv_access_of(slot_at), memory_order_relaxed)
                      : FKV_ACCESS_MAX;
    return search != FKV_SEARCH_MISS;
}

bool fkv_is_dead(const fkv_table *table, const fkv_key *key, const fkv_item *item) {
    uint8_t access;
    return !may_live(table, key, item, &access);
}

/* The slot's new word, and what it means: moved, or gone. */
static void settle_slot_locked(fkv_table *table, fkv_emptying *e, const fkv_found *found,
                               const fkv_item *copy, const fkv_fate *fate, uint64_t hash) {
    uint64_t bytes = fkv_item_size(found->item);
    uint64_t slot = copy ? fkv_moved_slot(table, found->slot, copy) : 0;
    fkv_slot_store_locked(table, found->partition, found->slot_at, slot, hash);
    if (copy != NULL) {
        atomic_store_explicit(fkv_access_of(found->slot_at), fate->access, memory_order_relaxed);
        fkv_count_up(table->own, FKV_COUNT_bytes_copied, bytes);
        e->copied_bytes += bytes;
        return;
    }
    fkv_count_up(table->own, fate->expired ? FKV_COUNT_expired : FKV_COUNT_evicted, 1);
    if (fate->ghost)
        fkv_ghost_note(table, hash);
}

/* Moves one item out, or removes it, or does nothing if it is dead. Where it should be kept and
 * there is no room, eviction lets it go: so eviction never comes to a stop. */
static fkv_status move_item(fkv_table *table, fkv_emptying *e, const fkv_key *key,
                            const fkv_item *item) {
    fkv_found found;
    uint8_t access;
    if (!may_live(table, key, item, &access))
        return FKV_OK;
    int64_t expires = fkv_item_expiry(item);
    fkv_fate fate = fkv_expired(expires) ? (fkv_fate){.expired = true} : fkv_fate_of(e, access);
    fkv_status status;
    fkv_item *copy = fate.keep ? copy_out(table, item, expires, fate.queue, &status) : NULL;
    if (fate.keep && copy == NULL && !e->evict)
        return status;
    status = fkv_partition_lock(table, fkv_partition_of(table, key->hash));
    if (status == FKV_OK) {
        if (fkv_find_item_locked(table, key, item, &found))
            settle_slot_locked(table, e, &found, copy, &fate, key->hash);
        else if (copy != NULL)
            fkv_append_undo(table, copy);
        fkv_partition_unlock(table, fkv_partition_of(table, key->hash));
    } else if (copy != NULL) {
        fkv_append_undo(table, copy);
    }
    return status;
}

/* Looks at the next items of a segment, and asks the memory for their buckets: most are dead, so
 * that is most of the work. Moves *at on. FKV_CORRUPT: a length that cannot be ends the walk. */
static fkv_status walk_ahead(fkv_table *table, uint64_t *at, uint64_t end, walk_step *steps,
                             size_t *ret_count) {
    for (*ret_count = 0; *ret_count < WALK_AHEAD && *at + sizeof(fkv_item) <= end;) {
        const fkv_item *item = (const fkv_item *)(table->base + *at);
        if (*at + fkv_item_size(item) > end)
            return FKV_CORRUPT;
        *at += fkv_item_size(item);
        if (item->flags & FKV_ITEM_INTENT)
            continue;
        walk_step *step = &steps[(*ret_count)++];
        step->item = item;
        step->key = fkv_key_of(table, item);
        fkv_prefetch_slot(table, &step->key);
    }
    return FKV_OK;
}

/* Empties about `budget` bytes of a segment that is ours as VICTIM, from where the last one
 * stopped. FKV_OK with *ret_done: nothing lives in it any more. */
fkv_status fkv_empty_some(fkv_table *table, fkv_emptying *e, uint64_t budget, bool *ret_done) {
    walk_step steps[WALK_AHEAD];
    size_t count = 1;
    fkv_head *head = &table->heads[e->segment];
    uint64_t start = fkv_segment_offset(table, e->segment), append = atomic_load(&head->append);
    uint64_t end = start + (append < table->segment_bytes ? append : table->segment_bytes);
    uint64_t at = start + atomic_load(&head->walked), most = at + budget;
    fkv_status status = FKV_OK;
    *ret_done = false;
    while (status == FKV_OK && count > 0 && at < most) {
        status = walk_ahead(table, &at, end, steps, &count);
        for (size_t i = 0; status == FKV_OK && i < count; i++)
            status = move_item(table, e, &steps[i].key, steps[i].item);
        if (status == FKV_OK)
            atomic_store_explicit(&head->walked, (uint32_t)(at - start), memory_order_release);
    }
    *ret_done = status == FKV_OK && count == 0;
    return status;
}
