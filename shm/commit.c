/* commit.c -- several keys as one step: all or none, even under kill -9.
 *
 * All partitions are locked in ascending order and flagged, so that readers wait; every slot store
 * is written to an intent; then one word, fkv_entry.intent, commits. Killed before that word,
 * nothing happened; after it, whoever repairs a flagged partition stores what the intent says of
 * it. Storing twice is storing once, for the partition stays locked by the dead until then. */
#include <stdlib.h>

#include "internal.h"

/* ---- the flag -------------------------------------------------------------------------------- */

static void flag_locked(fkv_table *table, fkv_partition *partition) {
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
    atomic_store_explicit(&partition->committer, table->lock_word, memory_order_relaxed);
    atomic_store_explicit(&partition->shape, (shape | FKV_SHAPE_COMMIT) + FKV_SHAPE_STEP,
                          memory_order_release);
}

static void unflag_locked(fkv_partition *partition) {
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
    atomic_store_explicit(&partition->shape, (shape & ~FKV_SHAPE_COMMIT) + FKV_SHAPE_STEP,
                          memory_order_release);
}

static void set_intent(fkv_table *table, uint64_t offset) {
    atomic_store_explicit(&table->entries[table->entry].intent, offset, memory_order_seq_cst);
}

/* Room for an intent of `count` changes: an item without a key, so that a walk passes it by. */
static fkv_intent *compose_intent(fkv_table *table, size_t count, enum fkv_room kind,
                                  fkv_status *ret_status) {
    uint64_t size = sizeof(fkv_intent) + count * sizeof(fkv_change);
    if (size > fkv_value_max(table)) {
        *ret_status = FKV_TOO_BIG;
        return NULL;
    }
    fkv_item *item = fkv_append_room(table, fkv_item_bytes(0, size, false), kind, ret_status);
    if (item == NULL)
        return NULL;
    *item = (fkv_item){(uint32_t)size, 0, 0, FKV_ITEM_INTENT};
    fkv_intent *intent = (fkv_intent *)(item + 1);
    *intent = (fkv_intent){count, 0};
    fkv_append_done(table, item, 1); /* garbage from birth: it "expires" at once */
    return intent;
}

static uint64_t offset_of(const fkv_table *table, const void *at) {
    return (uint64_t)((const uint8_t *)at - table->base);
}

/* ---- set many -------------------------------------------------------------------------------- */

typedef struct change {
    const fkv_pair *pair;
    const fkv_item *item;
    fkv_partition *partition;
    _Atomic uint64_t *slot_at;
    bool fresh; /* the slot was empty */
} change;

typedef struct set_many {
    change *changes;
    fkv_partition **partitions;
    fkv_intent *intent;
    size_t count, partition_count;
    unsigned flags;
    int64_t expires_at_ms;
} set_many;

/* By partition, then by key; of equal keys the later pair comes last. */
static int compare_changes(const void *a, const void *b) {
    const change *x = a, *y = b;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    const fkv_key *k = &x->pair->key, *l = &y->pair->key;
    if (k->hash != l->hash)
        return k->hash < l->hash ? -1 : 1;
    if (k->size != l->size)
        return k->size < l->size ? -1 : 1;
    int order = memcmp(k->data, l->data, k->size);
    return order != 0 ? order : x->pair < y->pair ? -1 : 1;
}

static bool same_key(const fkv_key *a, const fkv_key *b) {
    return a->hash == b->hash && a->size == b->size && a->database == b->database &&
           memcmp(a->data, b->data, a->size) == 0;
}

static void sort_changes(const fkv_table *table, set_many *work, const fkv_pair *pairs) {
    size_t unique = 0;
    for (size_t i = 0; i < work->count; i++)
        work->changes[i] = (change){.pair = &pairs[i],
                                    .partition = fkv_partition_of(table, pairs[i].key.hash)};
    qsort(work->changes, work->count, sizeof *work->changes, compare_changes);
    for (size_t i = 0; i < work->count; i++) {
        if (i + 1 < work->count &&
            same_key(&work->changes[i].pair->key, &work->changes[i + 1].pair->key))
            continue;
        work->partitions[unique] = work->changes[i].partition;
        work->changes[unique++] = work->changes[i];
    }
    work->count = work->partition_count = unique;
}

static fkv_status compose_all(fkv_table *table, set_many *work) {
    fkv_status status = FKV_OK;
    for (size_t i = 0; i < work->count; i++) {
        const fkv_pair *pair = work->changes[i].pair;
        fkv_item *item = fkv_compose_any(table, &pair->key, pair->value_size, work->expires_at_ms,
                                         &status);
        if (item == NULL)
            return status;
        if (pair->value_size > 0)
            memcpy((char *)fkv_item_value(item), pair->value, pair->value_size);
        fkv_append_done(table, item, work->expires_at_ms);
        work->changes[i].item = item;
    }
    work->intent = compose_intent(table, work->count, FKV_ROOM_REPLACE, &status);
    return work->intent != NULL ? FKV_OK : status;
}

static void mark_claim(change *c, uint8_t mark) {
    fkv_bucket *bucket = (fkv_bucket *)((uintptr_t)c->slot_at & ~(uintptr_t)63);
    atomic_store_explicit(&bucket->access[c->slot_at - bucket->slots], mark, memory_order_relaxed);
}

static void give_up_place(change *c) {
    if (c->fresh) {
        mark_claim(c, 0);
        fkv_unpass_locked(c->slot_at, c->pair->key.hash);
    }
}

static fkv_status place_one(fkv_table *table, change *c, unsigned flags) {
    fkv_found found;
    fkv_status status = FKV_OK;
    bool there = fkv_search_locked(table, &c->pair->key, &found);
    if (there && (flags & FKV_NX) && !fkv_expired(found.expires_at_ms))
        return FKV_UNMET;
    c->fresh = !there;
    c->slot_at = there ? found.slot_at
                       : fkv_place_locked(table, &c->pair->key, c->partition, &status);
    if (status == FKV_OK && !there)
        mark_claim(c, FKV_CLAIMED);
    return status;
}

/* Finds a slot for each change. A growth on the way may move those already found in its partition,
 * and forgets their claims: then that partition's are placed again. */
static fkv_status place_all(fkv_table *table, set_many *work) {
    size_t group = 0;
    for (size_t i = 0; i < work->count; i++) {
        change *c = &work->changes[i];
        if (c->partition != work->changes[group].partition)
            group = i;
        uint64_t shape = atomic_load_explicit(&c->partition->shape, memory_order_relaxed);
        fkv_status status = place_one(table, c, work->flags);
        bool grown = atomic_load_explicit(&c->partition->shape, memory_order_relaxed) != shape;
        if (grown) {
            for (size_t j = group; j < i; j++)
                work->changes[j].fresh = false;
            if (status == FKV_OK)
                give_up_place(c);
            i = group - 1; /* and the loop's ++ */
        } else if (status != FKV_OK) {
            while (i-- > 0)
                give_up_place(&work->changes[i]);
            return status;
        }
    }
    return FKV_OK;
}

static void commit_all(fkv_table *table, set_many *work) {
    for (size_t i = 0; i < work->count; i++) {
        change *c = &work->changes[i];
        work->intent->changes[i] = (fkv_change){offset_of(table, c->slot_at),
                                                fkv_item_slot(table, c->item, &c->pair->key)};
    }
    for (size_t i = 0; i < work->partition_count; i++)
        flag_locked(table, work->partitions[i]);
    set_intent(table, offset_of(table, work->intent)); /* the commit point */
    for (size_t i = 0; i < work->count; i++) {
        change *c = &work->changes[i];
        fkv_slot_store_locked(table, c->partition, c->slot_at, work->intent->changes[i].slot,
                              c->pair->key.hash);
        if (c->fresh)
            mark_claim(c, 0);
    }
    set_intent(table, 0);
    for (size_t i = 0; i < work->partition_count; i++)
        unflag_locked(work->partitions[i]);
}

static fkv_status set_all(fkv_table *table, set_many *work, const fkv_pair *pairs) {
    int tries = 0;
    sort_changes(table, work, pairs);
    fkv_status status = compose_all(table, work);
    if (status != FKV_OK)
        return status;
    do {
        status = fkv_lock_many(table, work->partitions, &work->partition_count);
        if (status != FKV_OK)
            return status;
        status = place_all(table, work);
        if (status == FKV_OK)
            commit_all(table, work);
        fkv_unlock_many(table, work->partitions, work->partition_count);
    } while (fkv_make_index_room(table, status, &tries));
    return status;
}

fkv_status fkv_set_many(fkv_table *table, const fkv_pair *pairs, size_t count, unsigned flags,
                        int64_t expires_at_ms) {
    fkv_status status = FKV_OK;
    for (size_t i = 0; status == FKV_OK && i < count; i++)
        status = fkv_check_key(&pairs[i].key);
    if (status != FKV_OK || count == 0)
        return status;
    set_many work = {.count = count, .flags = flags, .expires_at_ms = expires_at_ms};
    work.changes = malloc(count * (sizeof *work.changes + sizeof *work.partitions));
    if (work.changes == NULL)
        return FKV_SYSTEM;
    work.partitions = (fkv_partition **)(work.changes + count);
    status = fkv_write_begin(table);
    if (status == FKV_OK) {
        status = set_all(table, &work, pairs);
        fkv_append_settle(table);
        if (status == FKV_OK)
            fkv_count_up(table->own, FKV_COUNT_sets, work.count);
        fkv_write_end(table);
    }
    free(work.changes);
    return status;
}

/* ---- clear ----------------------------------------------------------------------------------- */

static bool clears(unsigned database, uint64_t slot) {
    return slot != 0 && (database == FKV_ALL_DATABASES || FKV_SLOT_DATABASE(slot) == database);
}

static void clear_partition_locked(fkv_table *table, fkv_partition *partition, unsigned database) {
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
    for (uint32_t p = 0; p < fkv_page_count(table, shape); p++) {
        fkv_page *page = fkv_index_page(table, partition, p);
        for (unsigned i = 0; i < FKV_PAGE_SLOTS; i++) {
            _Atomic uint64_t *slot_at =
                &page->buckets[i / FKV_BUCKET_SLOTS].slots[i % FKV_BUCKET_SLOTS];
            if (clears(database, atomic_load_explicit(slot_at, memory_order_relaxed)))
                atomic_store_explicit(slot_at, 0, memory_order_release);
        }
    }
    fkv_recount_locked(table, partition);
}

static void clear_all(fkv_table *table, fkv_intent *intent, unsigned database) {
    uint32_t count = table->geometry.partition_count;
    intent->clear = 1 + database;
    for (uint32_t i = 0; i < count; i++)
        flag_locked(table, &table->partitions[i]);
    set_intent(table, offset_of(table, intent)); /* the commit point */
    for (uint32_t i = 0; i < count; i++)
        clear_partition_locked(table, &table->partitions[i], database);
    set_intent(table, 0);
    for (uint32_t i = 0; i < count; i++)
        unflag_locked(&table->partitions[i]);
}

fkv_status fkv_clear(fkv_table *table, unsigned database) {
    if (database > FKV_ALL_DATABASES)
        return FKV_INVALID;
    fkv_status status = fkv_write_begin(table);
    if (status != FKV_OK)
        return status;
    fkv_intent *intent = compose_intent(table, 0, FKV_ROOM_RESERVE, &status); /* also when full */
    if (intent != NULL && (status = fkv_lock_all(table)) == FKV_OK) {
        clear_all(table, intent, database);
        fkv_unlock_all(table);
        fkv_recount_live(table);
    }
    fkv_append_settle(table);
    fkv_write_end(table);
    return status;
}

/* ---- finishing what the dead began ----------------------------------------------------------- */

/* The intent at `offset`, or NULL if it cannot be one. */
static const fkv_intent *intent_at(const fkv_table *table, uint64_t offset) {
    const fkv_geometry *g = &table->geometry;
    if (offset % 8 != 0 || offset <= g->segments_off || offset >= g->activity_off)
        return NULL;
    const fkv_intent *intent = (const fkv_intent *)(table->base + offset);
    uint64_t extent = fkv_item_extent(table, offset - sizeof(fkv_item));
    uint64_t most = extent / sizeof(fkv_change);
    return intent->count < most && sizeof(fkv_item) + sizeof(fkv_intent) +
                                           intent->count * sizeof(fkv_change) <= extent
               ? intent : NULL;
}

static void finish_intent_locked(fkv_table *table, fkv_partition *partition,
                                 const fkv_intent *intent) {
    uint64_t low = offset_of(table, fkv_index_page(table, partition, 0));
    uint64_t high = low + atomic_load_explicit(&partition->index_bytes, memory_order_relaxed);
    for (uint64_t i = 0; i < intent->count; i++) {
        const fkv_change *change = &intent->changes[i];
        if (change->slot_off >= low && change->slot_off < high && change->slot_off % 8 == 0)
            atomic_store_explicit((_Atomic uint64_t *)(table->base + change->slot_off),
                                  change->slot, memory_order_release);
    }
    if (intent->clear != 0)
        clear_partition_locked(table, partition, (unsigned)intent->clear - 1);
}

/* Runs when the flagged partition's lock was taken from the dead. If its committer had committed,
 * stores this partition's share; else nothing had happened. Then the flag goes. */
void fkv_finish_commit_locked(fkv_table *table, fkv_partition *partition) {
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
    if (!(shape & FKV_SHAPE_COMMIT))
        return;
    uint64_t committer = atomic_load_explicit(&partition->committer, memory_order_relaxed);
    const fkv_entry *entry = &table->entries[((committer >> 32) - 1) % FKV_ENTRIES];
    uint64_t identity = atomic_load_explicit(&entry->identity, memory_order_acquire);
    uint64_t offset = atomic_load_explicit(&entry->intent, memory_order_acquire);
    const fkv_intent *intent = intent_at(table, offset);
    if (intent != NULL && FKV_IDENTITY_GENERATION(identity) == (uint32_t)committer)
        finish_intent_locked(table, partition, intent);
    unflag_locked(partition);
}
