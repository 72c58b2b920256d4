/* expiry.c -- the sweep that removes what nobody reads any more.
 *
 * Every read checks the expiry of what it found, so the sweep only returns memory. It looks at the
 * pages that are due (due.c), one at a time, and holds no lock for longer than that. */
#include "internal.h"

static bool anything_expires(const fkv_partition *partition) {
    for (unsigned d = 0; d < FKV_DATABASES; d++)
        if (atomic_load_explicit(&partition->expiring[d], memory_order_relaxed) > 0)
            return true;
    return false;
}

/* Removes what has expired, and says when the page is due next. */
static uint64_t sweep_page_locked(fkv_table *table, fkv_partition *partition, fkv_page *page,
                                  int64_t now_ms) {
    uint64_t removed = 0;
    int64_t due_ms = 0;
    for (unsigned i = 0; i < FKV_PAGE_SLOTS; i++) {
        _Atomic uint64_t *slot_at = fkv_slot_at(page, i);
        uint64_t slot = atomic_load_explicit(slot_at, memory_order_relaxed);
        const fkv_item *item = slot & FKV_SLOT_EXPIRES ? fkv_slot_item(table, slot) : NULL;
        if (item == NULL)
            continue;
        if (fkv_item_expiry(item) > now_ms) {
            due_ms = fkv_sooner(due_ms, fkv_item_expiry(item));
            continue;
        }
        fkv_slot_store_locked(table, partition, slot_at, 0, fkv_key_of(table, item).hash);
        removed++;
    }
    atomic_store_explicit(fkv_due_of(table, page), due_ms, memory_order_release);
    if (!anything_expires(partition))
        atomic_store_explicit(&partition->expires_max_ms, 0, memory_order_release);
    return removed;
}

typedef struct sweep {
    int64_t now_ms; /* when it began */
    uint64_t removed;
    unsigned pages; /* that may still be looked at */
} sweep;

/* Once round the partition, from where the last sweep stopped. False: no more pages allowed. */
static bool sweep_partition(fkv_table *table, fkv_partition *partition, sweep *s) {
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_acquire);
    uint32_t count = fkv_page_count(table, shape), start = table->sweep_page;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (start + i) % count;
        fkv_page *page = fkv_index_page(table, partition, at);
        if (!fkv_is_due(table, page, s->now_ms))
            continue;
        table->sweep_page = at;
        if (s->pages == 0)
            return false;
        s->pages--;
        fkv_prefetch_expiring(table, page);
        if (fkv_partition_lock(table, partition) != FKV_OK)
            break;
        s->removed += sweep_page_locked(table, partition, page, s->now_ms);
        fkv_partition_unlock(table, partition);
    }
    table->sweep_page = 0;
    return true;
}

/* The same from within an operation that lacks room; no lock held. */
uint64_t fkv_sweep_some(fkv_table *table, unsigned pages, bool *ret_more) {
    uint32_t count = table->geometry.partition_count;
    uint32_t start = atomic_load(&table->header->sweep_partition) % count, passed = 0;
    sweep s = {fkv_now_ms(), 0, pages};
    for (; passed < count; passed++) {
        fkv_partition *partition = &table->partitions[(start + passed) % count];
        if (anything_expires(partition) && !sweep_partition(table, partition, &s))
            break;
    }
    atomic_store(&table->header->sweep_partition, (start + passed) % count);
    fkv_count_up(table->own, FKV_COUNT_expired, s.removed);
    *ret_more = passed < count;
    return s.removed;
}

uint64_t fkv_sweep(fkv_table *table, unsigned pages, bool *ret_more) {
    bool more = false;
    uint64_t removed = 0;
    if (fkv_write_begin(table) == FKV_OK) {
        removed = fkv_sweep_some(table, pages, &more);
        fkv_write_end(table);
    }
    if (ret_more != NULL)
        *ret_more = more;
    return removed;
}
