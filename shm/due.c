/* due.c -- when the first key of each page of the index expires, so that few pages need a look.
 *
 * Counting must leave out keys that have expired and are still there, and the sweep must find them.
 * Both pass by whatever is not due: a table with a million keys that expire some day costs a look
 * at its due words, and those of its keys whose time has come. */
#include "internal.h"

#define BYTES_AHEAD 1024 /* the processor itself looks ahead only to the end of a page */

/* To be called before `slot` is stored. */
void fkv_note_due_locked(fkv_table *table, fkv_partition *partition,
                         const _Atomic uint64_t *slot_at, uint64_t slot) {
    const fkv_item *item = slot & FKV_SLOT_EXPIRES ? fkv_slot_item(table, slot) : NULL;
    if (item == NULL)
        return;
    fkv_due *due = fkv_due_of(table, fkv_page_of(slot_at));
    int64_t before = atomic_load_explicit(due, memory_order_relaxed);
    int64_t after = fkv_sooner(before, fkv_item_expiry(item));
    if (after != before)
        atomic_store_explicit(due, after, memory_order_release);
    if (fkv_item_expiry(item) > atomic_load_explicit(&partition->expires_max_ms,
                                                     memory_order_relaxed))
        atomic_store_explicit(&partition->expires_max_ms, fkv_item_expiry(item),
                              memory_order_release);
}

/* Where the item of a slot that expires is, or 0. */
static uint64_t expiring_at(const fkv_table *table, uint64_t slot) {
    uint64_t offset = slot & FKV_SLOT_EXPIRES ? fkv_slot_offset(slot) : 0;
    return fkv_in_segments(table, offset) ? offset : 0;
}

static const fkv_head *head_of(const fkv_table *table, uint64_t offset) {
    return &table->heads[fkv_segment_of(table, offset)];
}

static int64_t latest_of(const fkv_head *head) {
    return atomic_load_explicit(&head->expires_max_ms, memory_order_relaxed);
}

/* Asks the memory for all items of the page that expire: each would be waited for by itself. */
void fkv_prefetch_expiring(const fkv_table *table, fkv_page *page) {
    for (unsigned i = 0; i < FKV_PAGE_SLOTS; i++) {
        uint64_t offset = expiring_at(table, atomic_load_explicit(fkv_slot_at(page, i),
                                                                  memory_order_relaxed));
        if (offset == 0)
            continue;
        __builtin_prefetch(table->base + offset);
        __builtin_prefetch(table->base + offset + FKV_CACHE_LINE / 2); /* the key may cross lines */
    }
}

/* Whether the key of a slot has expired; no lock. One that changes meanwhile is taken for alive: it
 * was just written. Where all of a segment has expired, nobody need look at the item, and wait for
 * the memory to bring it. */
static bool has_expired(const fkv_table *table, const _Atomic uint64_t *slot_at, uint64_t slot,
                        int64_t now_ms) {
    uint64_t offset = expiring_at(table, slot);
    if (offset == 0)
        return false;
    const fkv_head *head = head_of(table, offset);
    uint64_t generation = atomic_load_explicit(&head->generation, memory_order_acquire);
    if (atomic_load_explicit(slot_at, memory_order_acquire) != slot)
        return false;
    int64_t expires = latest_of(head);
    if (expires > now_ms && fkv_item_extent(table, offset) >= 2 * sizeof(fkv_item))
        expires = (int64_t)fkv_racy_word(table->base + offset + sizeof(fkv_item));
    atomic_thread_fence(memory_order_acquire);
    return expires <= now_ms && atomic_load_explicit(slot_at, memory_order_relaxed) == slot &&
           atomic_load_explicit(&head->generation, memory_order_relaxed) == generation;
}

/* Counts in the bucket what needs no look at the item, and asks the memory for the others: their
 * slots go to `later`. */
static uint64_t count_bucket(const fkv_table *table, const fkv_bucket *bucket, unsigned database,
                             int64_t now_ms, const _Atomic uint64_t **later, unsigned *count) {
    uint64_t expired = 0;
    for (unsigned i = 0; i < FKV_BUCKET_SLOTS; i++) {
        uint64_t slot = atomic_load_explicit(&bucket->slots[i], memory_order_acquire);
        uint64_t offset = expiring_at(table, slot);
        if (offset == 0 || (database != FKV_ALL_DATABASES && FKV_SLOT_DATABASE(slot) != database))
            continue;
        if (latest_of(head_of(table, offset)) <= now_ms) {
            expired += has_expired(table, &bucket->slots[i], slot, now_ms);
            continue;
        }
        __builtin_prefetch(table->base + offset + sizeof(fkv_item)); /* the expiry */
        later[(*count)++] = &bucket->slots[i];
    }
    return expired;
}

static uint64_t count_page(const fkv_table *table, const fkv_page *page, unsigned database,
                           int64_t now_ms) {
    const _Atomic uint64_t *later[FKV_PAGE_SLOTS];
    unsigned count = 0;
    uint64_t expired = 0;
    for (unsigned b = 0; b < FKV_PAGE_BUCKETS; b++) {
        __builtin_prefetch((const uint8_t *)&page->buckets[b] + BYTES_AHEAD);
        expired += count_bucket(table, &page->buckets[b], database, now_ms, later, &count);
    }
    for (unsigned i = 0; i < count; i++)
        expired += has_expired(table, later[i],
                               atomic_load_explicit(later[i], memory_order_acquire), now_ms);
    return expired;
}

/* Keys of a database (or FKV_ALL_DATABASES) that are still there, though they have expired. */
uint64_t fkv_count_expired(const fkv_table *table, const fkv_partition *partition,
                           unsigned database) {
    uint64_t expired = 0, shape = atomic_load_explicit(&partition->shape, memory_order_acquire);
    int64_t now_ms = fkv_now_ms();
    for (uint32_t p = 0; p < fkv_page_count(table, shape); p++) {
        const fkv_page *page = fkv_index_page(table, partition, p);
        if (!fkv_is_due(table, page, now_ms))
            continue;
        expired += count_page(table, page, database, now_ms);
    }
    return expired;
}
