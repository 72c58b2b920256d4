/* rename.c -- a value under another name, as one step: rename, and copy.
 *
 * The key is part of the item, so the value is copied: look at the source without a lock, compose
 * the item of the new name privately, lock both partitions, and commit if the source's slot is
 * still the one that was looked at; else look again. */
#include "internal.h"

typedef struct transfer {
    const fkv_key *from, *to;
    unsigned flags;
    bool keep;       /* the source stays */
    fkv_found found; /* the source, as it was looked at */
    fkv_planned planned[2];
    fkv_partition *partitions[2];
    fkv_commit commit;
} transfer;

static bool lives(const fkv_found *found) {
    return !fkv_expired(found->expires_at_ms);
}

/* Whether the target was there at a moment when the source was too. */
static bool target_lives(const fkv_table *table, const transfer *t) {
    fkv_found found;
    return fkv_search_racy(table, t->to, &found) == FKV_SEARCH_HIT && lives(&found) &&
           fkv_still_valid(table, &found) && fkv_confirm_hit(table, &t->found);
}

/* Reads both keys without a lock. FKV_BUSY: interfered with. */
static fkv_status look(const fkv_table *table, transfer *t) {
    enum fkv_search search = fkv_search_racy(table, t->from, &t->found);
    if (search == FKV_SEARCH_RETRY ||
        (search == FKV_SEARCH_HIT && !fkv_still_valid(table, &t->found)))
        return FKV_BUSY;
    if (search == FKV_SEARCH_MISS || !lives(&t->found))
        return FKV_MISS;
    if ((t->flags & FKV_NX) && target_lives(table, t))
        return FKV_UNMET;
    return FKV_OK;
}

/* The item of the new name. Near the limit a rename may take the room of what it makes garbage. */
static fkv_item *compose_item(fkv_table *table, const transfer *t, fkv_status *ret_status) {
    uint64_t size = t->found.value_size;
    int64_t expires_at_ms = t->found.expires_at_ms;
    fkv_item *item = fkv_compose_any(table, t->to, size, expires_at_ms, ret_status);
    if (item == NULL && *ret_status == FKV_FULL && !t->keep && t->to->size <= t->from->size)
        item = fkv_compose(table, t->to, size, expires_at_ms, FKV_ROOM_REPLACE, ret_status);
    if (item == NULL)
        return NULL;
    fkv_copy_value(table, &t->found, (char *)fkv_item_value(item), size);
    fkv_append_done(table, item, expires_at_ms);
    return item;
}

static fkv_status compose(fkv_table *table, transfer *t) {
    fkv_status status = FKV_OK;
    fkv_partition *to = fkv_partition_of(table, t->to->hash);
    fkv_partition *from = fkv_partition_of(table, t->from->hash);
    const fkv_item *item = compose_item(table, t, &status);
    if (item == NULL)
        return status;
    t->planned[0] = (fkv_planned){.key = t->to, .item = item, .partition = to};
    t->planned[1] = (fkv_planned){.key = t->from, .partition = from};
    t->partitions[0] = to;
    t->partitions[1] = from;
    t->commit = (fkv_commit){t->planned, t->partitions, NULL, t->keep ? 1 : 2, 2};
    t->commit.intent = fkv_compose_intent(table, t->commit.count, FKV_ROOM_REPLACE, &status);
    return status;
}

/* Commits if the source has not changed. FKV_BUSY: it has. */
static fkv_status commit_locked(fkv_table *table, transfer *t) {
    fkv_found now;
    if (!fkv_search_locked(table, t->from, &now) || now.slot != t->found.slot ||
        now.generation != t->found.generation)
        return FKV_BUSY;
    fkv_status status = fkv_place_all_locked(table, &t->commit, t->flags);
    if (status == FKV_OK)
        fkv_commit_all_locked(table, &t->commit);
    return status;
}

/* One try. *ret_again: the source was not, or is no longer, what was looked at. */
static fkv_status try_transfer(fkv_table *table, transfer *t, bool *ret_again) {
    int tries = 0;
    fkv_status status = look(table, t);
    *ret_again = status == FKV_BUSY;
    if (status == FKV_OK)
        status = compose(table, t);
    if (status != FKV_OK)
        return status;
    do {
        status = fkv_lock_many(table, t->partitions, &t->commit.partition_count);
        if (status != FKV_OK)
            return status;
        status = commit_locked(table, t);
        *ret_again = status == FKV_BUSY;
        fkv_unlock_many(table, t->partitions, t->commit.partition_count);
    } while (fkv_make_index_room(table, status, &tries));
    return status;
}

static fkv_status transfer_value(fkv_table *table, transfer *t) {
    bool again = true;
    fkv_status status = FKV_OK;
    for (unsigned tries = 1; again; tries++) {
        status = try_transfer(table, t, &again);
        fkv_append_settle(table);
        if (again && tries % FKV_READ_TRIES == 0) {
            /* A commit is under way, or its process died: the lock waits for it, or repairs. */
            status = fkv_partition_settle(table, fkv_partition_of(table, t->from->hash));
            if (status != FKV_OK)
                return status;
        }
    }
    return status;
}

/* To itself: nothing changes, if it is there. */
static fkv_status transfer_to_itself(fkv_table *table, const fkv_key *key, unsigned flags) {
    uint64_t size;
    fkv_status status = fkv_size(table, key, &size);
    return status == FKV_OK && (flags & FKV_NX) ? FKV_UNMET : status;
}

static fkv_status transfer_once(fkv_table *table, const fkv_key *from, const fkv_key *to,
                                unsigned flags, bool keep) {
    transfer t = {.from = from, .to = to, .flags = flags, .keep = keep};
    fkv_status status = fkv_check_key(from);
    if (status == FKV_OK)
        status = fkv_check_key(to);
    if (status == FKV_OK && fkv_same_key(from, to))
        return transfer_to_itself(table, from, flags);
    if (status == FKV_OK)
        status = fkv_await_partition(table, fkv_partition_of(table, from->hash));
    if (status == FKV_OK)
        status = fkv_write_begin_at(table, fkv_partition_of(table, to->hash));
    if (status != FKV_OK)
        return status;
    status = transfer_value(table, &t);
    if (status == FKV_OK) {
        fkv_count_up(table->own, FKV_COUNT_sets, 1);
        fkv_count_up(table->own, FKV_COUNT_deletes, keep ? 0 : 1);
    }
    fkv_write_end(table);
    return status;
}

fkv_status fkv_rename(fkv_table *table, const fkv_key *from, const fkv_key *to, unsigned flags) {
    return transfer_once(table, from, to, flags, false);
}

fkv_status fkv_copy(fkv_table *table, const fkv_key *from, const fkv_key *to, unsigned flags) {
    return transfer_once(table, from, to, flags, true);
}
