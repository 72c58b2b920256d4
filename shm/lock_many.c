/* lock_many.c -- several partitions at once, always in ascending order, so that nobody waits in a
 * circle. */
#include <stdlib.h>

#include "internal.h"

static int compare_pointers(const void *a, const void *b) {
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return x < y ? -1 : x > y;
}

/* Sorts, drops repeats, locks in ascending order: the one order everybody takes. */
fkv_status fkv_lock_many(fkv_table *table, fkv_partition **partitions, size_t *count) {
    size_t unique = 0;
    qsort(partitions, *count, sizeof *partitions, compare_pointers);
    for (size_t i = 0; i < *count; i++)
        if (unique == 0 || partitions[unique - 1] != partitions[i])
            partitions[unique++] = partitions[i];
    *count = unique;
    for (size_t i = 0; i < unique; i++) {
        fkv_status status = fkv_partition_lock(table, partitions[i]);
        if (status != FKV_OK) {
            while (i-- > 0)
                fkv_partition_unlock(table, partitions[i]);
            return status;
        }
    }
    return FKV_OK;
}

void fkv_unlock_many(fkv_table *table, fkv_partition **partitions, size_t count) {
    while (count-- > 0)
        fkv_partition_unlock(table, partitions[count]);
}

fkv_status fkv_lock_all(fkv_table *table) {
    for (uint32_t i = 0; i < table->geometry.partition_count; i++) {
        fkv_status status = fkv_partition_lock(table, &table->partitions[i]);
        if (status != FKV_OK) {
            while (i-- > 0)
                fkv_partition_unlock(table, &table->partitions[i]);
            return status;
        }
    }
    return FKV_OK;
}

void fkv_unlock_all(fkv_table *table) {
    for (uint32_t i = table->geometry.partition_count; i-- > 0;)
        fkv_partition_unlock(table, &table->partitions[i]);
}
