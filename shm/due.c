/* due.c -- when the first key of each page of the index expires, so that few pages need a look.
 *
 * Counting must leave out keys that have expired and are still there, and the sweep must find them.
 * Both pass by whatever is not due: a table with a million keys that expire some day costs a look
 * at its due words, and those of its keys whose time has come. */
#include "internal.h"

/* The due word for one key: 0 for never. */
uint32_t fkv_due_at(int64_t expires_at_ms) {
    int64_t seconds = expires_at_ms / 1000;
    if (expires_at_ms == 0)
        return 0;
    return seconds < 1 ? 1 : seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

uint32_t fkv_sooner(uint32_t due, uint32_t other) {
    return due == 0 || (other != 0 && other < due) ? other : due;
}

/* To be called before `slot` is stored. */
void fkv_note_due_locked(fkv_table *table, const _Atomic uint64_t *slot_at, uint64_t slot) {
    const fkv_item *item = slot & FKV_SLOT_EXPIRES ? fkv_slot_item(table, slot) : NULL;
    if (item == NULL)
        return;
    const fkv_page *page =
        (const fkv_page *)((uintptr_t)slot_at & ~(uintptr_t)(sizeof(fkv_page) - 1));
    fkv_due *due = fkv_due_of(table, page);
    uint32_t before = atomic_load_explicit(due, memory_order_relaxed);
    uint32_t after = fkv_sooner(before, fkv_due_at(fkv_item_expiry(item)));
    if (after != before)
        atomic_store_explicit(due, after, memory_order_release);
}

static uint64_t slot_of(const fkv_page *page, unsigned i) {
    return atomic_load_explicit(&page->buckets[i / FKV_BUCKET_SLOTS].slots[i % FKV_BUCKET_SLOTS],
                                memory_order_acquire);
}

/* Asks the memory for all items of the page that expire: each would be waited for by itself. */
void fkv_prefetch_expiring(const fkv_table *table, const fkv_page *page) {
    for (unsigned i = 0; i < FKV_PAGE_SLOTS; i++) {
        uint64_t slot = slot_of(page, i);
        if (slot & FKV_SLOT_EXPIRES)
            __builtin_prefetch(table->base + fkv_slot_offset(slot));
    }
}

/* Whether the key of a slot has expired; no lock. One that changes meanwhile is taken for alive: it
 * was just written. */
static bool has_expired(const fkv_table *table, const fkv_page *page, unsigned i, int64_t now_ms) {
    uint64_t slot = slot_of(page, i), offset = fkv_slot_offset(slot);
    if (!(slot & FKV_SLOT_EXPIRES) || offset < table->geometry.segments_off ||
        offset >= table->geometry.activity_off)
        return false;
    const fkv_head *head = &table->heads[fkv_segment_of(table, offset)];
    uint64_t generation = atomic_load_explicit(&head->generation, memory_order_acquire);
    if (slot_of(page, i) != slot || fkv_item_extent(table, offset) < 2 * sizeof(fkv_item))
        return false;
    int64_t expires = (int64_t)fkv_racy_word(table->base + offset + sizeof(fkv_item));
    atomic_thread_fence(memory_order_acquire);
    return slot_of(page, i) == slot && expires <= now_ms &&
           atomic_load_explicit(&head->generation, memory_order_relaxed) == generation;
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
        fkv_prefetch_expiring(table, page);
        for (unsigned i = 0; i < FKV_PAGE_SLOTS; i++)
            expired += (database == FKV_ALL_DATABASES ||
                        FKV_SLOT_DATABASE(slot_of(page, i)) == database) &&
                       has_expired(table, page, i, now_ms);
    }
    return expired;
}
