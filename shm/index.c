/* index.c -- from a key to the slot that names its item: search, place, store, grow.
 *
 * Readers search without a lock and believe no hit until fkv_still_valid has compared slot and
 * segment generation a second time, and no miss unless the shape is the same. Writers hold the
 * partition's lock; they make every change visible by one store, in an order that leaves a reader,
 * or whoever repairs after a death, with all keys: copy first, publish, then clear. */
#include "internal.h"

#define LOAD_MAX_32NDS 27 /* a partition doubles at 27/32 of its slots, if no page is full before */

/* ---- search -------------------------------------------------------------------------------- */

/* Fills `found` from the item that `slot` names. False: the bytes cannot be an item of this key,
 * or lie outside their segment (they may be changing under us), or the slot has changed. */
static inline bool read_item(const fkv_table *table, const fkv_key *key, uint64_t slot,
                             fkv_found *found, bool *ret_doubt) {
    uint64_t offset = fkv_slot_offset(slot), extent;
    found->segment = 0;
    found->generation = 0;
    if (!fkv_in_segments(table, offset))
        return false;
    found->item = (const fkv_item *)(table->base + offset);
    __builtin_prefetch(found->item); /* most items lie across two lines: fetch both at once */
    __builtin_prefetch((const uint8_t *)found->item + FKV_CACHE_LINE);
    found->segment = fkv_segment_of(table, offset);
    found->generation = atomic_load_explicit(&table->heads[found->segment].generation,
                                             memory_order_acquire);
    if (atomic_load_explicit(found->slot_at, memory_order_acquire) != slot) {
        *ret_doubt = true; /* the generation may be that of the segment's next life, in which the
                            * slot may become what it was */
        return false;
    }
    if ((extent = fkv_item_extent(table, offset)) == 0)
        return false;
    uint64_t word = fkv_racy_word(found->item);
    fkv_item head;
    memcpy(&head, &word, sizeof head);
    if (head.key_size != key->size || fkv_item_size(&head) > extent)
        return false;
    found->slot = slot;
    found->value_size = head.value_size;
    found->expires_at_ms = 0;
    const char *at = (const char *)(found->item + 1);
    if (head.flags & FKV_ITEM_EXPIRES) {
        found->expires_at_ms = (int64_t)fkv_racy_word(at);
        at += 8;
    }
    found->value = at + key->size;
    return fkv_racy_equal(at, key->data, key->size);
}

/* Walks the buckets that may hold the key. A slot of equal tag whose item is another key's is
 * passed by; if it was one that changed under us, the caller's check of the shape or of the slot
 * tells. */
static inline bool probe(const fkv_table *table, const fkv_key *key, fkv_page *page,
                         fkv_found *found, bool *ret_doubt) {
    uint64_t match = fkv_slot_match(key);
    unsigned home = FKV_HASH_BUCKET(key->hash);
    for (unsigned step = 0; step < FKV_PAGE_BUCKETS; step++) {
        fkv_bucket *bucket = &page->buckets[home ^ step];
        for (unsigned i = 0; i < FKV_BUCKET_SLOTS; i++) {
            uint64_t slot = atomic_load_explicit(&bucket->slots[i], memory_order_acquire);
            if (((slot ^ match) & FKV_SLOT_MATCH_MASK) != 0 || slot == 0)
                continue;
            found->slot_at = &bucket->slots[i];
            if (read_item(table, key, slot, found, ret_doubt))
                return true;
            atomic_thread_fence(memory_order_acquire); /* after the reads that said no */
            if (atomic_load_explicit(found->slot_at, memory_order_relaxed) != slot ||
                atomic_load_explicit(&table->heads[found->segment].generation,
                                     memory_order_relaxed) != found->generation)
                *ret_doubt = true;
        }
        if (atomic_load_explicit(&bucket->passed, memory_order_acquire) == 0)
            break;
    }
    return false;
}

enum fkv_search fkv_search_racy(const fkv_table *table, const fkv_key *key, fkv_found *found) {
    found->partition = fkv_partition_of(table, key->hash);
    found->shape = atomic_load_explicit(&found->partition->shape, memory_order_acquire);
    if (found->shape & FKV_SHAPE_COMMIT)
        return FKV_SEARCH_RETRY;
    bool doubt = false;
    fkv_page *page = fkv_home_page(table, found->partition, found->shape, key->hash);
    if (probe(table, key, page, found, &doubt))
        return FKV_SEARCH_HIT;
    atomic_thread_fence(memory_order_acquire);
    if (doubt || atomic_load_explicit(&found->partition->shape, memory_order_relaxed) !=
                     found->shape)
        return FKV_SEARCH_RETRY;
    return FKV_SEARCH_MISS;
}

/* Whether what was read since the search belonged to the item that was found. Not a matter of the
 * shape: whoever grows the partition clears the slots that it moved before the lock is free, and a
 * commit that began meanwhile has not been seen by anybody while this slot is the old one. */
bool fkv_still_valid(const fkv_table *table, const fkv_found *found) {
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(found->slot_at, memory_order_relaxed) == found->slot &&
           atomic_load_explicit(&table->heads[found->segment].generation, memory_order_relaxed) ==
               found->generation;
}

/* The same for who has read other keys since: of a commit that is under way it may have seen what
 * is stored already, and `found` may be what is yet to be replaced. The shape before the slot: the
 * fence in between keeps them so, and a commit that ended there has changed the slot. */
bool fkv_confirm_hit(const fkv_table *table, const fkv_found *found) {
    uint64_t shape = atomic_load_explicit(&found->partition->shape, memory_order_relaxed);
    return !(shape & FKV_SHAPE_COMMIT) && fkv_still_valid(table, found);
}

/* The search under the lock: nothing changes, so the answer is final. */
bool fkv_search_locked(const fkv_table *table, const fkv_key *key, fkv_found *found) {
    bool doubt = false;
    found->partition = fkv_partition_of(table, key->hash);
    found->shape = atomic_load_explicit(&found->partition->shape, memory_order_relaxed);
    return probe(table, key, fkv_home_page(table, found->partition, found->shape, key->hash),
                 found, &doubt);
}

/* Whether the key's slot names this very item, and where; under the lock. */
bool fkv_find_item_locked(const fkv_table *table, const fkv_key *key, const fkv_item *item,
                          fkv_found *found) {
    return fkv_search_locked(table, key, found) && found->item == item;
}

/* What a slot becomes when its item moves to `to`. */
uint64_t fkv_moved_slot(const fkv_table *table, uint64_t slot, const fkv_item *to) {
    uint64_t offset = (uint64_t)((const uint8_t *)to - table->base);
    return (slot & ~FKV_SLOT_OFFSET_MASK) | offset >> 3;
}

/* Whether a slot, *ret_slot_at, names the very item at `offset`, by the slots alone.
 * FKV_SEARCH_RETRY: they may have moved meanwhile. */
enum fkv_search fkv_search_slot(const fkv_table *table, const fkv_key *key, uint64_t offset,
                                _Atomic uint64_t **ret_slot_at) {
    const fkv_partition *partition = fkv_partition_of(table, key->hash);
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_acquire);
    fkv_page *page = fkv_home_page(table, partition, shape, key->hash);
    unsigned home = FKV_HASH_BUCKET(key->hash);
    for (unsigned step = 0; step < FKV_PAGE_BUCKETS; step++) {
        fkv_bucket *bucket = &page->buckets[home ^ step];
        for (unsigned i = 0; i < FKV_BUCKET_SLOTS; i++)
            if (fkv_slot_offset(atomic_load_explicit(&bucket->slots[i], memory_order_acquire)) ==
                offset) {
                *ret_slot_at = &bucket->slots[i];
                return FKV_SEARCH_HIT;
            }
        if (atomic_load_explicit(&bucket->passed, memory_order_acquire) == 0)
            break;
    }
    atomic_thread_fence(memory_order_acquire);
    bool same = atomic_load_explicit(&partition->shape, memory_order_relaxed) == shape;
    return same && !(shape & FKV_SHAPE_COMMIT) ? FKV_SEARCH_MISS : FKV_SEARCH_RETRY;
}

void fkv_prefetch_slot(const fkv_table *table, const fkv_key *key) {
    const fkv_partition *partition = fkv_partition_of(table, key->hash);
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
    const fkv_page *page = fkv_home_page(table, partition, shape, key->hash);
    __builtin_prefetch(&page->buckets[FKV_HASH_BUCKET(key->hash)]);
}

void fkv_prefetch_item(const fkv_table *table, const fkv_key *key) {
    const fkv_partition *partition = fkv_partition_of(table, key->hash);
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
    fkv_page *page = fkv_home_page(table, partition, shape, key->hash);
    fkv_bucket *bucket = &page->buckets[FKV_HASH_BUCKET(key->hash)];
    uint64_t match = fkv_slot_match(key);
    for (unsigned i = 0; i < FKV_BUCKET_SLOTS; i++) {
        uint64_t slot = atomic_load_explicit(&bucket->slots[i], memory_order_relaxed);
        if (slot == 0 || ((slot ^ match) & FKV_SLOT_MATCH_MASK) != 0)
            continue;
        const uint8_t *item = table->base + fkv_slot_offset(slot);
        __builtin_prefetch(item);
        __builtin_prefetch(item + FKV_CACHE_LINE);
    }
}

/* ---- place and store ------------------------------------------------------------------------ */

static void passed_add(fkv_bucket *bucket, int by) {
    uint8_t passed = atomic_load_explicit(&bucket->passed, memory_order_relaxed);
    if (passed != 0xff && !(by < 0 && passed == 0)) /* 255 sticks: it no longer counts */
        atomic_store_explicit(&bucket->passed, (uint8_t)(passed + by), memory_order_release);
}

/* First empty slot of the key's page, or NULL. Counts the key as passing the full buckets. */
static _Atomic uint64_t *find_empty(fkv_page *page, uint64_t hash) {
    unsigned home = FKV_HASH_BUCKET(hash);
    for (unsigned step = 0; step < FKV_PAGE_BUCKETS; step++) {
        fkv_bucket *bucket = &page->buckets[home ^ step];
        for (unsigned i = 0; i < FKV_BUCKET_SLOTS; i++)
            if (atomic_load_explicit(&bucket->slots[i], memory_order_relaxed) == 0 &&
                atomic_load_explicit(&bucket->access[i], memory_order_relaxed) != FKV_CLAIMED) {
                for (unsigned before = 0; before < step; before++)
                    passed_add(&page->buckets[home ^ before], 1);
                return &bucket->slots[i];
            }
    }
    return NULL;
}

/* The buckets between a key's home and where it lies no longer have it behind them. */
void fkv_unpass_locked(_Atomic uint64_t *slot_at, uint64_t hash) {
    fkv_bucket *bucket = fkv_bucket_of(slot_at);
    fkv_page *page = fkv_page_of(slot_at);
    unsigned home = FKV_HASH_BUCKET(hash), steps = (unsigned)(bucket - page->buckets) ^ home;
    for (unsigned step = 0; step < steps; step++)
        passed_add(&page->buckets[home ^ step], -1);
}

/* An empty slot for a key that is not there, growing the partition when it is time. NULL: no slot
 * and no memory for more. */
_Atomic uint64_t *fkv_place_locked(fkv_table *table, const fkv_key *key, fkv_partition *partition,
                                   fkv_status *ret_status) {
    *ret_status = FKV_OK;
    bool grown = fkv_wants_growth_locked(table, partition) &&
                 fkv_grow_locked(table, partition) == FKV_OK;
    for (;;) {
        uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
        _Atomic uint64_t *slot_at =
            find_empty(fkv_home_page(table, partition, shape, key->hash), key->hash);
        if (slot_at != NULL)
            return slot_at;
        *ret_status = grown ? FKV_FULL : fkv_grow_locked(table, partition);
        if (*ret_status != FKV_OK)
            return NULL;
    }
}

static inline void add32(_Atomic uint32_t *counter, int by) {
    uint32_t n = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, n + (uint32_t)by, memory_order_relaxed);
}

static void count_key(fkv_partition *partition, uint64_t slot, int by) {
    if (slot == 0)
        return;
    _Atomic uint32_t *expiring = &partition->expiring[FKV_SLOT_DATABASE(slot)];
    bool expires = slot & FKV_SLOT_EXPIRES;
    if (expires && by > 0) /* first, and last: where it is 0 nobody looks for what has expired */
        add32(expiring, by);
    add32(&partition->used, by);
    add32(&partition->keys[FKV_SLOT_DATABASE(slot)], by);
    if (expires && by < 0)
        add32(expiring, by);
}

static void count_bytes(fkv_table *table, uint64_t slot, int by) {
    const fkv_item *item = fkv_slot_item(table, slot);
    if (item != NULL)
        fkv_live_bytes_add(table, fkv_slot_offset(slot), fkv_item_size(item), by);
}

/* Publishes `slot` (0 removes the key) by one store; the counters follow, as hints. */
void fkv_slot_store_locked(fkv_table *table, fkv_partition *partition, _Atomic uint64_t *slot_at,
                           uint64_t slot, uint64_t hash) {
    uint64_t old = atomic_load_explicit(slot_at, memory_order_relaxed);
    if (slot & FKV_SLOT_EXPIRES)
        fkv_note_due_locked(table, partition, slot_at, slot);
    atomic_store_explicit(slot_at, slot, memory_order_release);
    if (old == 0) /* for readers of many keys: a key that was missing no longer is */
        atomic_store_explicit(&partition->shape,
                              atomic_load_explicit(&partition->shape, memory_order_relaxed) +
                                  FKV_SHAPE_STEP, memory_order_release);
    if (old == 0 || slot == 0 || ((old ^ slot) & FKV_SLOT_EXPIRES)) {
        count_key(partition, slot, 1); /* else one key took the place of itself */
        count_key(partition, old, -1);
    }
    count_bytes(table, slot, 1);
    count_bytes(table, old, -1);
    if (slot == 0) {
        atomic_store_explicit(fkv_access_of(slot_at), 0, memory_order_relaxed);
        fkv_unpass_locked(slot_at, hash);
    }
}

/* ---- growth --------------------------------------------------------------------------------- */

bool fkv_wants_growth_locked(const fkv_table *table, const fkv_partition *partition) {
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
    uint64_t slots = (uint64_t)FKV_PAGE_SLOTS * fkv_page_count(table, shape);
    return atomic_load_explicit(&partition->used, memory_order_relaxed) >=
           slots * LOAD_MAX_32NDS / 32;
}

static fkv_status reserve_index(fkv_table *table, fkv_partition *partition, uint64_t bytes) {
    uint64_t have = atomic_load_explicit(&partition->index_bytes, memory_order_relaxed);
    if (have < bytes && !fkv_may_grow(table, table->segment_bytes, bytes - have))
        return FKV_FULL;
    fkv_status status = fkv_list_lock(table);
    if (status != FKV_OK)
        return status;
    if (have < bytes) {
        uint64_t at = (uint64_t)((uint8_t *)fkv_index_page(table, partition, 0) - table->base);
        status = fkv_reserve_listed(table, at + have, bytes - have);
        if (status == FKV_OK)
            atomic_store_explicit(&partition->index_bytes, bytes, memory_order_relaxed);
    }
    fkv_list_unlock(table);
    return status;
}

/* Copies to `upper` every slot of `lower` whose hash says so. They stay in `lower` too. */
static void copy_moving(fkv_table *table, fkv_page *lower, fkv_page *upper, uint32_t page_bit) {
    memset(upper, 0, sizeof *upper); /* a growth that was killed may have left slots */
    int64_t due_ms = atomic_load_explicit(fkv_due_of(table, lower), memory_order_relaxed);
    atomic_store_explicit(fkv_due_of(table, upper), due_ms, memory_order_relaxed);
    for (unsigned i = 0; i < FKV_PAGE_SLOTS; i++) {
        _Atomic uint64_t *from = fkv_slot_at(lower, i);
        uint64_t slot = atomic_load_explicit(from, memory_order_relaxed);
        if (slot == 0)
            continue;
        const fkv_item *item = fkv_slot_item(table, slot);
        uint64_t hash = item != NULL ? fkv_key_of(table, item).hash : 0;
        if (item == NULL || !(FKV_HASH_PAGE(hash) & page_bit))
            continue;
        _Atomic uint64_t *to = find_empty(upper, hash);
        if (to == NULL) /* as many fitted below, so the page is damaged: the checker will say so */
            continue;
        uint8_t access = atomic_load_explicit(fkv_access_of(from), memory_order_relaxed);
        atomic_store_explicit(fkv_access_of(to), access, memory_order_relaxed);
        atomic_store_explicit(to, slot, memory_order_relaxed);
    }
}

static void prefetch_items(const fkv_table *table, const fkv_page *page) {
    for (unsigned b = 0; b < FKV_PAGE_BUCKETS; b++)
        for (unsigned i = 0; i < FKV_BUCKET_SLOTS; i++)
            __builtin_prefetch(table->base + fkv_slot_offset(atomic_load_explicit(
                                   &page->buckets[b].slots[i], memory_order_relaxed)));
}

/* Doubles the partition in its range. Until the new shape is stored readers see the old pages,
 * whole; from then on the new ones, whole; the moved slots that linger below are cleared last. A
 * death before the store leaves junk that nobody reaches; after it, slots in a page that is not
 * theirs, which repair drops. */
fkv_status fkv_grow_locked(fkv_table *table, fkv_partition *partition) {
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
    uint32_t pages = fkv_page_count(table, shape);
    uint64_t bytes = 2 * (uint64_t)pages * sizeof(fkv_page);
    if (bytes > table->geometry.index_range_bytes)
        return FKV_FULL;
    fkv_status status = reserve_index(table, partition, bytes);
    if (status != FKV_OK)
        return status;
    for (uint32_t i = 0; i < pages; i++) {
        prefetch_items(table, fkv_index_page(table, partition, i));
        copy_moving(table, fkv_index_page(table, partition, i),
                    fkv_index_page(table, partition, pages + i), pages);
    }
    atomic_store_explicit(&partition->shape, shape + FKV_SHAPE_STEP + 1, memory_order_release);
    atomic_thread_fence(memory_order_release);
    fkv_recount_locked(table, partition);
    fkv_count_up(table->own, FKV_COUNT_growths, 1);
    return FKV_OK;
}

/* ---- recount -------------------------------------------------------------------------------- */

typedef struct tally {
    uint32_t used, keys[FKV_DATABASES], expiring[FKV_DATABASES];
    int64_t expires_max_ms;
} tally;

/* Most of them are right already: no need to write to their lines. */
static void set_byte(_Atomic uint8_t *at, uint8_t byte) {
    if (atomic_load_explicit(at, memory_order_relaxed) != byte)
        atomic_store_explicit(at, byte, memory_order_release);
}

/* Drops slots that moved away with a growth, and counts the rest. `passed` is set, not zeroed and
 * raised: a reader must never see it lower than it is. */
static void recount_page(fkv_table *table, fkv_page *page, uint32_t page_index, uint32_t pages,
                         tally *total) {
    unsigned passed[FKV_PAGE_BUCKETS] = {0};
    int64_t due_ms = 0;
    for (unsigned i = 0; i < FKV_PAGE_SLOTS; i++) {
        unsigned at = i / FKV_BUCKET_SLOTS;
        fkv_bucket *bucket = &page->buckets[at];
        _Atomic uint64_t *slot_at = &bucket->slots[i % FKV_BUCKET_SLOTS];
        uint64_t slot = atomic_load_explicit(slot_at, memory_order_relaxed);
        const fkv_item *item = fkv_slot_item(table, slot);
        uint64_t hash = item != NULL ? fkv_key_of(table, item).hash : 0;
        if (slot != 0 && (item == NULL || (FKV_HASH_PAGE(hash) & (pages - 1)) != page_index))
            atomic_store_explicit(slot_at, slot = 0, memory_order_release);
        if (slot == 0) {
            set_byte(&bucket->access[i % FKV_BUCKET_SLOTS], 0);
            continue;
        }
        total->used++;
        total->keys[FKV_SLOT_DATABASE(slot)]++;
        total->expiring[FKV_SLOT_DATABASE(slot)] += (slot & FKV_SLOT_EXPIRES) != 0;
        due_ms = fkv_sooner(due_ms, fkv_item_expiry(item));
        if (fkv_item_expiry(item) > total->expires_max_ms)
            total->expires_max_ms = fkv_item_expiry(item);
        unsigned home = FKV_HASH_BUCKET(hash);
        for (unsigned step = 0; step < (at ^ home); step++)
            passed[home ^ step]++;
    }
    for (unsigned b = 0; b < FKV_PAGE_BUCKETS; b++)
        set_byte(&page->buckets[b].passed, (uint8_t)(passed[b] < 0xff ? passed[b] : 0xff));
    if (atomic_load_explicit(fkv_due_of(table, page), memory_order_relaxed) != due_ms)
        atomic_store_explicit(fkv_due_of(table, page), due_ms, memory_order_release);
}

/* Makes counters, `passed` and due words what the slots say. Growth ends with it, repair is it. */
void fkv_recount_locked(fkv_table *table, fkv_partition *partition) {
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_relaxed);
    uint32_t pages = fkv_page_count(table, shape);
    tally total = {0};
    for (uint32_t i = 0; i < pages; i++) {
        prefetch_items(table, fkv_index_page(table, partition, i));
        recount_page(table, fkv_index_page(table, partition, i), i, pages, &total);
    }
    atomic_store_explicit(&partition->used, total.used, memory_order_relaxed);
    atomic_store_explicit(&partition->expires_max_ms, total.expires_max_ms, memory_order_release);
    for (unsigned d = 0; d < FKV_DATABASES; d++) {
        atomic_store_explicit(&partition->keys[d], total.keys[d], memory_order_relaxed);
        atomic_store_explicit(&partition->expiring[d], total.expiring[d], memory_order_relaxed);
    }
}
