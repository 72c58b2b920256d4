/* test_check.c -- fkv_check names whatever is broken; nobody crashes on a broken table. */
#include <stddef.h>
#include <stdlib.h>

#include "test.h"

enum { KEYS = 12000 };

static fkv_table *filled_table(void) {
    fkv_table *table = new_table(4 * MIB);
    int64_t later = fkv_now_ms() + 1000000;
    for (unsigned i = 0; i < KEYS; i++) {
        name name = number_name(i);
        fkv_key key = fkv_make_key(table, i % 3, name.text, name.size);
        CHECK_OK(fkv_set(table, &key, name.text, 12, 0, i % 4 == 0 ? later : 0, NULL, NULL));
    }
    fkv_append_close(table); /* so that closed ones are there to be damaged */
    check_clean(table);
    return table;
}

static void expect_broken(fkv_table *table, const char *part) {
    char text[400];
    CHECK_STATUS(fkv_check(table, text, sizeof text), FKV_CORRUPT);
    if (strstr(text, part) == NULL)
        test_failed(__FILE__, __LINE__, "no \"%s\" in: %s", part, text);
}

/* Plants `value` in an atomic word of the table, expects the words, and takes it back. */
#define EXPECT_BROKEN_BY(table, at, value, part)                                                   \
    do {                                                                                           \
        __typeof__(atomic_load(at)) before = atomic_exchange(at, value);                           \
        expect_broken(table, part);                                                                \
        atomic_store(at, before);                                                                  \
        check_clean(table);                                                                        \
    } while (0)

static fkv_found find(fkv_table *table, unsigned number) {
    fkv_found found;
    name name = number_name(number);
    fkv_key key = fkv_make_key(table, number % 3, name.text, name.size);
    CHECK(fkv_search_locked(table, &key, &found));
    return found;
}

static fkv_bucket *bucket_of(_Atomic uint64_t *slot_at) {
    return (fkv_bucket *)((uintptr_t)slot_at & ~(uintptr_t)63);
}

TEST(check_names_a_slot_that_is_wrong) {
    fkv_table *table = filled_table();
    fkv_found found = find(table, 5), other = find(table, 6);
    uint64_t slot = found.slot;
    EXPECT_BROKEN_BY(table, found.slot_at, slot ^ UINT64_C(1) << 40, "its tag is not its key's");
    EXPECT_BROKEN_BY(table, found.slot_at, slot ^ UINT64_C(1) << 56, "database");
    EXPECT_BROKEN_BY(table, found.slot_at, slot ^ FKV_SLOT_EXPIRES, "expiry flag");
    EXPECT_BROKEN_BY(table, found.slot_at, slot | FKV_SLOT_OFFSET_MASK, "outside the segments");
    EXPECT_BROKEN_BY(table, found.slot_at, slot & ~FKV_SLOT_OFFSET_MASK, "outside the segments");
    EXPECT_BROKEN_BY(table, found.slot_at, other.slot, "slot");
    EXPECT_BROKEN_BY(table, found.slot_at, 0, "slots are used, but it counts");
    uint64_t offset = fkv_segment_offset(table, table->geometry.segment_count - 1);
    EXPECT_BROKEN_BY(table, found.slot_at, (slot & ~FKV_SLOT_OFFSET_MASK) | offset >> 3, "free");
}

TEST(check_names_a_key_that_is_there_twice_or_out_of_reach) {
    fkv_table *table = filled_table();
    for (unsigned i = 0, done = 0; done < 2; i++) {
        fkv_found found = find(table, i);
        fkv_bucket *bucket = bucket_of(found.slot_at);
        _Atomic uint64_t *last = &bucket->slots[FKV_BUCKET_SLOTS - 1];
        if (atomic_load(last) == 0 && ++done)
            EXPECT_BROKEN_BY(table, last, found.slot, "twice");
    }
    for (unsigned i = 0; i < KEYS; i++) {
        fkv_found found = find(table, i);
        fkv_bucket *bucket = bucket_of(found.slot_at);
        uint64_t hash = fkv_key_of(table, found.item).hash;
        fkv_page *page = fkv_home_page(table, found.partition, found.shape, hash);
        fkv_bucket *home = &page->buckets[FKV_HASH_BUCKET(hash)];
        if (bucket != home) {
            EXPECT_BROKEN_BY(table, &home->passed, 0, "does not find it");
            return;
        }
    }
    test_failed(__FILE__, __LINE__, "no key overflowed its bucket");
}

TEST(check_names_counts_that_are_wrong) {
    fkv_table *table = filled_table();
    fkv_partition *p = &table->partitions[7];
    EXPECT_BROKEN_BY(table, &p->used, p->used + 1, "slots are used");
    EXPECT_BROKEN_BY(table, &p->keys[1], p->keys[1] + 1, "database 1 has");
    EXPECT_BROKEN_BY(table, &p->expiring[2], p->expiring[2] - 1, "with an expiry");
    EXPECT_BROKEN_BY(table, &p->index_bytes, 0, "reserved_bytes");
    EXPECT_BROKEN_BY(table, &table->header->reserved_bytes, 4096, "reserved_bytes");
    EXPECT_BROKEN_BY(table, &table->header->free_segments, 77, "free_segments is 77");
}

TEST(check_names_a_shape_that_is_wrong) {
    fkv_table *table = filled_table();
    fkv_partition *p = &table->partitions[9];
    EXPECT_BROKEN_BY(table, &p->shape, p->shape | 0x1f, "page bits");
    EXPECT_BROKEN_BY(table, &p->shape, p->shape | 0x80, "page bits");
    EXPECT_BROKEN_BY(table, &p->shape, p->shape + 1, "index");
}

TEST(a_commit_flag_that_nobody_will_clear_is_cleared_by_the_next_writer) {
    fkv_table *table = filled_table();
    fkv_key key = text_key(table, "k");
    fkv_partition *p = fkv_partition_of(table, key.hash);
    int64_t sum;
    atomic_fetch_or(&p->shape, FKV_SHAPE_COMMIT); /* damage: no lock is held */
    CHECK_OK(fkv_add(table, &key, 1, &sum));
    CHECK_EQUAL(atomic_load(&p->shape) & FKV_SHAPE_COMMIT, 0);
    CHECK_TEXT(text_at(table, "k"), "1");
}

static uint32_t closed_segment(const fkv_table *table) {
    for (uint32_t i = 0; i < table->geometry.segment_count; i++)
        if (FKV_STATE_KIND(fkv_state_of(table, i)) == FKV_SEGMENT_CLOSED)
            return i;
    test_failed(__FILE__, __LINE__, "no closed segment");
}

TEST(check_names_a_segment_that_is_wrong) {
    fkv_table *table = filled_table();
    uint32_t segment = closed_segment(table);
    fkv_head *head = &table->heads[segment];
    EXPECT_BROKEN_BY(table, &head->state, FKV_STATE(9, 0, 0), "does not exist");
    EXPECT_BROKEN_BY(table, &head->state, FKV_STATE(FKV_SEGMENT_OPEN, 600, 0), "does not exist");
    EXPECT_BROKEN_BY(table, &head->state, FKV_STATE(FKV_SEGMENT_OPEN, 400, 0), "which is free");
    EXPECT_BROKEN_BY(table, &head->state, FKV_STATE(FKV_SEGMENT_TAIL, 0, 1), "tail of a run");
    EXPECT_BROKEN_BY(table, &head->state, FKV_STATE(FKV_SEGMENT_FREE, 0, 0), "free");
    EXPECT_BROKEN_BY(table, &head->append, table->segment_bytes + 8, "were appended");
    EXPECT_BROKEN_BY(table, &head->append, head->append - 8, "beyond");
    EXPECT_BROKEN_BY(table, &head->append, 0, "never appended");
    EXPECT_BROKEN_BY(table, &head->walked, 8, "has passed by");
    EXPECT_BROKEN_BY(table, &head->walked, head->append + 8, "were walked");
}

TEST(check_names_a_page_that_is_due_too_late) {
    fkv_table *table = new_table(4 * MIB);
    fkv_key key = text_key(table, "k");
    CHECK_OK(fkv_set(table, &key, "v", 1, 0, fkv_now_ms() + 100000, NULL, NULL));
    fkv_found found;
    CHECK(fkv_search_locked(table, &key, &found));
    const fkv_page *page = fkv_home_page(table, found.partition, found.shape, key.hash);
    EXPECT_BROKEN_BY(table, fkv_due_of(table, page), 0, "is due at 0");
    EXPECT_BROKEN_BY(table, fkv_due_of(table, page), INT64_MAX, "is due at");
    EXPECT_BROKEN_BY(table, &found.partition->expires_max_ms, 1, "it says all do by 1");
    fkv_head *head = &table->heads[fkv_segment_of(table, fkv_slot_offset(found.slot))];
    EXPECT_BROKEN_BY(table, &head->expires_max_ms, 1, "later than its segment says");
}

TEST(check_names_an_item_that_is_wrong) {
    fkv_table *table = filled_table();
    fkv_found found = find(table, 5);
    fkv_item *item = (fkv_item *)found.item, whole = *item;
    item->value_size = UINT32_MAX;
    expect_broken(table, "beyond");
    *item = whole;
    item->key_size = 0;
    expect_broken(table, "");
    *item = whole;
    item->database ^= 1;
    expect_broken(table, "database");
    *item = whole;
    char *key = (char *)fkv_item_key(item);
    key[4] ^= 1;
    expect_broken(table, "slot");
    key[4] ^= 1;
    check_clean(table);
}

/* ---- random damage ------------------------------------------------------------------------------- */

static void use_as_a_reader(fkv_table *table) {
    static char text[400];
    bytes value = BYTES;
    fkv_facts facts;
    fkv_sink *sink = &value.sink;
    bool found;
    uint64_t size;
    fkv_set_lock_timeout(table, 1);
    for (unsigned i = 0; i < 300; i++) {
        name name = number_name(i * 7 % KEYS);
        fkv_key key = fkv_make_key(table, i % 3, name.text, name.size);
        fkv_prefetch_item(table, &key);
        fkv_get(table, &key, &value.sink);
        fkv_size(table, &key, &size);
        fkv_get_many(table, &key, 1, &sink, &found);
    }
    fkv_read_facts(table, &facts);
    fkv_check(table, text, sizeof text);
    free(value.data);
}

/* glibc ends the process when the flags inside a sem_t are wrong: not ours to prevent. */
static bool in_semaphore(const fkv_table *table, uint64_t offset) {
    uint64_t first = table->geometry.partitions_off, last = table->geometry.heads_off;
    uint64_t within = (offset - first) % sizeof(fkv_partition);
    return offset >= first && offset < last && within >= offsetof(fkv_lock, sleepers) &&
           within < offsetof(fkv_lock, sleepers) + sizeof(sem_t);
}

static void damage_and_read(fkv_table *table, void *context) {
    uint64_t chance = *(uint64_t *)context;
    fkv_own_activity(table); /* registers, while all is well */
    uint64_t first = FKV_KERNEL_PAGE, last = table->geometry.activity_off;
    for (unsigned i = 0; i < 200;) {
        uint64_t offset = first + random_next(&chance) % (last - first);
        bool index = random_below(&chance, 2);
        if (index) /* where it hurts: heads, partitions, first pages of the index */
            offset = first + random_next(&chance) % (table->geometry.index_off - first);
        else if (offset >= table->geometry.segments_off &&
                 FKV_STATE_KIND(fkv_state_of(table, fkv_segment_of(table, offset))) <
                     FKV_SEGMENT_OPEN)
            continue;
        if (in_semaphore(table, offset))
            continue;
        table->base[offset] ^= (uint8_t)(1u << random_below(&chance, 8));
        i++;
    }
    use_as_a_reader(table);
}

TEST(readers_of_a_damaged_table_neither_crash_nor_hang) {
    uint64_t chance = random_seed();
    for (unsigned round = 0; round < 40; round++) {
        fkv_table *table = filled_table();
        uint64_t seed = random_next(&chance);
        wait_child(start_child(damage_and_read, table, &seed));
        fkv_retire(table); /* no use in a last check of it */
    }
}
