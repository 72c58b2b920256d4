/* reclaim.c -- getting memory back from garbage: move a segment's live items out, then free it.
 *
 * Only the index knows what is live: an item lives if the slot of its key names it. An item that
 * is dead stays dead, so the walk needs the lock only to move. Victims by cost-benefit: most
 * garbage for least copying, older first (M. Rosenblum, J. Ousterhout, "The Design and
 * Implementation of a Log-Structured File System", 1992). */
#include <stdlib.h>

#include "internal.h"

#define WORTH_64THS 1 /* a victim must give back at least this much of a segment */
#define CLAIM_TRIES 8 /* others claim victims too */

/* ---- survey --------------------------------------------------------------------------------- */

/* Bytes of a segment that can be had again: garbage, and an unwritten end that is worth reopening
 * the segment for. */
static uint64_t recoverable(const fkv_table *table, uint32_t segment) {
    const fkv_head *head = &table->heads[segment];
    int64_t live = atomic_load_explicit(&head->live_bytes, memory_order_relaxed);
    uint64_t written = atomic_load_explicit(&head->append, memory_order_relaxed);
    if (written > table->segment_bytes) /* it has become a run meanwhile */
        return 0;
    uint64_t end = table->segment_bytes - written, kept = live > 0 ? (uint64_t)live : 0;
    return (written > kept ? written - kept : 0) + (end >= FKV_WORTH_REOPENING(table) ? end : 0);
}

/* Bytes of a segment or run that reclaim could not give to this process. */
static uint64_t bound_bytes(const fkv_table *table, uint32_t segment, uint64_t state) {
    bool ours = FKV_STATE_OWNER(state) == table->entry + 1;
    switch (FKV_STATE_KIND(state)) {
    case FKV_SEGMENT_OPEN:
        return table->segment_bytes - (ours ? recoverable(table, segment) : 0);
    case FKV_SEGMENT_CLOSED:
        return table->segment_bytes - recoverable(table, segment);
    case FKV_SEGMENT_RUN:
        return atomic_load_explicit(&table->heads[segment].live_bytes, memory_order_relaxed) > 0
                   ? fkv_run_length(table, segment, state) * table->segment_bytes : 0;
    default:
        return 0;
    }
}

void fkv_survey_segments(const fkv_table *table, fkv_survey *ret) {
    *ret = (fkv_survey){0};
    for (uint32_t i = 0; i < table->geometry.segment_count; i++) {
        uint64_t state = fkv_state_of(table, i);
        const fkv_head *head = &table->heads[i];
        enum fkv_segment_state kind = FKV_STATE_KIND(state);
        int64_t live = atomic_load_explicit(&head->live_bytes, memory_order_relaxed);
        ret->free += kind == FKV_SEGMENT_FREE;
        ret->open += kind == FKV_SEGMENT_OPEN;
        ret->closed += kind == FKV_SEGMENT_CLOSED || kind == FKV_SEGMENT_VICTIM;
        ret->runs += kind == FKV_SEGMENT_RUN;
        ret->bound_bytes += bound_bytes(table, i, state);
        if (kind < FKV_SEGMENT_OPEN || kind == FKV_SEGMENT_TAIL || live < 0)
            continue;
        ret->live_bytes += (uint64_t)live;
        ret->written_bytes += kind == FKV_SEGMENT_RUN
                                  ? fkv_run_length(table, i, state) * table->segment_bytes
                                  : atomic_load_explicit(&head->append, memory_order_relaxed);
    }
}

/* How many segments the limit allows beside pages and an index that is `index_bytes` larger. */
static uint64_t usable_segments(const fkv_table *table, uint64_t index_bytes) {
    const fkv_geometry *g = &table->geometry;
    uint64_t other = g->index_off + index_bytes;
    for (uint32_t i = 0; i < g->partition_count; i++)
        other += atomic_load_explicit(&table->partitions[i].index_bytes, memory_order_relaxed);
    for (unsigned i = 0; i < FKV_ENTRIES; i++)
        other += atomic_load_explicit(&table->entries[i].page_reserved, memory_order_relaxed)
                     ? FKV_ACTIVITY_SIZE : 0;
    other += atomic_load_explicit(&table->header->ghosts_reserved, memory_order_relaxed)
                 ? g->ghost_bytes : 0;
    return other < g->memory_bytes ? (g->memory_bytes - other) >> table->segment_shift : 0;
}

bool fkv_may_grow(const fkv_table *table, uint64_t bytes, uint64_t index_bytes) {
    uint64_t reserve = table->geometry.reserve_segments;
    uint64_t slack = reserve + table->geometry.segment_count / 16 + 2;
    if (fkv_segments_available(table) > slack + ((bytes + index_bytes) >> table->segment_shift))
        return true; /* far from it: no need to look closely */
    fkv_survey survey;
    fkv_survey_segments(table, &survey);
    uint64_t usable = usable_segments(table, index_bytes);
    uint64_t most = usable > reserve ? (usable - reserve) * table->segment_bytes / 16 * 15 : 0;
    return survey.bound_bytes + bytes <= most;
}

/* ---- moving --------------------------------------------------------------------------------- */

/* Copies `item` to our own segment. NULL with *ret_status: no room. */
static fkv_item *copy_out(fkv_table *table, const fkv_item *item, int64_t expires_at_ms,
                          fkv_status *ret_status) {
    uint64_t bytes = fkv_item_size(item);
    fkv_item *copy = fkv_append_room(table, bytes, FKV_ROOM_RESERVE, ret_status);
    if (copy == NULL)
        return NULL;
    memcpy(copy, item, bytes);
    fkv_append_done(table, copy, expires_at_ms);
    return copy;
}

static void move_slot_locked(fkv_table *table, const fkv_found *found, const fkv_item *copy,
                             uint64_t hash) {
    uint64_t offset = copy ? (uint64_t)((const uint8_t *)copy - table->base) : 0;
    uint64_t slot = copy ? (found->slot & ~FKV_SLOT_OFFSET_MASK) | offset >> 3 : 0;
    uint64_t bytes = fkv_item_size(found->item);
    fkv_slot_store_locked(table, found->partition, found->slot_at, slot, hash);
    fkv_count_up(table->own, copy ? FKV_COUNT_bytes_copied : FKV_COUNT_bytes_freed, bytes);
    if (copy == NULL)
        fkv_count_up(table->own, FKV_COUNT_expired, 1);
}

/* Whether no slot names `item` any more; "no" in doubt. */
static bool is_dead(const fkv_table *table, const fkv_key *key, const fkv_item *item) {
    uint64_t offset = (uint64_t)((const uint8_t *)item - table->base);
    return fkv_search_slot(table, key, offset) == FKV_SEARCH_MISS;
}

/* Moves one item out, or removes it if it has expired, or does nothing if it is dead. */
static fkv_status move_item(fkv_table *table, const fkv_key *key, const fkv_item *item) {
    fkv_found found;
    if (is_dead(table, key, item))
        return FKV_OK;
    int64_t expires = 0;
    if (item->flags & FKV_ITEM_EXPIRES)
        memcpy(&expires, item + 1, sizeof expires);
    fkv_item *copy = NULL;
    fkv_status status;
    if (!fkv_expired(expires) && (copy = copy_out(table, item, expires, &status)) == NULL)
        return status;
    status = fkv_partition_lock(table, fkv_partition_of(table, key->hash));
    if (status == FKV_OK) {
        if (fkv_search_locked(table, key, &found) && found.item == item)
            move_slot_locked(table, &found, copy, key->hash);
        else if (copy != NULL)
            fkv_append_undo(table, copy);
        fkv_partition_unlock(table, fkv_partition_of(table, key->hash));
    } else if (copy != NULL) {
        fkv_append_undo(table, copy);
    }
    return status;
}

#define WALK_AHEAD 16

typedef struct walk_step {
    const fkv_item *item;
    fkv_key key;
} walk_step;

/* Looks at the next items of a segment, and asks the memory for their buckets: most are dead, so
 * that is most of the work. Moves *at on. FKV_CORRUPT: a length that cannot be ends the walk. */
static fkv_status walk_ahead(fkv_table *table, uint64_t *at, uint64_t end, walk_step *steps,
                             size_t *ret_count) {
    for (*ret_count = 0; *ret_count < WALK_AHEAD && *at + sizeof(fkv_item) <= end;) {
        const fkv_item *item = (const fkv_item *)(table->base + *at);
        if (*at + fkv_item_size(item) > end)
            return FKV_CORRUPT;
        *at += fkv_item_size(item);
        if (item->flags & FKV_ITEM_INTENT)
            continue;
        walk_step *step = &steps[(*ret_count)++];
        step->item = item;
        step->key = fkv_make_key(table, item->database, fkv_item_key(item), item->key_size);
        fkv_prefetch_slot(table, &step->key);
    }
    return FKV_OK;
}

/* Moves everything live out of a segment that is ours as VICTIM. */
static fkv_status empty_segment(fkv_table *table, uint32_t segment) {
    walk_step steps[WALK_AHEAD];
    size_t count = 1;
    uint64_t at = fkv_segment_offset(table, segment);
    uint64_t append = atomic_load(&table->heads[segment].append);
    uint64_t end = at + (append < table->segment_bytes ? append : table->segment_bytes);
    fkv_status status = FKV_OK;
    while (status == FKV_OK && count > 0) {
        status = walk_ahead(table, &at, end, steps, &count);
        for (size_t i = 0; status == FKV_OK && i < count; i++)
            status = move_item(table, &steps[i].key, steps[i].item);
    }
    return status;
}

/* ---- choosing ------------------------------------------------------------------------------- */

static uint64_t victim_state(const fkv_table *table, uint64_t state) {
    return FKV_STATE(FKV_SEGMENT_VICTIM, table->entry + 1, FKV_STATE_LENGTH(state));
}

/* Whether a run's item is dead. A run that is somebody's is still being written. Not judged by
 * live_bytes, which is a hint: what it hides from us here is large. */
static bool run_is_dead(const fkv_table *table, uint32_t segment, uint64_t state) {
    if (FKV_STATE_OWNER(state) != 0)
        return false;
    const fkv_item *item = (const fkv_item *)(table->base + fkv_segment_offset(table, segment));
    if (fkv_item_size(item) > fkv_item_extent(table, fkv_segment_offset(table, segment)))
        return true; /* its writer died before it wrote the head */
    if (item->flags & FKV_ITEM_INTENT)
        return true;
    fkv_key key = fkv_make_key(table, item->database, fkv_item_key(item), item->key_size);
    return is_dead(table, &key, item);
}

/* Benefit per cost of emptying a closed segment; 0: not worth it. */
static double score(const fkv_table *table, uint32_t segment, int64_t now_ms) {
    const fkv_head *head = &table->heads[segment];
    bool expired = atomic_load_explicit(&head->expires_max_ms, memory_order_relaxed) <= now_ms;
    double whole = (double)table->segment_bytes;
    double gain = expired ? whole : (double)recoverable(table, segment);
    double age = (double)(atomic_load_explicit(&table->header->clock, memory_order_relaxed) -
                          atomic_load_explicit(&head->born, memory_order_relaxed)) + 1;
    return gain < whole * WORTH_64THS / 64 ? 0 : gain * age / (whole + (whole - gain));
}

static void put_back(fkv_table *table, uint32_t segment) {
    uint32_t length = FKV_STATE_LENGTH(fkv_state_of(table, segment));
    atomic_store_explicit(&table->heads[segment].state,
                          FKV_STATE(length > 0 ? FKV_SEGMENT_RUN : FKV_SEGMENT_CLOSED, 0, length),
                          memory_order_release);
}

/* The best segment or run to reclaim. Dead runs come first: they cost nothing. */
static uint32_t best_victim(const fkv_table *table, bool only_runs) {
    int64_t now_ms = fkv_now_ms();
    uint32_t best = FKV_NO_SEGMENT;
    double best_score = 0;
    for (uint32_t i = 0; i < table->geometry.segment_count; i++) {
        uint64_t state = fkv_state_of(table, i);
        enum fkv_segment_state kind = FKV_STATE_KIND(state);
        double s = kind == FKV_SEGMENT_CLOSED && !only_runs ? score(table, i, now_ms)
                   : kind == FKV_SEGMENT_RUN && run_is_dead(table, i, state) ? 1e300 : 0;
        if (s > best_score)
            best = i, best_score = s;
    }
    return best;
}

/* Makes `segment` ours to empty, if it is nobody's. A run is looked at again once it is ours: since
 * it was chosen, another process may have put a new one in its place. */
static bool claim(fkv_table *table, uint32_t segment) {
    uint64_t state = fkv_state_of(table, segment);
    bool run = FKV_STATE_KIND(state) == FKV_SEGMENT_RUN && FKV_STATE_OWNER(state) == 0;
    if (!(run || FKV_STATE_KIND(state) == FKV_SEGMENT_CLOSED) ||
        !atomic_compare_exchange_strong(&table->heads[segment].state, &state,
                                        victim_state(table, state)))
        return false;
    if (!run || run_is_dead(table, segment, state))
        return true;
    put_back(table, segment);
    return false;
}

/* The best victim, claimed for this process, or FKV_NO_SEGMENT. */
static uint32_t claim_victim(fkv_table *table, bool only_runs) {
    for (int tries = 0; tries < CLAIM_TRIES; tries++) {
        uint32_t best = best_victim(table, only_runs);
        if (best == FKV_NO_SEGMENT || claim(table, best))
            return best;
    }
    return FKV_NO_SEGMENT;
}

static fkv_status reclaim(fkv_table *table, bool only_runs) {
    uint32_t victim = claim_victim(table, only_runs);
    if (victim == FKV_NO_SEGMENT)
        return FKV_MISS;
    bool run = FKV_STATE_LENGTH(fkv_state_of(table, victim)) > 0;
    fkv_status status = run ? FKV_OK : empty_segment(table, victim);
    if (status == FKV_OK)
        status = fkv_list_lock(table);
    if (status != FKV_OK) {
        put_back(table, victim);
        return status;
    }
    fkv_free_segment_listed(table, victim);
    fkv_list_unlock(table);
    return FKV_OK;
}

fkv_status fkv_reclaim_one(fkv_table *table) {
    return reclaim(table, false);
}

fkv_status fkv_reclaim_dead_run(fkv_table *table) {
    return reclaim(table, true);
}

/* ---- runs ----------------------------------------------------------------------------------- */

/* What emptying costs: bytes to copy, or UINT64_MAX if the segment is somebody's. */
static uint64_t cost(const fkv_table *table, uint32_t segment) {
    int64_t live = atomic_load_explicit(&table->heads[segment].live_bytes, memory_order_relaxed);
    switch (FKV_STATE_KIND(fkv_state_of(table, segment))) {
    case FKV_SEGMENT_FREE:
    case FKV_SEGMENT_ABSENT:
        return 0;
    case FKV_SEGMENT_CLOSED:
        return live > 0 ? (uint64_t)live : 0;
    default:
        return UINT64_MAX;
    }
}

/* The emptiest stretch, if what lives in it fits half of the reserve. */
static uint32_t cheapest_stretch(const fkv_table *table, uint32_t length) {
    uint64_t best_cost = table->geometry.reserve_segments * table->segment_bytes / 2 + 1, sum = 0;
    uint32_t best = FKV_NO_SEGMENT, clear = 0; /* segments since the last that is taken */
    for (uint32_t i = 0; i < table->geometry.segment_count; i++) {
        uint64_t c = cost(table, i);
        clear = c == UINT64_MAX ? 0 : clear + 1;
        sum = c == UINT64_MAX ? 0 : sum + c;
        if (clear > length)
            sum -= cost(table, i - length);
        if (clear >= length && sum < best_cost)
            best_cost = sum, best = i + 1 - length;
    }
    return best;
}

/* Makes the free segments of a stretch ours, so that the copies do not go there. */
static fkv_status claim_free(fkv_table *table, uint32_t first, uint32_t length) {
    fkv_status status = fkv_list_lock(table);
    if (status != FKV_OK)
        return status;
    for (uint32_t i = first; i < first + length; i++)
        if (FKV_STATE_KIND(fkv_state_of(table, i)) == FKV_SEGMENT_FREE) {
            atomic_store(&table->heads[i].append, 0);
            atomic_store(&table->heads[i].state, victim_state(table, 0));
            atomic_fetch_sub(&table->header->free_segments, 1);
        }
    fkv_list_unlock(table);
    return FKV_OK;
}

static fkv_status empty_stretch(fkv_table *table, uint32_t first, uint32_t length) {
    for (uint32_t i = first; i < first + length; i++) {
        uint64_t state = FKV_STATE(FKV_SEGMENT_CLOSED, 0, 0);
        if (!atomic_compare_exchange_strong(&table->heads[i].state, &state,
                                            victim_state(table, 0)))
            continue; /* absent, ours already, or lost to somebody: then it is no run */
        fkv_status status = empty_segment(table, i);
        if (status != FKV_OK) {
            put_back(table, i);
            return status;
        }
    }
    return FKV_OK;
}

/* The stretch is freed and taken in one go, so that nobody gets a part of it first. */
static fkv_status take_stretch(fkv_table *table, uint32_t first, uint32_t length,
                               fkv_status emptied) {
    fkv_status status = fkv_list_lock(table);
    for (uint32_t i = first; i < first + length; i++)
        if (fkv_state_of(table, i) == victim_state(table, 0)) {
            if (status == FKV_OK)
                fkv_free_segment_listed(table, i);
            else
                put_back(table, i);
        }
    if (status != FKV_OK)
        return status;
    if (emptied == FKV_OK)
        emptied = fkv_take_stretch_listed(table, first, length);
    fkv_list_unlock(table);
    return emptied;
}

fkv_status fkv_reclaim_stretch(fkv_table *table, uint32_t length, uint32_t *ret) {
    uint32_t first = cheapest_stretch(table, length);
    if (first == FKV_NO_SEGMENT)
        return FKV_MISS;
    fkv_status status = claim_free(table, first, length);
    if (status == FKV_OK)
        status = empty_stretch(table, first, length);
    *ret = first;
    return take_stretch(table, first, length, status);
}

/* ---- live bytes ----------------------------------------------------------------------------- */

static void add_live(fkv_table *table, const fkv_bucket *bucket, int64_t *live) {
    for (unsigned i = 0; i < FKV_BUCKET_SLOTS; i++) {
        uint64_t slot = atomic_load_explicit(&bucket->slots[i], memory_order_acquire);
        uint64_t offset = fkv_slot_offset(slot);
        if (slot == 0 || offset < table->geometry.segments_off ||
            offset >= table->geometry.activity_off || fkv_item_extent(table, offset) == 0)
            continue;
        uint64_t word = fkv_racy_word(table->base + offset);
        fkv_item head;
        memcpy(&head, &word, sizeof head);
        live[fkv_segment_of(table, offset)] += (int64_t)fkv_item_size(&head);
    }
}

/* Counts afresh what the index reaches in each segment. What others change meanwhile may be missed:
 * live_bytes is a hint, wrong by those few. */
void fkv_recount_live(fkv_table *table) {
    const fkv_geometry *g = &table->geometry;
    int64_t *live = calloc(g->segment_count, sizeof *live);
    if (live == NULL)
        return;
    for (uint32_t p = 0; p < g->partition_count; p++) {
        uint64_t shape = atomic_load_explicit(&table->partitions[p].shape, memory_order_acquire);
        for (uint32_t i = 0; i < fkv_page_count(table, shape); i++)
            for (unsigned b = 0; b < FKV_PAGE_BUCKETS; b++)
                add_live(table, &fkv_index_page(table, &table->partitions[p], i)->buckets[b], live);
    }
    for (uint32_t i = 0; i < g->segment_count; i++)
        atomic_store_explicit(&table->heads[i].live_bytes, live[i], memory_order_relaxed);
    free(live);
}

bool fkv_reclaim_ahead(fkv_table *table) {
    if (fkv_write_begin(table) != FKV_OK)
        return false;
    bool low = fkv_segments_available(table) < 2 * (uint64_t)table->geometry.reserve_segments;
    bool freed = low && fkv_reclaim_one(table) == FKV_OK;
    fkv_append_settle(table);
    fkv_write_end(table);
    return freed;
}
