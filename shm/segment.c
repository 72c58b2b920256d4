/* segment.c -- memory: reserving it within the limit, and handing it out in segments.
 *
 * Segments change hands under the list lock; each change is one store to the segment's state. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "internal.h"

static uint64_t owned(const fkv_table *table, enum fkv_segment_state kind, uint32_t length) {
    return FKV_STATE(kind, table->entry + 1, length);
}

static void set_state(fkv_table *table, uint32_t segment, uint64_t state) {
    atomic_store_explicit(&table->heads[segment].state, state, memory_order_release);
}

static enum fkv_segment_state kind_of(const fkv_table *table, uint32_t segment) {
    return FKV_STATE_KIND(fkv_state_of(table, segment));
}

/* ---- reserving ------------------------------------------------------------------------------ */

static void punch(fkv_table *table, uint64_t offset, uint64_t bytes) {
    fkv_count_up(table->own, FKV_COUNT_fallocate, 1);
    fallocate(table->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes);
}

/* Gives a free segment's memory back to the kernel, if more than `keep` are free. */
bool fkv_give_back_one_listed(fkv_table *table, uint32_t keep) {
    fkv_header *h = table->header;
    const fkv_geometry *g = &table->geometry;
    if (atomic_load(&h->free_segments) <= keep)
        return false;
    for (uint32_t i = g->segment_count; i-- > 0;)
        if (kind_of(table, i) == FKV_SEGMENT_FREE) {
            set_state(table, i, FKV_STATE(FKV_SEGMENT_ABSENT, 0, 0)); /* first: see mend_list */
            punch(table, fkv_segment_offset(table, i), table->segment_bytes);
            atomic_fetch_sub(&h->free_segments, 1);
            atomic_fetch_sub(&h->reserved_bytes, table->segment_bytes);
            return true;
        }
    return false;
}

/* What is reserved for all but segments: the fixed part, the index, pages of counters, ghosts. */
uint64_t fkv_bytes_beside_segments(const fkv_table *table) {
    const fkv_geometry *g = &table->geometry;
    uint64_t bytes = g->index_off;
    for (uint32_t i = 0; i < g->partition_count; i++)
        bytes += atomic_load_explicit(&table->partitions[i].index_bytes, memory_order_relaxed);
    for (unsigned i = 0; i < FKV_ENTRIES; i++)
        bytes += atomic_load_explicit(&table->entries[i].page_reserved, memory_order_relaxed)
                     ? FKV_ACTIVITY_SIZE : 0;
    bytes += atomic_load_explicit(&table->header->ghosts_reserved, memory_order_relaxed)
                 ? g->ghost_bytes : 0;
    return bytes;
}

/* Claims `bytes` of the limit, then reserves them: killed in between, too much is claimed until
 * the list is repaired, never too little. FKV_FULL: the limit. FKV_NO_SPACE: /dev/shm. */
fkv_status fkv_reserve_listed(fkv_table *table, uint64_t offset, uint64_t bytes) {
    fkv_header *h = table->header;
    const fkv_geometry *g = &table->geometry;
    /* A segment's memory is enough for the pages of many processes. */
    uint32_t keep = offset < g->activity_off ? g->reserve_segments / 2 + 1 : 1;
    while (atomic_load(&h->reserved_bytes) + bytes > g->memory_bytes)
        if (!fkv_give_back_one_listed(table, keep))
            return FKV_FULL;
    atomic_fetch_add(&h->reserved_bytes, bytes);
    int result;
    do {
        fkv_count_up(table->own, FKV_COUNT_fallocate, 1);
        result = fallocate(table->fd, 0, (off_t)offset, (off_t)bytes);
    } while (result != 0 && errno == EINTR);
    if (result == 0)
        return FKV_OK;
    int error = errno;
    punch(table, offset, bytes); /* it may have got half of it */
    atomic_fetch_sub(&h->reserved_bytes, bytes);
    return error == ENOSPC ? FKV_NO_SPACE : FKV_SYSTEM;
}

/* How many more segments could be taken: free ones, and what the limit leaves. */
uint64_t fkv_segments_available(const fkv_table *table) {
    const fkv_header *h = table->header;
    const fkv_geometry *g = &table->geometry;
    uint64_t reserved = atomic_load(&h->reserved_bytes);
    uint64_t left = reserved < g->memory_bytes ? g->memory_bytes - reserved : 0;
    return atomic_load(&h->free_segments) + (left >> table->segment_shift);
}

/* ---- taking --------------------------------------------------------------------------------- */

/* Makes a FREE or ABSENT segment fit for use. Its state stays what it was. */
static fkv_status prepare_listed(fkv_table *table, uint32_t segment, enum fkv_queue queue) {
    if (kind_of(table, segment) == FKV_SEGMENT_FREE) {
        atomic_fetch_sub(&table->header->free_segments, 1);
    } else {
        fkv_status status = fkv_reserve_listed(table, fkv_segment_offset(table, segment),
                                               table->segment_bytes);
        if (status != FKV_OK)
            return status;
    }
    atomic_thread_fence(memory_order_release); /* the raised generation before the first new byte */
    fkv_head *head = &table->heads[segment];
    atomic_store(&head->append, 0);
    atomic_store(&head->walked, 0);
    atomic_store(&head->queue, queue);
    atomic_store(&head->live_bytes, 0);
    atomic_store(&head->expires_max_ms, 0);
    atomic_store(&head->born, atomic_fetch_add(&table->header->clock, 1));
    fkv_count_up(table->own, FKV_COUNT_segments_taken, 1);
    return FKV_OK;
}

/* Single segments lie at the low end and runs at the high end, so that they get into each other's
 * way as late as can be. `rotor` is where the lowest may be. */
static uint32_t find_listed(fkv_table *table, enum fkv_segment_state kind) {
    fkv_header *h = table->header;
    const fkv_geometry *g = &table->geometry;
    uint32_t start = atomic_load(&h->rotor) % g->segment_count;
    for (uint32_t i = 0; i < g->segment_count; i++) {
        uint32_t segment = (start + i) % g->segment_count;
        if (kind_of(table, segment) == kind)
            return segment;
    }
    return FKV_NO_SEGMENT;
}

static fkv_status take_one_listed(fkv_table *table, enum fkv_queue queue, enum fkv_room kind,
                                  uint32_t *ret) {
    fkv_header *h = table->header;
    const fkv_geometry *g = &table->geometry;
    uint32_t keep = kind == FKV_ROOM_RESERVE ? 0 : g->reserve_segments;
    if (kind != FKV_ROOM_RESERVE && fkv_segments_available(table) <= keep)
        return FKV_FULL;
    uint32_t segment = atomic_load(&h->free_segments) > keep
                           ? find_listed(table, FKV_SEGMENT_FREE) : FKV_NO_SEGMENT;
    if (segment == FKV_NO_SEGMENT)
        segment = find_listed(table, FKV_SEGMENT_ABSENT);
    if (segment == FKV_NO_SEGMENT)
        return FKV_FULL;
    fkv_status status = prepare_listed(table, segment, queue);
    if (status != FKV_OK)
        return status;
    set_state(table, segment, owned(table, FKV_SEGMENT_OPEN, 0));
    atomic_store(&table->header->rotor, segment + 1);
    *ret = segment;
    return FKV_OK;
}

/* Keeps a free or absent segment from everybody else. */
fkv_status fkv_claim_free_listed(fkv_table *table, uint32_t segment) {
    fkv_status status = prepare_listed(table, segment, FKV_QUEUE_SMALL);
    if (status == FKV_OK)
        set_state(table, segment, owned(table, FKV_SEGMENT_VICTIM, 0));
    return status;
}

/* What a stretch of `length` is worth of which `free` are free: what is absent must be reserved,
 * and of the free ones the reserve is to stay, though it is not always as large as that. */
static uint32_t worth(const fkv_table *table, uint32_t length, uint32_t free) {
    uint32_t all = atomic_load(&table->header->free_segments);
    uint32_t reserve = table->geometry.reserve_segments, spare = all > reserve ? all - reserve : 0;
    return 1 + length + (free < spare ? free : spare) - (free > spare ? free - spare : 0);
}

/* First of `length` neighbours, from `from` to before `to`, that are free or absent: of the
 * stretches that are worth most, the highest. */
static uint32_t find_neighbours(const fkv_table *table, uint32_t length, uint32_t from,
                                uint32_t to) {
    uint32_t best = FKV_NO_SEGMENT, found = 0, free = 0, most = 0;
    for (uint32_t i = to; i-- > from && most <= 2 * length;) {
        enum fkv_segment_state kind = kind_of(table, i);
        bool to_be_had = kind == FKV_SEGMENT_FREE || kind == FKV_SEGMENT_ABSENT;
        found = to_be_had ? found + 1 : 0;
        free = to_be_had ? free + (kind == FKV_SEGMENT_FREE) : 0;
        if (found > length)
            free -= kind_of(table, i + length) == FKV_SEGMENT_FREE;
        if (found >= length && worth(table, length, free) > most)
            best = i, most = worth(table, length, free);
    }
    return best;
}

/* Makes those of a run's tails that are of a kind its own. */
static fkv_status take_tails_listed(fkv_table *table, uint32_t first, uint32_t length,
                                    enum fkv_queue queue, enum fkv_segment_state kind) {
    for (uint32_t i = length; i-- > 1;) {
        if (kind_of(table, first + i) != kind)
            continue;
        fkv_status status = prepare_listed(table, first + i, queue);
        if (status != FKV_OK)
            return status;
        set_state(table, first + i, FKV_STATE(FKV_SEGMENT_TAIL, 0, i));
    }
    return FKV_OK;
}

/* Takes a run. The tails first: without a first segment that counts them they are orphans, which
 * the repair of the list frees. And the free ones first: so what reserving the others gives back
 * is not among them. */
static fkv_status take_run_at_listed(fkv_table *table, uint32_t first, uint32_t length,
                                     enum fkv_queue queue) {
    fkv_status status = take_tails_listed(table, first, length, queue, FKV_SEGMENT_FREE);
    if (status == FKV_OK)
        status = take_tails_listed(table, first, length, queue, FKV_SEGMENT_ABSENT);
    if (status == FKV_OK)
        status = prepare_listed(table, first, queue);
    if (status == FKV_OK)
        set_state(table, first, owned(table, FKV_SEGMENT_RUN, length));
    else
        fkv_recount_list_listed(table); /* frees the orphans */
    return status;
}

static fkv_status take_run_listed(fkv_table *table, uint32_t length, enum fkv_queue queue,
                                  enum fkv_room kind, uint32_t *ret) {
    uint32_t reserve = table->geometry.reserve_segments;
    uint32_t keep = kind == FKV_ROOM_RESERVE ? reserve / 2 : reserve;
    if (fkv_segments_available(table) < length + keep)
        return FKV_FULL;
    *ret = find_neighbours(table, length, 0, table->geometry.segment_count);
    return *ret == FKV_NO_SEGMENT ? FKV_FULL : take_run_at_listed(table, *ret, length, queue);
}

/* The same of a stretch that reclaim has emptied for it; that may cost half of the reserve. */
fkv_status fkv_take_stretch_listed(fkv_table *table, uint32_t first, uint32_t length,
                                   enum fkv_queue queue) {
    if (fkv_segments_available(table) < length + table->geometry.reserve_segments / 2 ||
        find_neighbours(table, length, first, first + length) != first)
        return FKV_FULL;
    return take_run_at_listed(table, first, length, queue);
}

/* Takes a segment to append to, or a run; it is ours. FKV_FULL: none beyond the reserve. */
fkv_status fkv_take_segments(fkv_table *table, uint32_t length, enum fkv_queue queue,
                             enum fkv_room kind, uint32_t *ret) {
    fkv_status status = fkv_list_lock(table);
    if (status != FKV_OK)
        return status;
    status = length > 1 ? take_run_listed(table, length, queue, kind, ret)
                        : take_one_listed(table, queue, kind, ret);
    fkv_list_unlock(table);
    return status;
}

void fkv_live_bytes_add(fkv_table *table, uint64_t offset, uint64_t bytes, int sign) {
    fkv_head *head = &table->heads[fkv_segment_of(table, offset)];
    atomic_fetch_add_explicit(&head->live_bytes, sign * (int64_t)bytes, memory_order_relaxed);
}

/* ---- freeing and repair --------------------------------------------------------------------- */

static void free_one_listed(fkv_table *table, uint32_t segment) {
    atomic_fetch_add_explicit(&table->heads[segment].generation, 1, memory_order_release);
    set_state(table, segment, FKV_STATE(FKV_SEGMENT_FREE, 0, 0));
    atomic_fetch_add(&table->header->free_segments, 1);
    if (segment < atomic_load(&table->header->rotor))
        atomic_store(&table->header->rotor, segment);
}

/* Frees a segment or a whole run that no slot names any more. A run is shortened from its end,
 * the first segment saying so before each: killed in between leaves one orphan. */
void fkv_free_segment_listed(fkv_table *table, uint32_t segment) {
    uint64_t state = fkv_state_of(table, segment);
    for (uint32_t length = fkv_run_length(table, segment, state); length > 1; length--) {
        set_state(table, segment, owned(table, FKV_SEGMENT_VICTIM, length - 1));
        free_one_listed(table, segment + length - 1);
    }
    free_one_listed(table, segment);
    fkv_count_up(table->own, FKV_COUNT_segments_freed, 1);
}

void fkv_leave_segment(fkv_table *table, uint32_t segment) {
    uint32_t length = FKV_STATE_LENGTH(fkv_state_of(table, segment));
    set_state(table, segment,
              FKV_STATE(length > 0 ? FKV_SEGMENT_RUN : FKV_SEGMENT_CLOSED, 0, length));
}

/* What the dead left open is closed: its items stay, its free end is reopened by who needs it. */
void fkv_adopt_segments_listed(fkv_table *table, unsigned dead_entry) {
    for (uint32_t i = 0; i < table->geometry.segment_count; i++) {
        if (FKV_STATE_OWNER(fkv_state_of(table, i)) == dead_entry + 1)
            fkv_leave_segment(table, i);
    }
}

static bool is_orphan(const fkv_table *table, uint32_t segment, uint64_t state) {
    uint32_t distance = FKV_STATE_LENGTH(state);
    if (FKV_STATE_KIND(state) != FKV_SEGMENT_TAIL)
        return false;
    uint64_t first = distance <= segment ? fkv_state_of(table, segment - distance) : 0;
    enum fkv_segment_state kind = FKV_STATE_KIND(first);
    return (kind != FKV_SEGMENT_RUN && kind != FKV_SEGMENT_VICTIM) ||
           FKV_STATE_LENGTH(first) <= distance;
}

/* Returns to the kernel whatever is not accounted for: a death between fallocate and the word that
 * says so leaves such memory, and so does a reader that was overtaken while it copied. */
void fkv_punch_unreserved_listed(fkv_table *table) {
    const fkv_geometry *g = &table->geometry;
    for (uint32_t i = 0, first = 0; i <= g->segment_count; i++) {
        if (i < g->segment_count && kind_of(table, i) == FKV_SEGMENT_ABSENT)
            continue;
        if (i > first) /* many at once: there may be thousands */
            punch(table, fkv_segment_offset(table, first), (i - first) * table->segment_bytes);
        first = i + 1;
    }
    for (uint32_t i = 0; i < g->partition_count; i++) {
        uint64_t have = atomic_load(&table->partitions[i].index_bytes);
        if (have < g->index_range_bytes)
            punch(table, g->index_off + i * g->index_range_bytes + have,
                  g->index_range_bytes - have);
    }
    for (uint32_t i = 0; i < FKV_ENTRIES; i++)
        if (!atomic_load(&table->entries[i].page_reserved))
            punch(table, g->activity_off + i * FKV_ACTIVITY_SIZE, FKV_ACTIVITY_SIZE);
    if (!atomic_load(&table->header->ghosts_reserved))
        punch(table, g->ghosts_off, g->ghost_bytes);
}

/* Makes the words under the list lock what heads, partitions and entries say. */
void fkv_recount_list_listed(fkv_table *table) {
    fkv_header *h = table->header;
    const fkv_geometry *g = &table->geometry;
    uint64_t reserved = fkv_bytes_beside_segments(table);
    uint32_t free = 0;
    for (uint32_t i = 0; i < g->segment_count; i++) {
        uint64_t state = fkv_state_of(table, i);
        if (is_orphan(table, i, state)) {
            atomic_fetch_add(&table->heads[i].generation, 1);
            set_state(table, i, state = FKV_STATE(FKV_SEGMENT_FREE, 0, 0));
        }
        free += FKV_STATE_KIND(state) == FKV_SEGMENT_FREE;
        reserved += FKV_STATE_KIND(state) == FKV_SEGMENT_ABSENT ? 0 : table->segment_bytes;
    }
    fkv_punch_unreserved_listed(table);
    atomic_store(&h->free_segments, free);
    atomic_store(&h->reserved_bytes, reserved);
}
