/* reclaim.c -- getting segments back: which one is emptied next, and who frees it.
 *
 * Without eviction, and where garbage abounds, the victim is the segment with most garbage for
 * least copying, older first (M. Rosenblum, J. Ousterhout, "The Design and Implementation of a
 * Log-Structured File System", 1992). Else evict.c says which.
 *
 * Work is done ahead, in small steps: by the keeper, and by every writer while little is left. Only
 * who finds nothing left empties a whole segment by itself. Between steps a victim is nobody's. */
#include "internal.h"

#define WORTH_64THS 1     /* a victim must give back at least this much of a segment */
#define CLAIM_TRIES 8     /* others claim victims too */
#define BEGUN_FIRST 1e6   /* more than any difference of scores */
#define RUN_TRIES 16      /* runs that go round before one goes */
#define STEP_TIMES 16     /* walked for each byte that is written: enough, if 15/16 of all lives, */
#define STEP_BYTES 16384  /* and done once so much has come together */
#define STEPS_SKIPPED 256 /* writes until a step that found nothing is tried again */

/* ---- victims --------------------------------------------------------------------------------- */

/* Whether a run's item is dead. Not judged by live_bytes, which is a hint: what it hides from us
 * here is large. */
bool fkv_holds_nothing(const fkv_table *table, uint32_t segment) {
    const fkv_item *item = (const fkv_item *)(table->base + fkv_segment_offset(table, segment));
    if (fkv_item_size(item) > fkv_item_extent(table, fkv_segment_offset(table, segment)))
        return true; /* its writer died before it wrote the head */
    if (item->flags & FKV_ITEM_INTENT)
        return true;
    fkv_key key = fkv_key_of(table, item);
    return fkv_is_dead(table, &key, item);
}

/* A run that is somebody's is still being written. */
static bool run_is_dead(const fkv_table *table, uint32_t segment, uint64_t state) {
    return FKV_STATE_OWNER(state) == 0 && fkv_holds_nothing(table, segment);
}

/* Benefit per cost of emptying a closed segment; 0: not worth it. */
static double score(const fkv_table *table, uint32_t segment, int64_t now_ms) {
    double whole = (double)table->segment_bytes;
    bool expired = fkv_has_expired(table, segment, now_ms);
    double gain = expired ? whole : (double)fkv_recoverable_bytes(table, segment);
    double age = (double)fkv_age_of(table, segment);
    return gain < whole * WORTH_64THS / 64 ? 0 : gain * age / (whole + (whole - gain));
}

/* Whether copying what lives costs less than it gives back: then nothing need be evicted for it. */
static bool is_mostly_garbage(const fkv_table *table, uint32_t segment, int64_t now_ms) {
    const fkv_head *head = &table->heads[segment];
    uint64_t walked = atomic_load_explicit(&head->walked, memory_order_relaxed);
    uint64_t written = atomic_load_explicit(&head->append, memory_order_relaxed);
    uint64_t dead = fkv_dead_bytes(table, segment);
    return fkv_has_expired(table, segment, now_ms) ||
           (written > 0 && (dead > walked ? dead - walked : 0) * 2 >= written - walked);
}

/* What others have begun to empty comes first: it costs room until it is finished. */
static bool is_begun(const fkv_table *table, uint32_t segment) {
    return atomic_load_explicit(&table->heads[segment].walked, memory_order_relaxed) > 0;
}

/* The best segment or run to reclaim by its garbage alone. Dead runs come first: they cost nothing.
 * `all`: even if there is little; else only what is mostly garbage. */
static uint32_t best_garbage(const fkv_table *table, bool all, bool only_runs) {
    int64_t now_ms = fkv_now_ms();
    uint32_t best = FKV_NO_SEGMENT;
    double best_score = 0;
    for (uint32_t i = 0; i < table->geometry.segment_count; i++) {
        uint64_t state = fkv_state_of(table, i);
        enum fkv_segment_state kind = FKV_STATE_KIND(state);
        bool fits = kind == FKV_SEGMENT_CLOSED && !only_runs &&
                    (all || is_mostly_garbage(table, i, now_ms));
        double s = fits ? score(table, i, now_ms) * (is_begun(table, i) ? BEGUN_FIRST : 1)
                   : kind == FKV_SEGMENT_RUN && run_is_dead(table, i, state) ? 1e300 : 0;
        if (s > best_score)
            best = i, best_score = s;
    }
    return best;
}

enum victims { ANY_VICTIM, MOSTLY_GARBAGE, DEAD_RUNS };

/* What to empty next; *ret_evict: and what lives in it may go. */
static uint32_t choose_victim(const fkv_table *table, enum victims wanted, bool *ret_evict) {
    bool evicts = fkv_evicts(table) && wanted == ANY_VICTIM;
    uint32_t victim = best_garbage(table, wanted == ANY_VICTIM && !evicts, wanted == DEAD_RUNS);
    *ret_evict = evicts && victim == FKV_NO_SEGMENT;
    return *ret_evict ? fkv_next_eviction(table) : victim;
}

/* Makes `segment` ours to empty, if it is nobody's. A run is looked at again once it is ours: since
 * it was chosen, another process may have put a new one in its place. */
static bool claim(fkv_table *table, uint32_t segment, bool evict) {
    uint64_t state = fkv_state_of(table, segment);
    bool run = FKV_STATE_KIND(state) == FKV_SEGMENT_RUN && FKV_STATE_OWNER(state) == 0;
    if (!(run || FKV_STATE_KIND(state) == FKV_SEGMENT_CLOSED) ||
        !atomic_compare_exchange_strong(&table->heads[segment].state, &state,
                                        fkv_victim_of(table, FKV_STATE_LENGTH(state))))
        return false;
    if (!run || evict || run_is_dead(table, segment, state))
        return true;
    fkv_leave_segment(table, segment);
    return false;
}

/* Whether there is a segment for each process that empties one to copy to. Asked once the victim is
 * ours: of two that claim at the same time, one sees the other. So the reserve is never spent on
 * victims of which none can be finished. */
static bool leaves_room_for_others(const fkv_table *table) {
    uint32_t others = 0;
    for (uint32_t i = 0; i < table->geometry.segment_count; i++) {
        uint64_t state = fkv_state_of(table, i);
        others += FKV_STATE_KIND(state) == FKV_SEGMENT_VICTIM && fkv_is_others(table, state) &&
                  !fkv_stands_still(table, FKV_STATE_OWNER(state) - 1);
    }
    return others == 0 || others < fkv_segments_available(table);
}

/* The best victim, claimed for this process. False: there is none. */
static bool claim_victim(fkv_table *table, enum victims wanted, fkv_emptying *ret) {
    for (int tries = 0; tries < CLAIM_TRIES; tries++) {
        bool evict;
        uint32_t victim = choose_victim(table, wanted, &evict);
        if (victim == FKV_NO_SEGMENT)
            return false;
        if (!claim(table, victim, evict))
            continue;
        if (!evict && !leaves_room_for_others(table)) {
            fkv_leave_segment(table, victim);
            return false;
        }
        *ret = (fkv_emptying){
            .segment = victim,
            .generation = atomic_load(&table->heads[victim].generation),
            .evict = evict,
            .queue = fkv_evicts(table) ? fkv_queue_of(table, victim) : FKV_QUEUE_SMALL,
            .copy_most = fkv_copy_most(table),
        };
        return true;
    }
    return false;
}

/* ---- freeing --------------------------------------------------------------------------------- */

static fkv_status free_victim(fkv_table *table, const fkv_emptying *e) {
    fkv_status status = fkv_list_lock(table);
    if (status != FKV_OK) {
        fkv_leave_segment(table, e->segment);
        return status;
    }
    uint32_t length = FKV_STATE_LENGTH(fkv_state_of(table, e->segment));
    uint64_t bytes = (length > 0 ? length : 1) * table->segment_bytes;
    fkv_free_segment_listed(table, e->segment);
    fkv_list_unlock(table);
    uint64_t freed_bytes = bytes > e->copied_bytes ? bytes - e->copied_bytes : 0;
    fkv_count_up(table->own, FKV_COUNT_bytes_freed, freed_bytes);
    fkv_copy_settle(table, e->copied_bytes, freed_bytes);
    return FKV_OK;
}

/* Empties up to `budget` bytes of a victim, and frees it once nothing lives in it. FKV_OK: it is
 * free (*ret_done), or nobody's again. */
static fkv_status work_on(fkv_table *table, fkv_emptying *e, uint64_t budget, bool *ret_done) {
    bool run = FKV_STATE_LENGTH(fkv_state_of(table, e->segment)) > 0;
    fkv_status status = FKV_OK;
    *ret_done = true;
    if (!run)
        status = fkv_empty_some(table, e, budget, ret_done);
    else if (e->evict && !fkv_holds_nothing(table, e->segment))
        status = fkv_evict_run(table, e->segment, ret_done);
    if (status == FKV_OK && *ret_done)
        return free_victim(table, e);
    fkv_leave_segment(table, e->segment);
    return status;
}

static fkv_status reclaim(fkv_table *table, enum victims wanted) {
    for (int tries = 0; tries < RUN_TRIES; tries++) {
        fkv_emptying e;
        bool done;
        if (!claim_victim(table, wanted, &e))
            return FKV_MISS;
        fkv_status status = work_on(table, &e, UINT64_MAX / 2, &done);
        if (status != FKV_OK || done)
            return status;
    }
    return FKV_OK; /* all were runs that go round: the next one may go */
}

/* Frees one segment, or run. FKV_MISS: nothing is worth moving; FKV_FULL: there is no room to move
 * to. */
fkv_status fkv_reclaim_one(fkv_table *table) {
    return reclaim(table, ANY_VICTIM);
}

fkv_status fkv_reclaim_dead_run(fkv_table *table) {
    return reclaim(table, DEAD_RUNS);
}

/* Frees one that gives back more than it costs; nothing is evicted. */
fkv_status fkv_reclaim_garbage(fkv_table *table) {
    return reclaim(table, MOSTLY_GARBAGE);
}

/* ---- ahead of need --------------------------------------------------------------------------- */

/* The victim of the last step, if it still waits to be emptied, or another. */
static bool claim_next(fkv_table *table, fkv_emptying *ret) {
    *ret = table->emptying;
    table->emptying.segment = FKV_NO_SEGMENT;
    if (ret->segment == FKV_NO_SEGMENT || !claim(table, ret->segment, ret->evict))
        return claim_victim(table, ANY_VICTIM, ret);
    if (atomic_load(&table->heads[ret->segment].generation) == ret->generation &&
        fkv_evicts(table) >= ret->evict)
        return true;
    fkv_leave_segment(table, ret->segment); /* it lives its next life, or the policy has changed */
    return claim_victim(table, ANY_VICTIM, ret);
}

/* A small part of the work of freeing a segment. Returns whether there was any. */
static bool step(fkv_table *table, uint64_t budget) {
    fkv_emptying e;
    bool done;
    if (!claim_next(table, &e))
        return false;
    fkv_status status = work_on(table, &e, budget, &done);
    if (status == FKV_OK && !done)
        table->emptying = e;
    return status == FKV_OK;
}

/* Where little is left every write does a little: enough, for `written` bytes, however much of the
 * segments lives. */
void fkv_reclaim_step(fkv_table *table, uint64_t written) {
    uint64_t reserve = table->geometry.reserve_segments, left = fkv_segments_available(table);
    if (__builtin_expect(left > reserve + 1, 1))
        return;
    table->walk_owed += STEP_TIMES * written;
    if (table->steps_skipped > 0)
        table->steps_skipped--;
    else if (table->walk_owed >= STEP_BYTES && left > reserve / 2) {
        if (!step(table, table->walk_owed))
            table->steps_skipped = STEPS_SKIPPED;
        table->walk_owed = 0;
    }
}

/* How many segments the keeper keeps at hand, beside the reserve. */
static uint64_t wanted_ahead(const fkv_table *table) {
    return 2 + table->geometry.reserve_segments / 8;
}

bool fkv_reclaim_ahead(fkv_table *table) {
    if (fkv_write_begin(table) != FKV_OK)
        return false;
    uint64_t mark = table->geometry.reserve_segments + wanted_ahead(table);
    bool freed = fkv_segments_available(table) < mark && fkv_reclaim_one(table) == FKV_OK;
    fkv_append_close(table);
    fkv_write_end(table);
    return freed;
}
