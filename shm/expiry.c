/* expiry.c -- the sweep that removes what nobody reads any more.
 *
 * Every read checks the expiry of what it found, so the sweep only returns memory. It looks at the
 * pages that are due (due.c), one at a time, and holds no lock for longer than that. */
#include "internal.h"

/* Removes what has expired, and says when the page is due next. */
static uint64_t sweep_page_locked(fkv_table *table, fkv_partition *partition, fkv_page *page,
                                  int64_t now_ms) {
    uint64_t removed = 0;
    uint32_t due = 0;
    for (unsigned i = 0; i < FKV_PAGE_SLOTS; i++) {
        _Atomic uint64_t *slot_at =
            &page->buckets[i / FKV_BUCKET_SLOTS].slots[i % FKV_BUCKET_SLOTS];
        uint64_t slot = atomic_load_explicit(slot_at, memory_order_relaxed);
        const fkv_item *item = slot & FKV_SLOT_EXPIRES ? fkv_slot_item(table, slot) : NULL;
        if (item == NULL)
            continue;
        if (fkv_item_expiry(item) > now_ms) {
            due = fkv_sooner(due, fkv_due_at(fkv_item_expiry(item)));
            continue;
        }
        fkv_slot_store_locked(table, partition, slot_at, 0, fkv_item_hash(table, item));
        removed++;
    }
    atomic_store_explicit(fkv_due_of(table, page), due, memory_order_release);
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
    for (uint32_t p = 0;; p++) {
        uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_acquire);
        fkv_page *page = fkv_index_page(table, partition, p);
        if (p >= fkv_page_count(table, shape))
            return removed;
        if (!fkv_is_due(table, page, fkv_now_ms()))
            continue;
        fkv_prefetch_expiring(table, page);
        if (fkv_partition_lock(table, partition) != FKV_OK)
            return removed;
        removed += sweep_page_locked(table, partition, page, fkv_now_ms());
        fkv_partition_unlock(table, partition);
    }
}

/* The same from within an operation that lacks room; no lock held. */
uint64_t fkv_sweep_some(fkv_table *table, unsigned partitions) {
    fkv_header *h = table->header;
    const fkv_geometry *g = &table->geometry;
    uint64_t removed = 0;
    for (unsigned i = 0; i < partitions && i < g->partition_count; i++) {
        uint32_t at = atomic_fetch_add(&h->sweep_partition, 1) % g->partition_count;
        if (anything_expires(&table->partitions[at]))
            removed += sweep_partition(table, &table->partitions[at]);
    }
    fkv_count_up(table->own, FKV_COUNT_expired, removed);
    return removed;
}

uint64_t fkv_sweep(fkv_table *table, unsigned partitions) {
    if (fkv_write_begin(table) != FKV_OK)
        return 0;
    uint64_t removed = fkv_sweep_some(table, partitions);
    fkv_write_end(table);
    return removed;
}
