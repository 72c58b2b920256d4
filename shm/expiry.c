/* expiry.c -- the sweep that removes what nobody reads any more.
 *
 * Every read checks the expiry of what it found, so the sweep only returns memory. It looks at
 * slots flagged with an expiry, a page at a time, and holds no lock for longer than that. */
#include "internal.h"

static int64_t expiry_of(const fkv_item *item) {
    int64_t expires_at_ms;
    memcpy(&expires_at_ms, item + 1, sizeof expires_at_ms);
    return expires_at_ms;
}

static uint64_t sweep_page_locked(fkv_table *table, fkv_partition *partition, fkv_page *page,
                                  int64_t now_ms) {
    uint64_t removed = 0;
    for (unsigned i = 0; i < FKV_PAGE_SLOTS; i++) {
        _Atomic uint64_t *slot_at =
            &page->buckets[i / FKV_BUCKET_SLOTS].slots[i % FKV_BUCKET_SLOTS];
        uint64_t slot = atomic_load_explicit(slot_at, memory_order_relaxed);
        const fkv_item *item = slot & FKV_SLOT_EXPIRES ? fkv_slot_item(table, slot) : NULL;
        if (item == NULL || expiry_of(item) > now_ms)
            continue;
        fkv_slot_store_locked(table, partition, slot_at, 0, fkv_item_hash(table, item));
        removed++;
    }
    return removed;
}

static bool anything_expires(const fkv_partition *partition) {
    for (unsigned d = 0; d < FKV_DATABASES; d++)
        if (atomic_load_explicit(&partition->expiring[d], memory_order_relaxed) > 0)
            return true;
    return false;
}

static uint64_t sweep_partition(fkv_table *table, fkv_partition *partition) {
    uint64_t removed = 0;
    for (uint32_t page = 0;; page++) {
        if (fkv_partition_lock(table, partition) != FKV_OK)
            return removed;
        uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
        bool more = page < fkv_page_count(table, shape);
        if (more)
            removed += sweep_page_locked(table, partition, fkv_index_page(table, partition, page),
                                         fkv_now_ms());
        fkv_partition_unlock(table, partition);
        if (!more)
            return removed;
    }
}

uint64_t fkv_sweep(fkv_table *table, unsigned partitions) {
    fkv_header *h = table->header;
    const fkv_geometry *g = &table->geometry;
    uint64_t removed = 0;
    if (fkv_write_begin(table) != FKV_OK)
        return 0;
    for (unsigned i = 0; i < partitions && i < g->partition_count; i++) {
        uint32_t at = atomic_fetch_add(&h->sweep_partition, 1) % g->partition_count;
        if (anything_expires(&table->partitions[at]))
            removed += sweep_partition(table, &table->partitions[at]);
    }
    fkv_count_up(table->own, FKV_COUNT_expired, removed);
    fkv_write_end(table);
    return removed;
}
