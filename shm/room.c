/* room.c -- a private place for an item to come: in this process's open segment, or in a run.
 *
 * During an operation a process appends to open segments of its own, so writing an item takes no
 * lock. A segment that may hold unpublished items stays its owner's until the operation ends; then
 * it is anybody's, and he just comes back to it: so an idle process keeps no memory to itself. */
#include "internal.h"

#define ROOM_TRIES 128 /* a bound on the work of one writer, never met unless all items are huge */
#define REPLACE_TRIES 1024 /* for what takes no more than it replaces: there is room for it */
#define INDEX_TRIES 16
#define SLIDE_TIMES 4  /* segments of runs moved at most, for each that is wanted */
#define SWEEP_PAGES 16
#define SWEEP_TRIES 8
#define TRIES_ALONE 24 /* with nothing to reclaim: somebody may have been at it when we looked */
#define TRIES_DISK_FULL 3 /* the same, where it is not for others to give */
#define NAP_US 100     /* while others are at it; doubles with every eighth try, five times */

/* What somebody wants room for. */
typedef struct wanted {
    uint64_t bytes; /* of memory: whole segments if it is a run */
    enum fkv_queue queue;
    enum fkv_room kind;
    uint32_t length, tries;
    uint32_t moved; /* segments of runs that were in the way */
    uint32_t run; /* that reclaim has taken for it, or FKV_NO_SEGMENT */
    bool disk_full; /* the kernel has refused, so what the limit leaves is not to be had */
} wanted;

/* ---- the open segments ----------------------------------------------------------------------- */

static void hold(fkv_table *table, uint32_t segment) {
    table->held[table->held_count++] = segment;
}

/* The one before stays ours until the operation ends: it may hold items not yet published. */
static void append_to(fkv_table *table, enum fkv_queue queue, uint32_t segment) {
    if (table->opened[queue])
        hold(table, table->tail[queue]);
    table->tail[queue] = segment;
    table->opened[queue] = true;
}

void fkv_append_forget(fkv_table *table) {
    for (unsigned q = 0; q < FKV_QUEUES; q++) {
        table->tail[q] = FKV_NO_SEGMENT;
        table->opened[q] = false;
    }
    table->held_count = 0;
    table->holds_items = false;
    table->appended_bytes = 0;
    table->emptying.segment = FKV_NO_SEGMENT;
}

void fkv_append_close(fkv_table *table) {
    table->holds_items = false;
    while (table->held_count > 0)
        fkv_leave_segment(table, table->held[--table->held_count]);
    for (unsigned q = 0; q < FKV_QUEUES; q++)
        if (table->opened[q]) {
            table->opened[q] = false;
            fkv_leave_segment(table, table->tail[q]);
        }
}

void fkv_append_settle(fkv_table *table) {
    uint64_t written = table->appended_bytes;
    fkv_append_close(table);
    fkv_reclaim_step(table, written);
    fkv_append_close(table);
    table->appended_bytes = 0;
}

/* Opens `segment` for us if it is nobody's. */
static bool open_closed(fkv_table *table, uint32_t segment) {
    uint64_t closed = FKV_STATE(FKV_SEGMENT_CLOSED, 0, 0);
    uint64_t ours = FKV_STATE(FKV_SEGMENT_OPEN, table->entry + 1, 0);
    if (!atomic_compare_exchange_strong(&table->heads[segment].state, &closed, ours))
        return false;
    atomic_thread_fence(memory_order_release); /* as in prepare_listed, which another ran */
    return true;
}

static bool has_room(const fkv_table *table, uint32_t segment, uint64_t bytes) {
    return FKV_STATE_KIND(fkv_state_of(table, segment)) == FKV_SEGMENT_CLOSED &&
           atomic_load(&table->heads[segment].append) <= table->segment_bytes - bytes;
}

/* Reopens a closed segment that has room: what others do not fill, because they are idle, gone or
 * dead, is not lost. `any`: where an item fits is enough, of whatever queue. */
static bool reopen(fkv_table *table, const wanted *want, bool any) {
    uint64_t least = any ? 0 : FKV_WORTH_REOPENING(table);
    uint64_t bytes = want->bytes > least ? want->bytes : least;
    for (uint32_t i = 0; i < table->geometry.segment_count; i++)
        if (has_room(table, i, bytes) && (any || fkv_queue_of(table, i) == want->queue) &&
            open_closed(table, i)) {
            append_to(table, want->queue, i);
            return true;
        }
    return false;
}

/* Between operations the tail is anybody's, so that no process keeps memory to itself: it may have
 * been filled by another since, or freed, and be anything. */
static bool open_tail(fkv_table *table, enum fkv_queue queue) {
    uint32_t tail = table->tail[queue];
    if (table->opened[queue])
        return true;
    table->tail[queue] = FKV_NO_SEGMENT;
    if (tail == FKV_NO_SEGMENT || fkv_queue_of(table, tail) != queue || !open_closed(table, tail))
        return false;
    append_to(table, queue, tail);
    return true;
}

static fkv_item *open_room(fkv_table *table, uint64_t bytes, enum fkv_queue queue) {
    if (!open_tail(table, queue))
        return NULL;
    uint32_t tail = table->tail[queue];
    uint64_t append = atomic_load_explicit(&table->heads[tail].append, memory_order_relaxed);
    if (append > table->segment_bytes - bytes)
        return NULL;
    return (fkv_item *)(table->base + fkv_segment_offset(table, tail) + append);
}

/* A segment to append to: where memory is scarce one that has room; in the last resort any end that
 * the item fits in, for others may have left no other. */
static fkv_status next_segment(fkv_table *table, const wanted *want) {
    uint32_t segment, reserve = table->geometry.reserve_segments;
    if (want->kind == FKV_ROOM_GROW && !fkv_may_grow(table, want->bytes, 0))
        return FKV_FULL;
    if (want->kind != FKV_ROOM_RESERVE && atomic_load(&table->header->free_segments) <= reserve &&
        reopen(table, want, false))
        return FKV_OK;
    fkv_status status = fkv_take_segments(table, 1, want->queue, want->kind, &segment);
    if (status == FKV_OK)
        append_to(table, want->queue, segment);
    else if (want->kind != FKV_ROOM_GROW && reopen(table, want, true))
        status = FKV_OK;
    return status;
}

/* ---- making room ---------------------------------------------------------------------------- */

/* Whether other processes have just freed what we lack, or are at it: emptying a segment, or using
 * for an operation what reclaim would copy to, or from. */
static bool others_make_room(const fkv_table *table, const wanted *want) {
    uint64_t to_be_had = want->disk_full ? atomic_load(&table->header->free_segments)
                                         : fkv_segments_available(table);
    if (to_be_had >= want->length + table->geometry.reserve_segments)
        return true;
    for (uint32_t i = 0; i < table->geometry.segment_count; i++) {
        uint64_t state = fkv_state_of(table, i);
        if (fkv_is_others(table, state) && !fkv_stands_still(table, FKV_STATE_OWNER(state) - 1))
            return true;
    }
    return false;
}

/* We have waited for others in vain: the next write waits for those of them only that move. */
static void note_others(fkv_table *table) {
    for (uint32_t i = 0; i < table->geometry.segment_count; i++)
        if (fkv_is_others(table, fkv_state_of(table, i)))
            fkv_note_standing(table, FKV_STATE_OWNER(fkv_state_of(table, i)) - 1);
}

/* Nothing to reclaim for us: what the dead held, or what others are at. */
static bool await_room(fkv_table *table, const wanted *want) {
    unsigned doublings = want->tries / 8 < 5 ? want->tries / 8 : 5;
    if (fkv_repair_dead(table) > 0)
        return true;
    if (!others_make_room(table, want) &&
        want->tries >= (want->disk_full ? TRIES_DISK_FULL : TRIES_ALONE))
        return false;
    if (want->tries >= ROOM_TRIES - 1) {
        note_others(table);
        return false;
    }
    fkv_nap(table, NAP_US << doublings);
    return true;
}

/* For a run: dead ones go, then a stretch is emptied. If there is none, runs are in the way, and
 * one moves; or too much lives everywhere, and garbage comes first. */
static fkv_status reclaim_for_run(fkv_table *table, wanted *want) {
    uint32_t run, moved = 0;
    fkv_status status = fkv_reclaim_dead_run(table);
    if (status != FKV_MISS)
        return status;
    status = fkv_reclaim_stretch(table, want->length, want->queue, &run);
    if (status == FKV_OK)
        want->run = run;
    if (status != FKV_MISS || want->moved >= SLIDE_TIMES * want->length ||
        fkv_segments_available(table) < want->length + table->geometry.reserve_segments / 2)
        return status;
    status = fkv_slide_one(table, want->length, &moved);
    want->moved += moved;
    return status;
}

static fkv_status reclaim(fkv_table *table, wanted *want) {
    fkv_status status = want->length > 1 ? reclaim_for_run(table, want) : FKV_MISS;
    return status == FKV_MISS || status == FKV_FULL ? fkv_reclaim_one(table) : status;
}

/* Keys that have expired must not keep others out; a few pages at a time. */
static bool sweep_for_room(fkv_table *table) {
    bool more = true;
    for (unsigned tries = 0; more && tries < SWEEP_TRIES; tries++)
        if (fkv_sweep_some(table, SWEEP_PAGES, &more) > 0)
            return true;
    return false;
}

/* Room by reclaiming. FKV_OK: worth another try; else what is in the way. */
static fkv_status make_room(fkv_table *table, wanted *want) {
    if (want->kind == FKV_ROOM_RESERVE)
        return FKV_FULL;
    if (!table->holds_items) /* who waits keeps nothing: what others wait for may lie in there */
        fkv_append_close(table);
    if (atomic_exchange(&table->header->live_stale, 0))
        fkv_recount_live(table);
    if (want->kind == FKV_ROOM_GROW && !fkv_may_grow(table, want->bytes, 0))
        return fkv_repair_dead(table) > 0 || sweep_for_room(table) ? FKV_OK : FKV_FULL;
    fkv_status status = reclaim(table, want);
    if (status == FKV_MISS || status == FKV_FULL || status == FKV_NO_SPACE)
        return await_room(table, want) ? FKV_OK : FKV_FULL;
    return status;
}

/* After a refusal: true if another try is worth it, else *ret_status says why not. */
static bool try_again(fkv_table *table, wanted *want, fkv_status *ret_status) {
    if (*ret_status != FKV_FULL && *ret_status != FKV_NO_SPACE)
        return false;
    want->disk_full = *ret_status == FKV_NO_SPACE;
    fkv_status status = make_room(table, want);
    if (status != FKV_OK && status != FKV_FULL)
        *ret_status = status;
    return status == FKV_OK;
}

static fkv_item *run_room(fkv_table *table, wanted *want, fkv_status *ret_status) {
    want->length = (uint32_t)((want->bytes + table->segment_bytes - 1) >> table->segment_shift);
    want->bytes = (uint64_t)want->length << table->segment_shift;
    for (; want->tries < ROOM_TRIES + 2 * want->length; want->tries++) {
        *ret_status = FKV_TOO_BIG; /* together with what this operation filled already */
        if (table->held_count >= FKV_HELD_MAX)
            return NULL;
        bool refused = want->kind == FKV_ROOM_GROW && !fkv_may_grow(table, want->bytes, 0);
        *ret_status = refused ? FKV_FULL : fkv_take_segments(table, want->length, want->queue,
                                                             want->kind, &want->run);
        if (*ret_status != FKV_OK) {
            want->run = FKV_NO_SEGMENT;
            if (!try_again(table, want, ret_status))
                return NULL;
        }
        if (want->run != FKV_NO_SEGMENT) {
            hold(table, want->run);
            return (fkv_item *)(table->base + fkv_segment_offset(table, want->run));
        }
    }
    return NULL;
}

fkv_item *fkv_append_room(fkv_table *table, uint64_t bytes, enum fkv_queue queue,
                          enum fkv_room kind, fkv_status *ret_status) {
    wanted want = {bytes, queue, kind, 1, 0, 0, FKV_NO_SEGMENT, false};
    if (bytes > table->segment_bytes)
        return run_room(table, &want, ret_status);
    fkv_item *item = open_room(table, bytes, queue);
    uint32_t tries = kind == FKV_ROOM_REPLACE ? REPLACE_TRIES : ROOM_TRIES;
    for (; item == NULL && want.tries < tries; want.tries++) {
        if (want.tries % ROOM_TRIES == ROOM_TRIES - 1)
            fkv_nap(table, NAP_US); /* others have taken all that we freed: let them finish */
        *ret_status = FKV_TOO_BIG;
        if (table->held_count >= FKV_HELD_MAX - FKV_QUEUES)
            return NULL;
        *ret_status = next_segment(table, &want);
        if (*ret_status != FKV_OK && !try_again(table, &want, ret_status))
            return NULL;
        item = open_room(table, bytes, queue);
    }
    return item;
}

/* ---- appending ------------------------------------------------------------------------------ */

void fkv_append_done(fkv_table *table, const fkv_item *item, int64_t expires_at_ms) {
    uint64_t offset = (uint64_t)((const uint8_t *)item - table->base);
    fkv_head *head = &table->heads[fkv_segment_of(table, offset)];
    int64_t expires = expires_at_ms == 0 ? INT64_MAX : expires_at_ms;
    if (expires > atomic_load_explicit(&head->expires_max_ms, memory_order_relaxed))
        atomic_store_explicit(&head->expires_max_ms, expires, memory_order_relaxed);
    uint64_t append = atomic_load_explicit(&head->append, memory_order_relaxed);
    atomic_store_explicit(&head->append, append + fkv_item_size(item), memory_order_release);
    table->appended_bytes += fkv_item_size(item);
}

void fkv_append_undo(fkv_table *table, const fkv_item *item) {
    uint64_t offset = (uint64_t)((const uint8_t *)item - table->base);
    fkv_head *head = &table->heads[fkv_segment_of(table, offset)];
    uint64_t append = atomic_load_explicit(&head->append, memory_order_relaxed);
    uint64_t start = offset - fkv_segment_offset(table, fkv_segment_of(table, offset));
    if (start + fkv_item_size(item) == append)
        atomic_store_explicit(&head->append, start, memory_order_release);
}

bool fkv_make_index_room(fkv_table *table, fkv_status status, int *tries) {
    return status == FKV_FULL && (*tries)++ < INDEX_TRIES &&
           fkv_may_grow(table, table->segment_bytes, FKV_KERNEL_PAGE) &&
           fkv_reclaim_one(table) == FKV_OK;
}
