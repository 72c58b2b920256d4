/* memory.h -- where items lie: segments, room in them, and getting it back.
 *
 * Part of internal.h, which includes it. A name that ends in _listed wants the list lock held by
 * the caller. */
#ifndef FKV_MEMORY_H
#define FKV_MEMORY_H

/* ---- segment.c ---------------------------------------------------------------------------- */

static inline uint32_t fkv_segment_of(const fkv_table *table, uint64_t offset) {
    return (uint32_t)((offset - table->geometry.segments_off) >> table->segment_shift);
}
static inline uint64_t fkv_segment_offset(const fkv_table *table, uint32_t segment) {
    return table->geometry.segments_off + ((uint64_t)segment << table->segment_shift);
}
static inline bool fkv_in_segments(const fkv_table *table, uint64_t offset) {
    return offset >= table->geometry.segments_off && offset < table->geometry.activity_off;
}
/* Segments taken since this one was: hint. */
static inline uint64_t fkv_age_of(const fkv_table *table, uint32_t segment) {
    return atomic_load_explicit(&table->header->clock, memory_order_relaxed) -
           atomic_load_explicit(&table->heads[segment].born, memory_order_relaxed) + 1;
}
static inline enum fkv_queue fkv_queue_of(const fkv_table *table, uint32_t segment) {
    uint32_t queue = atomic_load_explicit(&table->heads[segment].queue, memory_order_relaxed);
    return queue < FKV_QUEUES ? (enum fkv_queue)queue : FKV_QUEUE_SMALL;
}
/* How many segments the memory limit lets exist at most; the object has places for more. */
static inline uint32_t fkv_segments_that_fit(const fkv_table *table) {
    return table->geometry.segment_count / FKV_PLACES;
}
static inline uint64_t fkv_state_of(const fkv_table *table, uint32_t segment) {
    return atomic_load_explicit(&table->heads[segment].state, memory_order_acquire);
}

/* Segments of a run, as far as there are any, whatever the state says. */
static inline uint32_t fkv_run_length(const fkv_table *table, uint32_t segment, uint64_t state) {
    uint32_t length = FKV_STATE_LENGTH(state), left = table->geometry.segment_count - segment;
    return length < left ? length : left;
}

/* How long an item at `offset` can be at most: to the end of its segment, or of its run. 0: nothing
 * is there, perhaps not even memory, so a late reader must not touch it. */
static inline uint64_t fkv_item_extent(const fkv_table *table, uint64_t offset) {
    uint64_t within = (offset - table->geometry.segments_off) & (table->segment_bytes - 1);
    uint32_t segment = fkv_segment_of(table, offset);
    uint64_t state = fkv_state_of(table, segment);
    uint32_t length = fkv_run_length(table, segment, state);
    if (FKV_STATE_KIND(state) < FKV_SEGMENT_OPEN)
        return 0;
    if (within == 0 && length > 0 && FKV_STATE_KIND(state) != FKV_SEGMENT_TAIL)
        return length * table->segment_bytes;
    return table->segment_bytes - within;
}

/* The item that a slot names, under the partition's lock. NULL: the slot is 0, or damaged. */
static inline const fkv_item *fkv_slot_item(const fkv_table *table, uint64_t slot) {
    uint64_t offset = fkv_slot_offset(slot);
    if (!fkv_in_segments(table, offset))
        return NULL;
    const fkv_item *item = (const fkv_item *)(table->base + offset);
    uint64_t extent = fkv_item_extent(table, offset);
    return extent != 0 && fkv_item_size(item) <= extent ? item : NULL;
}

enum fkv_room {
    FKV_ROOM_GROW,    /* live bytes will grow: refused near the limit */
    FKV_ROOM_REPLACE, /* they will not: may reclaim as long as there is garbage */
    FKV_ROOM_RESERVE  /* reclaim itself: may take the last segments, reclaims nothing */
};

/* Whether the segment is at this moment another participant's. */
static inline bool fkv_is_others(const fkv_table *table, uint64_t state) {
    unsigned owner = FKV_STATE_OWNER(state);
    return owner != 0 && owner <= FKV_ENTRIES && owner != table->entry + 1;
}
static inline uint64_t fkv_victim_of(const fkv_table *table, uint32_t length) {
    return FKV_STATE(FKV_SEGMENT_VICTIM, table->entry + 1, length);
}
void fkv_leave_segment(fkv_table *table, uint32_t segment); /* from now on it is nobody's */
uint64_t fkv_bytes_beside_segments(const fkv_table *table);
void fkv_live_bytes_add(fkv_table *table, uint64_t offset, uint64_t bytes, int sign);
uint64_t fkv_segments_available(const fkv_table *table);
fkv_status fkv_take_segments(fkv_table *table, uint32_t length, enum fkv_queue queue,
                             enum fkv_room kind, uint32_t *ret);
/* Below: list lock held. */
fkv_status fkv_reserve_listed(fkv_table *table, uint64_t offset, uint64_t bytes);
bool fkv_give_back_one_listed(fkv_table *table, uint32_t keep);
fkv_status fkv_claim_free_listed(fkv_table *table, uint32_t segment); /* as our VICTIM */
void fkv_free_segment_listed(fkv_table *table, uint32_t segment);
fkv_status fkv_take_stretch_listed(fkv_table *table, uint32_t first, uint32_t length,
                                   enum fkv_queue queue);
void fkv_adopt_segments_listed(fkv_table *table, unsigned dead_entry);
void fkv_recount_list_listed(fkv_table *table);
void fkv_punch_unreserved_listed(fkv_table *table);

/* ---- room.c ------------------------------------------------------------------------------- */

/* A closed segment with so much room at its end is reopened rather than left. */
#define FKV_WORTH_REOPENING(table) ((table)->segment_bytes / 4)

/* A private place for an item of `bytes` (a multiple of 8) in this process's open segment of that
 * queue, or in a run of whole segments. It stays private until a slot names it. NULL with
 * *ret_status. */
fkv_item *fkv_append_room(fkv_table *table, uint64_t bytes, enum fkv_queue queue,
                          enum fkv_room kind, fkv_status *ret_status);

/* Moves the append offset over the item just written: from now on it is garbage, or published. */
void fkv_append_done(fkv_table *table, const fkv_item *item, int64_t expires_at_ms);
/* Takes an item back, if it is still the last of its segment. */
void fkv_append_undo(fkv_table *table, const fkv_item *item);
/* Ends an operation: whatever it filled is anybody's. Does a little reclaim if little is left, so
 * no lock may be held. */
void fkv_append_settle(fkv_table *table);
void fkv_append_close(fkv_table *table); /* the same without reclaim */
void fkv_append_forget(fkv_table *table); /* another process's, or another life's */
/* After an operation ended with `status`, and with no lock held: if that was for want of a slot,
 * frees a segment, so that the index may grow. True: try again; `tries` starts at 0. */
bool fkv_make_index_room(fkv_table *table, fkv_status status, int *tries);

/* ---- survey.c ----------------------------------------------------------------------------- */

/* What the heads say when read one after the other: a hint. */
typedef struct fkv_survey {
    uint64_t live_bytes, written_bytes;
    uint64_t bound_bytes; /* what reclaim could not give to this process */
    uint32_t free, open, closed, runs;
} fkv_survey;

void fkv_survey_segments(const fkv_table *table, fkv_survey *ret);
uint64_t fkv_dead_bytes(const fkv_table *table, uint32_t segment);
bool fkv_has_expired(const fkv_table *table, uint32_t segment, int64_t now_ms);
uint64_t fkv_recoverable_bytes(const fkv_table *table, uint32_t segment);
/* Whether `bytes` more may live, beside an index larger by `index_bytes`: garbage or room must stay
 * for every overwrite. */
bool fkv_may_grow(const fkv_table *table, uint64_t bytes, uint64_t index_bytes);
void fkv_recount_live(fkv_table *table);

/* ---- move.c, evict.c, reclaim.c ------------------------------------------------------------ */

bool fkv_is_dead(const fkv_table *table, const fkv_key *key, const fkv_item *item);
fkv_status fkv_empty_some(fkv_table *table, fkv_emptying *e, uint64_t budget, bool *ret_done);

fkv_fate fkv_fate_of(const fkv_emptying *e, uint8_t access);
uint64_t fkv_copy_most(const fkv_table *table);
void fkv_copy_settle(fkv_table *table, uint64_t copied_bytes, uint64_t freed_bytes);
enum fkv_queue fkv_queue_for(fkv_table *table, const fkv_key *key);
uint32_t fkv_next_eviction(const fkv_table *table);
fkv_status fkv_evict_run(fkv_table *table, uint32_t segment, bool *ret_gone);

fkv_status fkv_reclaim_one(fkv_table *table);
fkv_status fkv_reclaim_dead_run(fkv_table *table);
fkv_status fkv_reclaim_garbage(fkv_table *table);
void fkv_reclaim_step(fkv_table *table, uint64_t written);
bool fkv_holds_nothing(const fkv_table *table, uint32_t segment); /* a run, or what was to be one */

/* ---- compact.c, slide.c ---------------------------------------------------------------------- */

bool fkv_can_empty_stretch(const fkv_table *table, uint32_t first, uint32_t length);
fkv_status fkv_empty_stretch(fkv_table *table, uint32_t first, uint32_t length);
fkv_status fkv_take_stretch(fkv_table *table, uint32_t first, uint32_t length,
                            enum fkv_queue queue, fkv_status emptied);
/* Moves one run so that a hole of `wanted` segments comes nearer. FKV_MISS: no move does that. */
fkv_status fkv_slide_one(fkv_table *table, uint32_t wanted, uint32_t *ret_moved);
/* Empties `length` neighbouring segments and makes them a run of ours, *ret. FKV_MISS: no stretch
 * can be emptied; FKV_FULL: somebody was faster. */
fkv_status fkv_reclaim_stretch(fkv_table *table, uint32_t length, enum fkv_queue queue,
                               uint32_t *ret);

/* ---- expiry.c, due.c ----------------------------------------------------------------------- */

/* The due word of a page of the index. */
static inline fkv_due *fkv_due_of(const fkv_table *table, const fkv_page *page) {
    uint64_t offset = (uint64_t)((const uint8_t *)page - table->base) - table->geometry.index_off;
    return (fkv_due *)(table->base + table->geometry.due_off) + offset / sizeof(fkv_page);
}
static inline bool fkv_is_due(const fkv_table *table, const fkv_page *page, int64_t now_ms) {
    int64_t due_ms = atomic_load_explicit(fkv_due_of(table, page), memory_order_relaxed);
    return due_ms != 0 && due_ms <= now_ms;
}
uint64_t fkv_sweep_some(fkv_table *table, unsigned pages, bool *ret_more);
/* The earlier of two expiries; 0 is never. */
static inline int64_t fkv_sooner(int64_t due_ms, int64_t other_ms) {
    return due_ms == 0 || (other_ms != 0 && other_ms < due_ms) ? other_ms : due_ms;
}
void fkv_note_due_locked(fkv_table *table, fkv_partition *partition,
                         const _Atomic uint64_t *slot_at, uint64_t slot);
void fkv_prefetch_expiring(const fkv_table *table, fkv_page *page);
uint64_t fkv_count_expired(const fkv_table *table, const fkv_partition *partition,
                           unsigned database);

/* ---- ghost.c, policy.c ---------------------------------------------------------------------- */

void fkv_ghost_note(fkv_table *table, uint64_t hash);
bool fkv_ghost_take(fkv_table *table, uint64_t hash);

static inline bool fkv_evicts(const fkv_table *table) {
    return atomic_load_explicit(&table->header->policy, memory_order_relaxed) == FKV_S3FIFO;
}
void fkv_count_access(_Atomic uint64_t *slot_at);

#endif
