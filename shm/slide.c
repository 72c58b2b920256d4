/* slide.c -- runs in the way of a larger one move together, one at a time, until there is room.
 *
 * Between runs lie holes: segments that are free or absent, or could be emptied. A run that moves
 * to the far end of the hole beside it joins the holes on both sides; one that moves into another
 * hole leaves its own place to them as well. The move is taken that makes long holes longest for
 * its cost: each adds to the sum of the squares of all holes, so this comes to an end. A run is
 * moved as a whole, to a place that does not overlap its own.
 *
 * Some run can always be moved. Let M segments fit in memory, n be wanted, and no hole be so long.
 * There are 2M places, and runs have less than M - n of them, for else the value would be refused.
 * So holes have more than M + n, and there are more than M / n runs between them; then the mean
 * hole is longer than the mean run, and the shortest run fits into the longest hole. */
#include <stdlib.h>

#include "internal.h"

enum block_kind { HOLE, RUN, WALL };

/* A piece of the segments. They alternate: a hole, perhaps of no length, then something else. */
typedef struct block {
    enum block_kind kind;
    uint32_t first, length;
} block;

typedef struct blocks {
    block *at;
    uint32_t count;
    uint32_t wanted; /* segments in one hole */
} blocks;

typedef struct move {
    uint32_t run, to; /* a block; a segment */
    double worth;     /* 0: none */
} move;

/* ---- choosing -------------------------------------------------------------------------------- */

static block next_block(const fkv_table *table, uint32_t first) {
    uint32_t count = table->geometry.segment_count, length = 0;
    uint64_t state;
    while (first + length < count &&
           (FKV_STATE_KIND(state = fkv_state_of(table, first + length)) <= FKV_SEGMENT_FREE ||
            FKV_STATE_KIND(state) == FKV_SEGMENT_CLOSED))
        length++;
    return (block){HOLE, first, length};
}

static block next_obstacle(const fkv_table *table, uint32_t first) {
    uint64_t state = fkv_state_of(table, first);
    bool whole_run = FKV_STATE_KIND(state) == FKV_SEGMENT_RUN && FKV_STATE_OWNER(state) == 0 &&
                     FKV_STATE_LENGTH(state) > 0;
    return whole_run ? (block){RUN, first, fkv_run_length(table, first, state)}
                     : (block){WALL, first, 1};
}

static bool read_blocks(const fkv_table *table, blocks *b) {
    uint32_t segments = table->geometry.segment_count;
    b->count = 0;
    b->at = malloc((2 * (size_t)segments + 1) * sizeof *b->at);
    if (b->at == NULL)
        return false;
    for (uint32_t at = 0;;) {
        block hole = b->at[b->count++] = next_block(table, at);
        if ((at = hole.first + hole.length) >= segments)
            return true;
        block obstacle = b->at[b->count++] = next_obstacle(table, at);
        at = obstacle.first + obstacle.length;
    }
}

static double square(double n) {
    return n * n;
}

/* What a move is worth that makes a hole of `length` and adds `gain` to the squares. A hole that is
 * long enough is worth more than any that is not. */
static double worth(const blocks *b, uint32_t length, double gain, uint32_t cost) {
    double enough = length >= b->wanted ? 1e18 : 0;
    return gain > 0 ? (enough + gain) / cost : 0;
}

static void consider(move *best, uint32_t run, uint32_t to, double worth) {
    if (worth > best->worth)
        *best = (move){run, to, worth};
}

/* The smallest hole, not beside the run, that the run fits in; or NULL. */
static const block *best_fit(const blocks *b, uint32_t run) {
    const block *best = NULL;
    for (uint32_t i = 0; i < b->count; i += 2) {
        bool beside = i + 1 == run || i == run + 1;
        if (!beside && b->at[i].length >= b->at[run].length &&
            (best == NULL || b->at[i].length < best->length))
            best = &b->at[i];
    }
    return best;
}

static void consider_run(const blocks *b, uint32_t i, move *best) {
    const block *run = &b->at[i], *below = run - 1, *above = run + 1;
    uint32_t joined = below->length + above->length;
    double gain = 2.0 * below->length * above->length;
    if (run->length <= below->length)
        consider(best, i, below->first, worth(b, joined, gain, run->length));
    if (run->length <= above->length)
        consider(best, i, above->first + above->length - run->length,
                 worth(b, joined, gain, run->length));
    const block *other = best_fit(b, i);
    if (other == NULL)
        return;
    gain = square(joined + run->length) - square(below->length) - square(above->length) +
           square(other->length - run->length) - square(other->length);
    consider(best, i, other->first + other->length - run->length,
             worth(b, joined + run->length, gain, run->length));
}

static move best_move(const blocks *b) {
    move best = {0};
    for (uint32_t i = 1; i < b->count; i += 2)
        if (b->at[i].kind == RUN)
            consider_run(b, i, &best);
    return best;
}

/* ---- moving ---------------------------------------------------------------------------------- */

/* Publishes the copy of a run's item, unless that is dead by now; then so is the copy. */
static fkv_status publish_copy(fkv_table *table, const fkv_item *item, const fkv_item *copy) {
    fkv_key key = fkv_key_of(table, item);
    fkv_partition *partition = fkv_partition_of(table, key.hash);
    fkv_found found;
    fkv_status status = fkv_partition_lock(table, partition);
    if (status != FKV_OK)
        return status;
    if (fkv_find_item_locked(table, &key, item, &found)) {
        fkv_slot_store_locked(table, partition, found.slot_at,
                              fkv_moved_slot(table, found.slot, copy), key.hash);
        fkv_count_up(table->own, FKV_COUNT_bytes_copied, fkv_item_size(item));
    }
    fkv_partition_unlock(table, partition);
    return FKV_OK;
}

static fkv_status copy_run(fkv_table *table, const block *run, uint32_t to) {
    const fkv_item *item = (const fkv_item *)(table->base + fkv_segment_offset(table, run->first));
    fkv_item *copy = (fkv_item *)(table->base + fkv_segment_offset(table, to));
    fkv_status status = fkv_empty_stretch(table, to, run->length);
    status = fkv_take_stretch(table, to, run->length, fkv_queue_of(table, run->first), status);
    if (status != FKV_OK)
        return status;
    memcpy(copy, item, fkv_item_size(item));
    fkv_append_done(table, copy, fkv_item_expiry(item));
    status = publish_copy(table, item, copy);
    fkv_leave_segment(table, to); /* live, or garbage */
    return status;
}

/* Moves a run to `to`, and frees its place. FKV_FULL: somebody was faster. */
static fkv_status move_run(fkv_table *table, const block *run, uint32_t to) {
    uint64_t state = FKV_STATE(FKV_SEGMENT_RUN, 0, run->length);
    if (!atomic_compare_exchange_strong(&table->heads[run->first].state, &state,
                                        fkv_victim_of(table, run->length)))
        return FKV_FULL;
    fkv_status status = FKV_OK;
    if (!fkv_holds_nothing(table, run->first))
        status = copy_run(table, run, to);
    if (status == FKV_OK)
        status = fkv_list_lock(table);
    if (status != FKV_OK) {
        fkv_leave_segment(table, run->first);
        return status;
    }
    fkv_free_segment_listed(table, run->first);
    fkv_list_unlock(table);
    return FKV_OK;
}

fkv_status fkv_slide_one(fkv_table *table, uint32_t wanted, uint32_t *ret_moved) {
    blocks b = {.wanted = wanted};
    fkv_status status = FKV_MISS;
    if (read_blocks(table, &b)) {
        move best = best_move(&b);
        const block *run = &b.at[best.run];
        *ret_moved = run->length;
        if (best.worth > 0 && fkv_can_empty_stretch(table, best.to, run->length))
            status = move_run(table, run, best.to);
    }
    free(b.at);
    return status;
}
