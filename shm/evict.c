/* evict.c -- which keys go when the table is full: S3-FIFO over segments.
 *
 * New items go to the small queue, a twentieth of the memory. What leaves it goes to the main queue
 * if it was used since, else out, and leaves a ghost; a key that comes back while its ghost is
 * there goes straight to the main queue. What leaves the main queue goes round again, with one use
 * less, if it was used at all. (J. Yang, Y. Zhang, Z. Qiu, Y. Yue, K. V. Rashmi, "FIFO queues are
 * all you need for cache eviction", SOSP 2023; docs/memory.md#eviction has what was measured.)
 *
 * A queue here is a chain of segments by age, and its oldest segment leaves as a whole, item by
 * item; a value that has a run of segments leaves by itself, and goes round without a copy. */
#include "internal.h"

#define SMALL_SHARE 20 /* the small queue is one part in so many; the paper has 10, and 2 here: */
#define PROMOTE_AT 1   /* uses that take an item from the small queue to the main one */
#define COPIED_PER_FREED 7
#define CREDIT_SEGMENTS 4

/* Bytes that may be copied out of the next segment; then the rest goes, in use or not. So in the
 * long run no more is copied than COPIED_PER_FREED times what is freed, however much is in use; a
 * segment that is all in use may live on what others have saved. */
uint64_t fkv_copy_most(const fkv_table *table) {
    uint64_t sustained = table->segment_bytes / (COPIED_PER_FREED + 1) * COPIED_PER_FREED;
    return table->copy_credit > sustained ? table->copy_credit : sustained;
}

void fkv_copy_settle(fkv_table *table, uint64_t copied_bytes, uint64_t freed_bytes) {
    uint64_t most = CREDIT_SEGMENTS * table->segment_bytes;
    uint64_t credit = table->copy_credit + COPIED_PER_FREED * freed_bytes;
    credit -= copied_bytes < credit ? copied_bytes : credit;
    table->copy_credit = credit < most ? credit : most;
}

/* What becomes of an item that was used `access` times. */
fkv_fate fkv_fate_of(const fkv_emptying *e, uint8_t access) {
    bool small = e->queue == FKV_QUEUE_SMALL;
    if (!e->evict)
        return (fkv_fate){.keep = true, .queue = e->queue, .access = access};
    if (access < (small ? PROMOTE_AT : 1) || e->copied_bytes >= e->copy_most)
        return (fkv_fate){.ghost = small};
    return (fkv_fate){.keep = true, .queue = FKV_QUEUE_MAIN,
                      .access = small ? 0 : (uint8_t)(access - 1)};
}

/* Where an item of the key belongs: where the one is that it replaces, or by its ghost. */
enum fkv_queue fkv_queue_for(fkv_table *table, const fkv_key *key) {
    fkv_found found;
    if (!fkv_evicts(table))
        return FKV_QUEUE_SMALL;
    if (fkv_search_racy(table, key, &found) == FKV_SEARCH_HIT)
        return fkv_queue_of(table, found.segment);
    return fkv_ghost_take(table, key->hash) ? FKV_QUEUE_MAIN : FKV_QUEUE_SMALL;
}

/* ---- choosing ------------------------------------------------------------------------------- */

/* What a look at all heads finds. */
typedef struct queues {
    uint64_t segments[FKV_QUEUES], age[FKV_QUEUES];
    uint32_t oldest[FKV_QUEUES];
} queues;

static void look_at(const fkv_table *table, uint32_t segment, queues *q) {
    uint64_t state = fkv_state_of(table, segment);
    enum fkv_segment_state kind = FKV_STATE_KIND(state);
    enum fkv_queue queue = fkv_queue_of(table, segment);
    if (kind < FKV_SEGMENT_OPEN || kind == FKV_SEGMENT_TAIL)
        return;
    q->segments[queue] += kind == FKV_SEGMENT_RUN ? fkv_run_length(table, segment, state) : 1;
    bool free_to_take = (kind == FKV_SEGMENT_CLOSED || kind == FKV_SEGMENT_RUN) &&
                        FKV_STATE_OWNER(state) == 0;
    if (free_to_take && fkv_age_of(table, segment) > q->age[queue]) {
        q->age[queue] = fkv_age_of(table, segment);
        q->oldest[queue] = segment;
    }
}

uint32_t fkv_next_eviction(const fkv_table *table) {
    queues q = {.oldest = {FKV_NO_SEGMENT, FKV_NO_SEGMENT}};
    for (uint32_t i = 0; i < table->geometry.segment_count; i++)
        look_at(table, i, &q);
    uint64_t small = q.segments[FKV_QUEUE_SMALL], all = small + q.segments[FKV_QUEUE_MAIN];
    bool from_small = small * SMALL_SHARE > all;
    uint32_t victim = q.oldest[from_small ? FKV_QUEUE_SMALL : FKV_QUEUE_MAIN];
    return victim != FKV_NO_SEGMENT
               ? victim : q.oldest[from_small ? FKV_QUEUE_MAIN : FKV_QUEUE_SMALL];
}

/* ---- runs ----------------------------------------------------------------------------------- */

/* The end of the queue for a run that is ours as VICTIM: it goes round, or its key goes. FKV_OK
 * with *ret_gone: no slot names it any more. */
fkv_status fkv_evict_run(fkv_table *table, uint32_t segment, bool *ret_gone) {
    fkv_emptying e = {.segment = segment, .evict = true, .queue = fkv_queue_of(table, segment),
                      .copy_most = UINT64_MAX};
    fkv_head *head = &table->heads[segment];
    const fkv_item *item = (const fkv_item *)(table->base + fkv_segment_offset(table, segment));
    fkv_key key = fkv_key_of(table, item);
    fkv_partition *partition = fkv_partition_of(table, key.hash);
    fkv_found found;
    fkv_status status = fkv_partition_lock(table, partition);
    if (status != FKV_OK)
        return status;
    *ret_gone = true;
    if (fkv_find_item_locked(table, &key, item, &found)) {
        _Atomic uint8_t *access = fkv_access_of(found.slot_at);
        fkv_fate fate = fkv_fate_of(&e, atomic_load_explicit(access, memory_order_relaxed));
        bool expired = fkv_expired(found.expires_at_ms);
        *ret_gone = !fate.keep || expired;
        if (*ret_gone) {
            fkv_slot_store_locked(table, partition, found.slot_at, 0, key.hash);
            fkv_count_up(table->own, expired ? FKV_COUNT_expired : FKV_COUNT_evicted, 1);
            if (fate.ghost && !expired)
                fkv_ghost_note(table, key.hash);
        } else {
            atomic_store_explicit(access, fate.access, memory_order_relaxed);
            atomic_store_explicit(&head->queue, fate.queue, memory_order_relaxed);
            atomic_store_explicit(&head->born, atomic_fetch_add(&table->header->clock, 1),
                                  memory_order_relaxed);
        }
    }
    fkv_partition_unlock(table, partition);
    return FKV_OK;
}
