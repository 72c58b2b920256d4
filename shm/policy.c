/* policy.c -- what a full table does, and how often its keys are used. */
#include "internal.h"

const char *fkv_policy_name(unsigned policy) {
    static const char *const names[] = {[FKV_NOEVICTION] = "noeviction", [FKV_S3FIFO] = "s3fifo"};
    return policy < sizeof names / sizeof *names ? names[policy] : NULL;
}

fkv_policy fkv_read_policy(const fkv_table *table) {
    return fkv_evicts(table) ? FKV_S3FIFO : FKV_NOEVICTION;
}

/* The ghosts are reserved once. Without room for them eviction goes on without: somebody who sets
 * the policy again may find it. */
static void reserve_ghosts_listed(fkv_table *table) {
    const fkv_geometry *g = &table->geometry;
    if (!atomic_load(&table->header->ghosts_reserved) &&
        fkv_reserve_listed(table, g->ghosts_off, g->ghost_bytes) == FKV_OK)
        atomic_store_explicit(&table->header->ghosts_reserved, 1, memory_order_release);
}

fkv_status fkv_set_policy(fkv_table *table, fkv_policy policy) {
    if (fkv_policy_name(policy) == NULL)
        return FKV_INVALID;
    fkv_status status = fkv_write_begin(table);
    if (status != FKV_OK)
        return status;
    status = fkv_list_lock(table);
    if (status == FKV_OK) {
        atomic_store_explicit(&table->header->policy, policy, memory_order_relaxed);
        if (policy == FKV_S3FIFO)
            reserve_ghosts_listed(table);
        fkv_list_unlock(table);
    }
    fkv_write_end(table);
    return status;
}

/* ---- access counts --------------------------------------------------------------------------- */

_Atomic uint8_t *fkv_access_of(_Atomic uint64_t *slot_at) {
    fkv_bucket *bucket = (fkv_bucket *)((uintptr_t)slot_at & ~(uintptr_t)(sizeof(fkv_bucket) - 1));
    return &bucket->access[slot_at - bucket->slots];
}

/* One more use of a key, up to FKV_ACCESS_MAX: keys that are used all the time cost no store. By
 * CAS, for the slot may have been emptied since it was found, and claimed by a commit, whose mark
 * must stay. */
void fkv_count_access(_Atomic uint64_t *slot_at) {
    _Atomic uint8_t *access = fkv_access_of(slot_at);
    uint8_t count = atomic_load_explicit(access, memory_order_relaxed);
    if (count < FKV_ACCESS_MAX)
        atomic_compare_exchange_strong_explicit(access, &count, (uint8_t)(count + 1),
                                                memory_order_relaxed, memory_order_relaxed);
}
