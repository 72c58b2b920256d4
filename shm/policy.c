/* policy.c -- what a full table does, and how often its keys are used. */
#include "internal.h"

const char *fkv_policy_name(unsigned policy) {
    static const char *const names[] = {[FKV_NOEVICTION] = "noeviction", [FKV_S3FIFO] = "s3fifo"};
    return policy < sizeof names / sizeof *names ? names[policy] : NULL;
}

fkv_policy fkv_read_policy(const fkv_table *table) {
    return fkv_evicts(table) ? FKV_S3FIFO : FKV_NOEVICTION;
}

/* Stores the policy and, for eviction, reserves the ghosts. FKV_FULL: no room for those yet. */
static fkv_status set_policy(fkv_table *table, fkv_policy policy) {
    const fkv_geometry *g = &table->geometry;
    fkv_header *h = table->header;
    fkv_status status = fkv_list_lock(table);
    if (status != FKV_OK)
        return status;
    atomic_store_explicit(&h->policy, policy, memory_order_relaxed);
    if (policy == FKV_S3FIFO && !atomic_load(&h->ghosts_reserved)) {
        status = fkv_reserve_listed(table, g->ghosts_off, g->ghost_bytes);
        if (status == FKV_OK)
            atomic_store_explicit(&h->ghosts_reserved, 1, memory_order_release);
    }
    fkv_list_unlock(table);
    return status;
}

/* A full table makes room for its ghosts by evicting, as the policy says. They stay reserved from
 * then on. Without them, as when /dev/shm is full, eviction only chooses less well. */
fkv_status fkv_set_policy(fkv_table *table, fkv_policy policy) {
    if (fkv_policy_name(policy) == NULL)
        return FKV_INVALID;
    fkv_status status = fkv_write_begin(table);
    if (status != FKV_OK)
        return status;
    uint64_t tries = 2 * (table->geometry.ghost_bytes >> table->segment_shift) + 16;
    do
        status = set_policy(table, policy);
    while (status == FKV_FULL && tries-- > 0 && fkv_reclaim_one(table) == FKV_OK);
    fkv_append_settle(table);
    fkv_write_end(table);
    return status == FKV_FULL || status == FKV_NO_SPACE ? FKV_OK : status;
}

/* ---- access counts --------------------------------------------------------------------------- */

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
