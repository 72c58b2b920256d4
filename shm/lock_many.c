/* lock_many.c -- several partitions at once, always in ascending order, so that nobody waits in a
 * circle. */
#include <stdlib.h>

#include "internal.h"

static int compare_pointers(const void *a, const void *b) {
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return x < y ? -1 : x > y;
}

/* Sorts, drops repeats, locks in ascending order: the one order everybody takes. But first it waits
 * for each while it holds no other: whoever waits for a stopped process with locks in his hands
 * stops others. A process that is stopped just between this and the take can do so still. */
fkv_status fkv_lock_many(fkv_table *table, fkv_partition **partitions, size_t *count) {
    size_t unique = 0;
    qsort(partitions, *count, sizeof *partitions, compare_pointers);
    for (size_t i = 0; i < *count; i++)
        if (unique == 0 || partitions[unique - 1] != partitions[i])
            partitions[unique++] = partitions[i];
    *count = unique;
    fkv_status status = FKV_OK;
    for (size_t i = 0; status == FKV_OK && i < unique; i++)
        status = fkv_await_partition(table, partitions[i]);
    size_t locked = 0;
    while (status == FKV_OK && locked < unique &&
           (status = fkv_partition_lock(table, partitions[locked])) == FKV_OK)
        locked++;
    if (status != FKV_OK)
        fkv_unlock_many(table, partitions, locked);
    return status;
}

void fkv_unlock_many(fkv_table *table, fkv_partition **partitions, size_t count) {
    while (count-- > 0)
        fkv_partition_unlock(table, partitions[count]);
}

static void unlock_first(fkv_table *table, uint32_t count) {
    while (count-- > 0)
        fkv_partition_unlock(table, &table->partitions[count]);
}

fkv_status fkv_lock_all(fkv_table *table) {
    fkv_status status = fkv_await_all(table);
    uint32_t locked = 0;
    while (status == FKV_OK && locked < table->geometry.partition_count &&
           (status = fkv_partition_lock(table, &table->partitions[locked])) == FKV_OK)
        locked++;
    if (status != FKV_OK)
        unlock_first(table, locked);
    return status;
}

void fkv_unlock_all(fkv_table *table) {
    unlock_first(table, table->geometry.partition_count);
}
