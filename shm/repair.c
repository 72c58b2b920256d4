/* repair.c -- after a death: finish or drop what the dead had begun, and free its entry.
 *
 * Anyone may repair: a waiter that finds the owner of a lock dead mends what that lock guards; the
 * master, the keeper or an attaching process does the same for all that a dead participant held.
 * Each step can be killed and taken up again: a lock stays the repairer's until what it guards is
 * whole, and an entry stays taken until nothing is left of it. */
#include <stddef.h>

#include "internal.h"

static void count_repair(fkv_table *table) {
    atomic_fetch_add_explicit(&table->header->repairs, 1, memory_order_relaxed);
    atomic_store_explicit(&table->header->live_stale, 1, memory_order_relaxed);
    fkv_count_up(table->own, FKV_COUNT_repairs, 1);
}

/* The partition's lock was taken from the dead: slots are whole (each is one word), so finish a
 * commit, drop what a growth left behind, count everything afresh. */
void fkv_mend_partition(fkv_table *table, fkv_lock *lock, uint64_t dead) {
    (void)dead; /* what was going on is written in the partition, whoever died at it */
    fkv_partition *partition = (fkv_partition *)((char *)lock - offsetof(fkv_partition, lock));
    fkv_finish_commit_locked(table, partition);
    fkv_recount_locked(table, partition);
    atomic_store_explicit(&partition->shape,
                          atomic_load_explicit(&partition->shape, memory_order_relaxed) +
                              FKV_SHAPE_STEP, memory_order_release);
    count_repair(table);
}

void fkv_mend_list(fkv_table *table, fkv_lock *lock, uint64_t dead) {
    (void)lock, (void)dead;
    fkv_recount_list_listed(table);
    count_repair(table);
}

/* Takes `lock` if `dead` still holds it. True: it is ours, and mended. */
static bool take_from(fkv_table *table, fkv_lock *lock, uint64_t dead, fkv_mend mend) {
    uint64_t owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);
    while ((owner & ~FKV_LOCK_WAITERS) == dead) {
        if (fkv_lock_take_over(table, lock, owner, mend))
            return true;
        owner = atomic_load_explicit(&lock->owner, memory_order_relaxed); /* a waiter's bit */
    }
    return false;
}

/* A partition that the dead had flagged for a commit may be in the hands of another repairer, who
 * may die too: whoever gets the lock mends. */
static fkv_status finish_flagged(fkv_table *table, fkv_partition *partition, uint64_t dead) {
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_acquire);
    if (!(shape & FKV_SHAPE_COMMIT) || atomic_load(&partition->committer) != dead)
        return FKV_OK;
    return fkv_partition_settle(table, partition);
}

static fkv_status mend_all_of(fkv_table *table, uint64_t dead) {
    for (uint32_t i = 0; i < table->geometry.partition_count; i++) {
        fkv_partition *partition = &table->partitions[i];
        if (take_from(table, &partition->lock, dead, fkv_mend_partition))
            fkv_partition_unlock(table, partition);
        fkv_status status = finish_flagged(table, partition, dead);
        if (status != FKV_OK)
            return status;
    }
    if (take_from(table, &table->header->list_lock, dead, fkv_mend_list))
        fkv_list_unlock(table);
    return FKV_OK;
}

/* Frees the entry of a dead participant once nothing is left of it. Under the list lock, with the
 * identity unchanged, so that of two repairers the slower does not undo the entry's next user. */
static bool repair_entry(fkv_table *table, unsigned entry, uint64_t identity) {
    uint64_t dead = fkv_lock_word(entry, FKV_IDENTITY_GENERATION(identity));
    fkv_entry *e = &table->entries[entry];
    if (mend_all_of(table, dead) != FKV_OK || fkv_list_lock(table) != FKV_OK)
        return false;
    bool ours = atomic_load(&e->identity) == identity;
    if (ours) {
        fkv_adopt_segments_listed(table, entry);
        fkv_add_departed_listed(table, entry);
        atomic_store(&e->intent, 0);
        atomic_store_explicit(&e->identity,
                              FKV_IDENTITY(FKV_IDENTITY_GENERATION(identity), 0, 0),
                              memory_order_release);
        atomic_store(&table->header->live_stale, 1);
        atomic_fetch_add(&table->header->repairs, 1);
    }
    fkv_list_unlock(table);
    return ours;
}

unsigned fkv_repair_dead(fkv_table *table) {
    unsigned freed = 0;
    for (unsigned entry = 0; entry < FKV_ENTRIES; entry++) {
        uint64_t identity = atomic_load_explicit(&table->entries[entry].identity,
                                                 memory_order_acquire);
        if (FKV_IDENTITY_ROLE(identity) != 0 && !fkv_entry_alive(table, entry) &&
            atomic_load(&table->entries[entry].identity) == identity)
            freed += repair_entry(table, entry, identity);
    }
    return freed;
}

unsigned fkv_repair(fkv_table *table) {
    if (fkv_write_begin(table) != FKV_OK)
        return 0;
    unsigned freed = fkv_repair_dead(table);
    fkv_write_end(table);
    return freed;
}
