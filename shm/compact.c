/* compact.c -- neighbouring segments for a value that is larger than one: what lies there moves.
 *
 * Comes after all else: mostly there is a stretch of places that are free or absent (segment.c).
 * The stretch with the least to move is chosen; what is free in it is claimed first, so that the
 * copies go elsewhere; then each item is moved like any other: copied, and published under its
 * partition's lock. So the work is at most a copy of as many bytes as are wanted.
 *
 * It is begun only if, when all is moved, half of the reserve is left. Two that begin at the same
 * time may still find less than that. Then a copy finds no segment, and whoever made it gives back
 * what it has claimed, frees what it has emptied, and leaves the rest where it was: nobody waits
 * for memory while he keeps any, so nobody waits in a circle. Where runs are in the way, slide.c
 * moves those. */
#include "internal.h"

/* ---- choosing -------------------------------------------------------------------------------- */

/* A stretch on its way over the heads, and what it would take to empty it. */
typedef struct stretch {
    uint32_t first, length;
    uint64_t move_bytes;      /* what lives in it */
    uint32_t free, obstacles; /* segments: to be had at once, or not to be had */
} stretch;

/* Adds a segment to a stretch, or takes it away. */
static void count_in(const fkv_table *table, stretch *s, uint32_t segment, int by) {
    int64_t live = atomic_load_explicit(&table->heads[segment].live_bytes, memory_order_relaxed);
    switch (FKV_STATE_KIND(fkv_state_of(table, segment))) {
    case FKV_SEGMENT_ABSENT:
    case FKV_SEGMENT_FREE:
        s->free += (uint32_t)by;
        return;
    case FKV_SEGMENT_CLOSED:
        s->move_bytes += live > 0 ? (uint64_t)(by * live) : 0;
        return;
    default:
        s->obstacles += (uint32_t)by;
    }
}

/* Whether nothing is in the way, and there is room elsewhere for what lives in the stretch. */
static bool can_empty(const fkv_table *table, const stretch *s) {
    uint64_t copies = (s->move_bytes >> table->segment_shift) + (s->move_bytes > 0 ? 2 : 0);
    return s->obstacles == 0 && fkv_segments_available(table) >=
                                    s->free + copies + table->geometry.reserve_segments / 2;
}

static stretch count_stretch(const fkv_table *table, uint32_t first, uint32_t length) {
    stretch s = {.first = first, .length = length};
    for (uint32_t i = 0; i < length; i++)
        count_in(table, &s, first + i, 1);
    return s;
}

bool fkv_can_empty_stretch(const fkv_table *table, uint32_t first, uint32_t length) {
    stretch s = count_stretch(table, first, length);
    return can_empty(table, &s);
}

/* The stretch with least to move, from the high end, where runs lie. */
static uint32_t cheapest(const fkv_table *table, uint32_t length) {
    stretch s = count_stretch(table, table->geometry.segment_count - length, length);
    uint64_t least = UINT64_MAX;
    uint32_t best = FKV_NO_SEGMENT;
    for (;; s.first--) {
        if (s.move_bytes < least && can_empty(table, &s))
            least = s.move_bytes, best = s.first;
        if (s.first == 0)
            return best;
        count_in(table, &s, s.first + length - 1, -1);
        count_in(table, &s, s.first - 1, 1);
    }
}

/* ---- emptying -------------------------------------------------------------------------------- */

/* Makes what is free in the stretch ours, so that no copy and nobody else goes there. */
static fkv_status claim_stretch_listed(fkv_table *table, uint32_t first, uint32_t length) {
    fkv_status status = FKV_OK;
    for (uint32_t i = first; status == FKV_OK && i < first + length; i++)
        if (FKV_STATE_KIND(fkv_state_of(table, i)) <= FKV_SEGMENT_FREE)
            status = fkv_claim_free_listed(table, i);
    return status;
}

static fkv_status empty_closed(fkv_table *table, uint32_t segment) {
    fkv_emptying e = {.segment = segment, .queue = fkv_queue_of(table, segment)};
    uint64_t state = FKV_STATE(FKV_SEGMENT_CLOSED, 0, 0);
    bool done;
    if (!atomic_compare_exchange_strong(&table->heads[segment].state, &state,
                                        fkv_victim_of(table, 0)))
        return FKV_OK; /* ours already, or lost to somebody: then there will be no run */
    fkv_status status = fkv_empty_some(table, &e, UINT64_MAX / 2, &done);
    if (status != FKV_OK)
        fkv_leave_segment(table, segment);
    return status;
}

fkv_status fkv_empty_stretch(fkv_table *table, uint32_t first, uint32_t length) {
    fkv_status status = fkv_list_lock(table);
    if (status != FKV_OK)
        return status;
    status = claim_stretch_listed(table, first, length);
    fkv_list_unlock(table);
    for (uint32_t i = first; status == FKV_OK && i < first + length; i++)
        status = empty_closed(table, i);
    return status;
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* The stretch is freed and taken in one go, so that nobody gets a part of it first. Without the
 * list lock its segments are left to whoever reclaims next. */
fkv_status fkv_take_stretch(fkv_table *table, uint32_t first, uint32_t length,
                            enum fkv_queue queue, fkv_status emptied) {
    fkv_status status = fkv_list_lock(table);
    for (uint32_t i = first; i < first + length; i++) {
        if (fkv_state_of(table, i) != fkv_victim_of(table, 0))
            continue;
        if (status == FKV_OK)
            fkv_free_segment_listed(table, i);
        else
            fkv_leave_segment(table, i);
    }
    if (status != FKV_OK)
        return status;
    if (emptied == FKV_OK)
        emptied = fkv_take_stretch_listed(table, first, length, queue);
    fkv_list_unlock(table);
    return emptied;
}

fkv_status fkv_reclaim_stretch(fkv_table *table, uint32_t length, enum fkv_queue queue,
                               uint32_t *ret) {
    if (length > table->geometry.segment_count)
        return FKV_MISS;
    *ret = cheapest(table, length);
    if (*ret == FKV_NO_SEGMENT)
        return FKV_MISS;
    fkv_status status = fkv_empty_stretch(table, *ret, length);
    return fkv_take_stretch(table, *ret, length, queue, status);
}
