/* shrink.c -- giving memory back to the kernel, once the table holds less than it did.
 *
 * A writer takes new memory up to the limit before it collects garbage, so a table that was once
 * large stays so by itself. Whoever calls this while little is written turns garbage into free
 * segments, and those into holes. */
#include "internal.h"

#define AT_ONCE 16 /* segments under one hold of the list lock */

/* Leaves the reserve, and the segments that the next writes will want. */
static uint32_t worth_keeping(const fkv_table *table) {
    return table->geometry.reserve_segments + 2;
}

static bool give_back_some(fkv_table *table) {
    unsigned given = 0;
    if (atomic_load(&table->header->free_segments) <= worth_keeping(table) ||
        fkv_list_lock(table) != FKV_OK)
        return false;
    while (given < AT_ONCE && fkv_give_back_one_listed(table, worth_keeping(table)))
        given++;
    fkv_list_unlock(table);
    return given > 0;
}

void fkv_purge(fkv_table *table) {
    atomic_store_explicit(&table->header->purge, 1, memory_order_relaxed);
}

bool fkv_purge_wanted(const fkv_table *table) {
    return atomic_load_explicit(&table->header->purge, memory_order_relaxed) != 0;
}

bool fkv_shrink(fkv_table *table) {
    if (fkv_write_begin(table) != FKV_OK)
        return false;
    if (atomic_exchange(&table->header->live_stale, 0))
        fkv_recount_live(table);
    bool shrunk = fkv_reclaim_garbage(table) == FKV_OK || give_back_some(table);
    if (!shrunk)
        atomic_store_explicit(&table->header->purge, 0, memory_order_relaxed);
    fkv_append_close(table);
    fkv_write_end(table);
    return shrunk;
}
