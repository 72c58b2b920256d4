/* clear.c -- removing every key of a database, or of all, as one step. */
#include "internal.h"

static bool clears(unsigned database, uint64_t slot) {
    return slot != 0 && (database == FKV_ALL_DATABASES || FKV_SLOT_DATABASE(slot) == database);
}

void fkv_clear_partition_locked(fkv_table *table, fkv_partition *partition, unsigned database) {
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
    for (uint32_t p = 0; p < fkv_page_count(table, shape); p++) {
        fkv_page *page = fkv_index_page(table, partition, p);
        for (unsigned i = 0; i < FKV_PAGE_SLOTS; i++) {
            _Atomic uint64_t *slot_at = fkv_slot_at(page, i);
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
        fkv_flag_locked(table, &table->partitions[i]);
    fkv_set_intent(table, intent); /* the commit point */
    for (uint32_t i = 0; i < count; i++)
        fkv_clear_partition_locked(table, &table->partitions[i], database);
    fkv_set_intent(table, NULL);
    for (uint32_t i = 0; i < count; i++)
        fkv_unflag_locked(&table->partitions[i]);
}

fkv_status fkv_clear(fkv_table *table, unsigned database) {
    if (database > FKV_ALL_DATABASES)
        return FKV_INVALID;
    fkv_status status = fkv_await_all(table);
    if (status == FKV_OK)
        status = fkv_write_begin(table);
    if (status != FKV_OK)
        return status;
    /* From the reserve: clearing must work in a full table, too. */
    fkv_intent *intent = fkv_compose_intent(table, 0, FKV_ROOM_RESERVE, &status);
    if (intent != NULL && (status = fkv_lock_all(table)) == FKV_OK) {
        clear_all(table, intent, database);
        fkv_unlock_all(table);
        fkv_recount_live(table);
    }
    fkv_append_settle(table);
    fkv_write_end(table);
    return status;
}
