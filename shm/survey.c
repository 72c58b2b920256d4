/* survey.c -- what the segments hold, as their heads say: how much lives, and may more? */
#include <stdlib.h>

#include "internal.h"

static int64_t live_of(const fkv_head *head) {
    int64_t live = atomic_load_explicit(&head->live_bytes, memory_order_relaxed);
    return live > 0 ? live : 0;
}

uint64_t fkv_dead_bytes(const fkv_table *table, uint32_t segment) {
    const fkv_head *head = &table->heads[segment];
    uint64_t written = atomic_load_explicit(&head->append, memory_order_relaxed);
    uint64_t live = (uint64_t)live_of(head);
    if (written > table->segment_bytes) /* it has become a run meanwhile */
        return 0;
    return written > live ? written - live : 0;
}

/* Whether everything in a segment or run has expired. */
bool fkv_has_expired(const fkv_table *table, uint32_t segment, int64_t now_ms) {
    return atomic_load_explicit(&table->heads[segment].expires_max_ms, memory_order_relaxed) <=
           now_ms;
}

/* An unwritten end counts if it is worth reopening the segment for. */
uint64_t fkv_recoverable_bytes(const fkv_table *table, uint32_t segment) {
    uint64_t written = atomic_load_explicit(&table->heads[segment].append, memory_order_relaxed);
    if (written > table->segment_bytes)
        return 0;
    uint64_t end = table->segment_bytes - written;
    return fkv_dead_bytes(table, segment) + (end >= FKV_WORTH_REOPENING(table) ? end : 0);
}

/* Bytes of a segment or run that reclaim could not give to this process. */
static uint64_t bound_bytes(const fkv_table *table, uint32_t segment, uint64_t state,
                            int64_t now_ms) {
    bool ours = FKV_STATE_OWNER(state) == table->entry + 1;
    if (FKV_STATE_OWNER(state) == 0 && fkv_has_expired(table, segment, now_ms))
        return 0;
    switch (FKV_STATE_KIND(state)) {
    case FKV_SEGMENT_OPEN:
        return table->segment_bytes - (ours ? fkv_recoverable_bytes(table, segment) : 0);
    case FKV_SEGMENT_CLOSED:
        return table->segment_bytes - fkv_recoverable_bytes(table, segment);
    case FKV_SEGMENT_RUN:
        return live_of(&table->heads[segment]) > 0
                   ? fkv_run_length(table, segment, state) * table->segment_bytes : 0;
    default:
        return 0;
    }
}

void fkv_survey_segments(const fkv_table *table, fkv_survey *ret) {
    int64_t now_ms = fkv_now_ms();
    *ret = (fkv_survey){0};
    for (uint32_t i = 0; i < table->geometry.segment_count; i++) {
        uint64_t state = fkv_state_of(table, i);
        const fkv_head *head = &table->heads[i];
        enum fkv_segment_state kind = FKV_STATE_KIND(state);
        ret->free += kind == FKV_SEGMENT_FREE;
        ret->open += kind == FKV_SEGMENT_OPEN;
        ret->closed += kind == FKV_SEGMENT_CLOSED || kind == FKV_SEGMENT_VICTIM;
        ret->runs += kind == FKV_SEGMENT_RUN;
        ret->bound_bytes += bound_bytes(table, i, state, now_ms);
        if (kind < FKV_SEGMENT_OPEN || kind == FKV_SEGMENT_TAIL)
            continue;
        ret->live_bytes += (uint64_t)live_of(head);
        ret->written_bytes += kind == FKV_SEGMENT_RUN
                                  ? fkv_run_length(table, i, state) * table->segment_bytes
                                  : atomic_load_explicit(&head->append, memory_order_relaxed);
    }
}

/* How many segments the limit allows beside pages, ghosts and an index `index_bytes` larger. */
static uint64_t usable_segments(const fkv_table *table, uint64_t index_bytes) {
    const fkv_geometry *g = &table->geometry;
    uint64_t other = fkv_bytes_beside_segments(table) + index_bytes;
    return other < g->memory_bytes ? (g->memory_bytes - other) >> table->segment_shift : 0;
}

bool fkv_may_grow(const fkv_table *table, uint64_t bytes, uint64_t index_bytes) {
    if (fkv_evicts(table))
        return true;
    uint64_t reserve = table->geometry.reserve_segments;
    uint64_t slack = reserve + fkv_segments_that_fit(table) / 16 + 2;
    if (fkv_segments_available(table) > slack + ((bytes + index_bytes) >> table->segment_shift))
        return true; /* far from it: no need to look closely */
    fkv_survey survey;
    fkv_survey_segments(table, &survey);
    uint64_t usable = usable_segments(table, index_bytes);
    uint64_t most = usable > reserve ? (usable - reserve) * table->segment_bytes / 16 * 15 : 0;
    return survey.bound_bytes + bytes <= most;
}

/* ---- live bytes ----------------------------------------------------------------------------- */

static void add_live(fkv_table *table, const fkv_bucket *bucket, int64_t *live) {
    for (unsigned i = 0; i < FKV_BUCKET_SLOTS; i++) {
        uint64_t slot = atomic_load_explicit(&bucket->slots[i], memory_order_acquire);
        uint64_t offset = fkv_slot_offset(slot);
        if (!fkv_in_segments(table, offset) || fkv_item_extent(table, offset) == 0)
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
