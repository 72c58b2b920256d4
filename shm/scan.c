/* scan.c -- visiting and counting the keys of a database.
 *
 * A cursor names a partition, a page and a bucket. Pages are visited in reversed-bit order: when a
 * partition doubles meanwhile, the pages a visited page was split into are exactly those behind the
 * cursor, and those of an unvisited one before it (P. Noordhuis, the dict scan of Redis). A key
 * changes its bucket only by moving to such a new page, so each is met at least once. */
#include "internal.h"

#define COUNT_PAGES 64 /* whose items are looked at in one piece, if all have to be */
#define COUNT_TRIES 64 /* of a partition, while it changes: a sweep of a page is over sooner */

typedef struct place {
    uint32_t partition, page, bucket;
} place;

/* bits 0..5 bucket, 6..25 page, 26.. partition, so that 0 is the beginning. */
static place decode(uint64_t cursor) {
    return (place){(uint32_t)(cursor >> 26), (uint32_t)(cursor >> 6 & 0xfffff),
                   (uint32_t)(cursor & 63)};
}

static uint64_t encode(place at) {
    return (uint64_t)at.partition << 26 | (uint64_t)at.page << 6 | at.bucket;
}

static uint32_t reverse_bits(uint32_t n) {
    uint32_t reversed = 0;
    for (int i = 0; i < 32; i++, n >>= 1)
        reversed = reversed << 1 | (n & 1);
    return reversed;
}

/* The page after `page` in reversed-bit order; 0 after the last. */
static uint32_t next_page(uint32_t page, unsigned bits) {
    uint32_t mask = (UINT32_C(1) << bits) - 1;
    return reverse_bits(reverse_bits(page | ~mask) + 1) & mask;
}

typedef struct scan {
    fkv_table *table;
    unsigned database;
    fkv_visit visit;
    void *context;
    size_t met, name_size;
    fkv_status status;
    bool stopped;
    char name[FKV_KEY_MAX];
} scan;

/* Copies out the key in `slot_at`, if it holds a live one of this database. FKV_SEARCH_RETRY: it
 * changed under us. */
static enum fkv_search read_name(scan *s, _Atomic uint64_t *slot_at) {
    const fkv_table *table = s->table;
    uint64_t slot = atomic_load_explicit(slot_at, memory_order_acquire);
    uint64_t offset = fkv_slot_offset(slot);
    if (slot == 0 || FKV_SLOT_DATABASE(slot) != s->database ||
        !fkv_in_segments(table, offset))
        return FKV_SEARCH_MISS;
    fkv_head *head = &table->heads[fkv_segment_of(table, offset)];
    uint64_t generation = atomic_load_explicit(&head->generation, memory_order_acquire);
    uint64_t extent = fkv_item_extent(table, offset);
    if (atomic_load_explicit(slot_at, memory_order_acquire) != slot || extent == 0)
        return FKV_SEARCH_RETRY;
    const fkv_item *item = (const fkv_item *)(table->base + offset);
    uint64_t word = fkv_racy_word(item);
    fkv_item copy;
    memcpy(&copy, &word, sizeof copy);
    int64_t expires = 0;
    bool fits = fkv_item_size(&copy) <= extent;
    if (fits && (copy.flags & FKV_ITEM_EXPIRES))
        expires = (int64_t)fkv_racy_word(item + 1);
    if (fits)
        fkv_racy_copy(s->name, (const char *)(item + 1) + (copy.flags & FKV_ITEM_EXPIRES ? 8 : 0),
                      copy.key_size);
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(slot_at, memory_order_relaxed) != slot ||
        atomic_load_explicit(&head->generation, memory_order_relaxed) != generation)
        return FKV_SEARCH_RETRY;
    s->name_size = copy.key_size;
    return fits && !fkv_expired(expires) ? FKV_SEARCH_HIT : FKV_SEARCH_MISS;
}

/* The same under the lock, for a key that is overwritten all the time. */
static enum fkv_search read_name_locked(scan *s, fkv_partition *partition,
                                        _Atomic uint64_t *slot_at) {
    enum fkv_search search = FKV_SEARCH_MISS;
    if ((s->status = fkv_write_begin_at(s->table, partition)) != FKV_OK)
        return search;
    if ((s->status = fkv_partition_lock(s->table, partition)) == FKV_OK) {
        search = read_name(s, slot_at);
        fkv_partition_unlock(s->table, partition);
    }
    fkv_write_end(s->table);
    return search;
}

static void scan_bucket(scan *s, fkv_partition *partition, fkv_bucket *bucket) {
    for (unsigned i = 0; i < FKV_BUCKET_SLOTS; i++) {
        enum fkv_search search = FKV_SEARCH_RETRY;
        for (int tries = 0; search == FKV_SEARCH_RETRY && tries < FKV_READ_TRIES; tries++)
            search = read_name(s, &bucket->slots[i]);
        if (search == FKV_SEARCH_RETRY)
            search = read_name_locked(s, partition, &bucket->slots[i]);
        if (search != FKV_SEARCH_HIT)
            continue;
        s->met++;
        if (!s->visit(s->context, s->name, s->name_size))
            s->stopped = true;
    }
}

/* Moves to the next bucket, page or partition. */
static place advance(place at, unsigned bits) {
    at.bucket = (at.bucket + 1) % FKV_PAGE_BUCKETS;
    if (at.bucket == 0 && (at.page = next_page(at.page, bits)) == 0)
        at.partition++;
    return at;
}

/* Reads the rest of the cursor's page, or until enough keys were met. */
static fkv_status scan_page(scan *s, place *at, size_t count) {
    fkv_partition *partition = &s->table->partitions[at->partition];
    uint64_t shape = atomic_load_explicit(&partition->shape, memory_order_acquire);
    if (shape & FKV_SHAPE_COMMIT) /* until it is over, or what its process left is repaired */
        return fkv_pass_partition(s->table, partition);
    unsigned bits = fkv_page_bits(s->table, shape);
    place start = *at;
    start.page &= (UINT32_C(1) << bits) - 1;
    fkv_page *page = fkv_index_page(s->table, partition, start.page);
    place next = start;
    do {
        scan_bucket(s, partition, &page->buckets[next.bucket]);
        next = advance(next, bits);
    } while (next.bucket != 0 && s->met < count && !s->stopped && s->status == FKV_OK);
    if (s->status != FKV_OK)
        return s->status;
    atomic_thread_fence(memory_order_acquire);
    uint64_t after = atomic_load_explicit(&partition->shape, memory_order_relaxed);
    if (fkv_page_bits(s->table, after) == bits) /* else it grew under us: read this page again */
        *at = next;
    return FKV_OK;
}

fkv_status fkv_scan(fkv_table *table, unsigned database, uint64_t *cursor, size_t count,
                    fkv_visit visit, void *context) {
    scan s = {.table = table, .database = database, .visit = visit, .context = context};
    place at = decode(*cursor);
    if (database >= FKV_DATABASES)
        return FKV_INVALID;
    fkv_status status = fkv_ready(table);
    while (status == FKV_OK && at.partition < table->geometry.partition_count && s.met < count &&
           !s.stopped)
        status = scan_page(&s, &at, count);
    *cursor = at.partition < table->geometry.partition_count ? encode(at) : 0;
    return status;
}

typedef struct counted {
    uint64_t keys, expiring;
} counted;

static counted read_counters(const fkv_partition *partition, unsigned database) {
    counted sum = {0, 0};
    for (unsigned d = 0; d < FKV_DATABASES; d++) {
        if (database != FKV_ALL_DATABASES && database != d)
            continue;
        sum.keys += atomic_load_explicit(&partition->keys[d], memory_order_relaxed);
        sum.expiring += atomic_load_explicit(&partition->expiring[d], memory_order_relaxed);
    }
    return sum;
}

/* Whether nothing that can expire is still alive. To be asked after the counters were read. */
static bool all_expired(const fkv_partition *partition) {
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&partition->expires_max_ms, memory_order_acquire) <= fkv_now_ms();
}

/* One partition's keys, less those that have expired and wait for the sweep. That removes a page of
 * them in the time of a look: so if the counters have moved meanwhile, once more. */
static counted count_partition(const fkv_table *table, const fkv_partition *partition,
                               unsigned database) {
    counted sum = read_counters(partition, database), was;
    uint64_t expired = 0;
    for (int tries = 0; sum.expiring > 0 && tries < COUNT_TRIES; tries++) {
        was = sum;
        expired = all_expired(partition) ? sum.expiring
                                         : fkv_count_expired(table, partition, database);
        atomic_thread_fence(memory_order_acquire);
        sum = read_counters(partition, database);
        if (sum.keys == was.keys && sum.expiring == was.expiring)
            break;
    }
    sum.keys -= expired < sum.keys ? expired : sum.keys;
    sum.expiring -= expired < sum.expiring ? expired : sum.expiring;
    return sum;
}

uint64_t fkv_count(fkv_table *table, unsigned database, uint64_t *ret_expiring) {
    uint64_t keys = 0, expiring = 0;
    for (uint32_t i = 0; i < table->geometry.partition_count; i++) {
        counted sum = count_partition(table, &table->partitions[i], database);
        keys += sum.keys;
        expiring += sum.expiring;
    }
    if (ret_expiring != NULL)
        *ret_expiring = expiring;
    return keys;
}

uint64_t fkv_count_some(fkv_table *table, unsigned database, uint32_t *at) {
    uint64_t keys = 0, pages = 0;
    for (; *at < table->geometry.partition_count && pages < COUNT_PAGES; ++*at) {
        const fkv_partition *partition = &table->partitions[*at];
        keys += count_partition(table, partition, database).keys;
        pages += fkv_page_count(table, atomic_load_explicit(&partition->shape,
                                                            memory_order_relaxed));
    }
    if (*at >= table->geometry.partition_count)
        *at = 0;
    return keys;
}
