/* set_many.c -- storing many keys: compose each, lock their partitions, commit. */
#include <stdlib.h>

#include "internal.h"

typedef struct set_many {
    fkv_commit commit;
    const fkv_pair **pairs; /* of `commit.planned`, in the same order */
    unsigned flags;
    int64_t expires_at_ms;
} set_many;

/* By hash, which is by partition too, then by key; of equal keys the later pair comes last. */
static int compare_pairs(const void *a, const void *b) {
    const fkv_pair *x = *(const fkv_pair *const *)a, *y = *(const fkv_pair *const *)b;
    const fkv_key *k = &x->key, *l = &y->key;
    if (k->hash != l->hash)
        return k->hash < l->hash ? -1 : 1;
    if (k->database != l->database)
        return k->database < l->database ? -1 : 1;
    if (k->size != l->size)
        return k->size < l->size ? -1 : 1;
    int order = memcmp(k->data, l->data, k->size);
    return order != 0 ? order : x < y ? -1 : 1;
}

/* One of each key, partition by partition. */
static void sort_pairs(const fkv_table *table, set_many *work, const fkv_pair *pairs) {
    fkv_commit *commit = &work->commit;
    size_t unique = 0;
    for (size_t i = 0; i < commit->count; i++)
        work->pairs[i] = &pairs[i];
    qsort(work->pairs, commit->count, sizeof *work->pairs, compare_pairs);
    for (size_t i = 0; i < commit->count; i++) {
        const fkv_pair *pair = work->pairs[i];
        if (i + 1 < commit->count && fkv_same_key(&pair->key, &work->pairs[i + 1]->key))
            continue;
        fkv_partition *partition = fkv_partition_of(table, pair->key.hash);
        commit->planned[unique] = (fkv_planned){.key = &pair->key, .partition = partition};
        commit->partitions[unique] = partition;
        work->pairs[unique++] = pair;
    }
    commit->count = commit->partition_count = unique;
}

static fkv_status compose_all(fkv_table *table, set_many *work) {
    fkv_commit *commit = &work->commit;
    fkv_status status = FKV_OK;
    for (size_t i = 0; i < commit->count; i++) {
        const fkv_pair *pair = work->pairs[i];
        fkv_item *item = fkv_compose_any(table, &pair->key, pair->value_size, work->expires_at_ms,
                                         &status);
        if (item == NULL)
            return status;
        if (pair->value_size > 0)
            memcpy((char *)fkv_item_value(item), pair->value, pair->value_size);
        fkv_append_done(table, item, work->expires_at_ms);
        commit->planned[i].item = item;
    }
    commit->intent = fkv_compose_intent(table, commit->count, FKV_ROOM_REPLACE, &status);
    return commit->intent != NULL ? FKV_OK : status;
}

static fkv_status set_all(fkv_table *table, set_many *work, const fkv_pair *pairs) {
    fkv_commit *commit = &work->commit;
    int tries = 0;
    sort_pairs(table, work, pairs);
    fkv_status status = compose_all(table, work);
    if (status != FKV_OK)
        return status;
    do {
        status = fkv_lock_many(table, commit->partitions, &commit->partition_count);
        if (status != FKV_OK)
            return status;
        status = fkv_place_all_locked(table, commit, work->flags);
        if (status == FKV_OK)
            fkv_commit_all_locked(table, commit);
        fkv_unlock_many(table, commit->partitions, commit->partition_count);
    } while (fkv_make_index_room(table, status, &tries));
    return status;
}

fkv_status fkv_set_many(fkv_table *table, const fkv_pair *pairs, size_t count, unsigned flags,
                        int64_t expires_at_ms) {
    fkv_status status = FKV_OK;
    for (size_t i = 0; status == FKV_OK && i < count; i++)
        status = fkv_check_key(&pairs[i].key);
    if (status != FKV_OK || count == 0)
        return status;
    set_many work = {.commit.count = count, .flags = flags, .expires_at_ms = expires_at_ms};
    fkv_commit *commit = &work.commit;
    commit->planned =
        malloc(count * (sizeof *commit->planned + sizeof *commit->partitions + sizeof *work.pairs));
    if (commit->planned == NULL)
        return FKV_SYSTEM;
    commit->partitions = (fkv_partition **)(commit->planned + count);
    work.pairs = (const fkv_pair **)(commit->partitions + count);
    for (size_t i = 0; status == FKV_OK && i < count; i++)
        status = fkv_await_partition(table, fkv_partition_of(table, pairs[i].key.hash));
    if (status == FKV_OK)
        status = fkv_write_begin(table);
    if (status == FKV_OK) {
        status = set_all(table, &work, pairs);
        fkv_append_settle(table);
        if (status == FKV_OK)
            fkv_count_up(table->own, FKV_COUNT_sets, commit->count);
        fkv_write_end(table);
    }
    free(commit->planned);
    return status;
}
