/* commit.c -- several slots as one step: all or none, even under kill -9.
 *
 * All partitions are locked in ascending order and flagged, so that readers wait; every slot store
 * is written to an intent; then one word, fkv_entry.intent, commits. Killed before that word,
 * nothing happened; after it, whoever repairs a flagged partition stores what the intent says of
 * it. Storing twice is storing once, for the partition stays locked by the dead until then. */
#include "internal.h"

/* ---- the flag -------------------------------------------------------------------------------- */

void fkv_flag_locked(fkv_table *table, fkv_partition *partition) {
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
    atomic_store_explicit(&partition->committer, table->lock_word, memory_order_relaxed);
    atomic_store_explicit(&partition->shape, (shape | FKV_SHAPE_COMMIT) + FKV_SHAPE_STEP,
                          memory_order_release);
}

void fkv_unflag_locked(fkv_partition *partition) {
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
    atomic_store_explicit(&partition->shape, (shape & ~FKV_SHAPE_COMMIT) + FKV_SHAPE_STEP,
                          memory_order_release);
}

/* The commit point, with an intent; NULL: everything is stored. */
void fkv_set_intent(fkv_table *table, const fkv_intent *intent) {
    uint64_t offset = intent != NULL ? (uint64_t)((const uint8_t *)intent - table->base) : 0;
    atomic_store_explicit(&table->entries[table->entry].intent, offset, memory_order_seq_cst);
}

/* Room for an intent of `count` changes: an item without a key, so that a walk passes it by. */
fkv_intent *fkv_compose_intent(fkv_table *table, size_t count, enum fkv_room kind,
                               fkv_status *ret_status) {
    uint64_t size = sizeof(fkv_intent) + count * sizeof(fkv_change);
    if (size > fkv_value_max(table)) {
        *ret_status = FKV_TOO_BIG;
        return NULL;
    }
    fkv_item *item = fkv_append_room(table, fkv_item_bytes(0, size, false), FKV_QUEUE_SMALL, kind,
                                     ret_status);
    if (item == NULL)
        return NULL;
    table->holds_items = true;
    *item = (fkv_item){(uint32_t)size, 0, 0, FKV_ITEM_INTENT};
    fkv_intent *intent = (fkv_intent *)(item + 1);
    *intent = (fkv_intent){count, 0};
    fkv_append_done(table, item, 1); /* garbage from birth: it "expires" at once */
    return intent;
}

/* ---- placing --------------------------------------------------------------------------------- */

static void mark_claim(fkv_planned *p, uint8_t mark) {
    atomic_store_explicit(fkv_access_of(p->slot_at), mark, memory_order_relaxed);
}

static void give_up_place(fkv_planned *p) {
    if (p->fresh) {
        mark_claim(p, 0);
        fkv_unpass_locked(p->slot_at, p->key->hash);
    }
}

static fkv_status place_one(fkv_table *table, fkv_planned *p, unsigned flags) {
    fkv_found found;
    fkv_status status = FKV_OK;
    bool there = fkv_search_locked(table, p->key, &found);
    if (p->item == NULL && !there)
        return FKV_MISS;
    if (p->item != NULL && there && (flags & FKV_NX) && !fkv_expired(found.expires_at_ms))
        return FKV_UNMET;
    p->fresh = !there;
    p->slot_at = there ? found.slot_at
                       : fkv_place_locked(table, p->key, p->partition, &status);
    if (status == FKV_OK && !there)
        mark_claim(p, FKV_CLAIMED);
    return status;
}

/* Finds a slot for each. A growth on the way may move those already found in its partition, and
 * forgets their claims: then that partition's are placed again. */
fkv_status fkv_place_all_locked(fkv_table *table, fkv_commit *commit, unsigned flags) {
    size_t group = 0;
    for (size_t i = 0; i < commit->count; i++) {
        fkv_planned *p = &commit->planned[i];
        if (p->partition != commit->planned[group].partition)
            group = i;
        uint64_t shape = atomic_load_explicit(&p->partition->shape, memory_order_relaxed);
        fkv_status status = place_one(table, p, flags);
        bool grown = atomic_load_explicit(&p->partition->shape, memory_order_relaxed) != shape;
        if (grown) {
            for (size_t j = group; j < i; j++)
                commit->planned[j].fresh = false;
            if (status == FKV_OK)
                give_up_place(p);
            i = group - 1; /* and the loop's ++ */
        } else if (status != FKV_OK) {
            while (i-- > 0)
                give_up_place(&commit->planned[i]);
            return status;
        }
    }
    return FKV_OK;
}

/* ---- storing --------------------------------------------------------------------------------- */

void fkv_commit_all_locked(fkv_table *table, fkv_commit *commit) {
    fkv_change *changes = commit->intent->changes;
    for (size_t i = 0; i < commit->count; i++) {
        const fkv_planned *p = &commit->planned[i];
        changes[i] = (fkv_change){(uint64_t)((uint8_t *)p->slot_at - table->base),
                                  p->item != NULL ? fkv_item_slot(table, p->item, p->key) : 0};
    }
    for (size_t i = 0; i < commit->partition_count; i++)
        fkv_flag_locked(table, commit->partitions[i]);
    fkv_set_intent(table, commit->intent); /* the commit point */
    for (size_t i = 0; i < commit->count; i++) {
        fkv_planned *p = &commit->planned[i];
        fkv_slot_store_locked(table, p->partition, p->slot_at, changes[i].slot, p->key->hash);
        if (p->fresh)
            mark_claim(p, 0);
    }
    fkv_set_intent(table, NULL);
    for (size_t i = 0; i < commit->partition_count; i++)
        fkv_unflag_locked(commit->partitions[i]);
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
    uint64_t low = (uint64_t)((uint8_t *)fkv_index_page(table, partition, 0) - table->base);
    uint64_t size = atomic_load_explicit(&partition->index_bytes, memory_order_relaxed);
    uint64_t most = table->geometry.index_range_bytes;
    uint64_t high = low + (size < most ? size : most);
    for (uint64_t i = 0; i < intent->count; i++) {
        const fkv_change *change = &intent->changes[i];
        if (change->slot_off >= low && change->slot_off < high && change->slot_off % 8 == 0)
            atomic_store_explicit((_Atomic uint64_t *)(table->base + change->slot_off),
                                  change->slot, memory_order_release);
    }
    if (intent->clear != 0)
        fkv_clear_partition_locked(table, partition, (unsigned)intent->clear - 1);
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
    fkv_unflag_locked(partition);
}
