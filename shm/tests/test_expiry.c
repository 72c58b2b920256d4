/* test_expiry.c -- expired keys: nobody sees them, and their memory comes back. */
#include <pthread.h>
#include <stdlib.h>

#include "test.h"

static fkv_status put_until(fkv_table *table, unsigned number, int64_t at_ms) {
    name name = number_name(number);
    fkv_key key = number_key(table, &name);
    return fkv_set(table, &key, name.text, name.size, 0, at_ms, NULL, NULL);
}

static void wait_past(int64_t at_ms) {
    WAIT_UNTIL(fkv_now_ms() > at_ms);
}

TEST(an_expired_key_is_missing_for_every_operation) {
    fkv_table *table = new_table(4 * MIB);
    int64_t at_ms = fkv_now_ms() + 20, sum;
    bytes value = BYTES;
    fkv_sink *sink = &value.sink;
    uint64_t size;
    bool existed = true, found = true;
    name name = number_name(1);
    fkv_key key = number_key(table, &name);
    CHECK_OK(put_until(table, 1, at_ms));
    wait_past(at_ms);
    CHECK_STATUS(fkv_get(table, &key, &value.sink), FKV_MISS);
    CHECK_STATUS(fkv_size(table, &key, &size), FKV_MISS);
    CHECK_STATUS(fkv_expire(table, &key, fkv_now_ms() + 9999, 0, NULL), FKV_MISS);
    CHECK_OK(fkv_get_many(table, &key, 1, &sink, &found));
    CHECK(!found);
    CHECK_STATUS(fkv_set(table, &key, "x", 1, FKV_XX, 0, NULL, &existed), FKV_UNMET);
    CHECK(!existed);
    CHECK_OK(fkv_add(table, &key, 3, &sum)); /* from 0, and without the old expiry */
    CHECK_EQUAL(sum, 3);
    CHECK_OK(fkv_expiry(table, &key, &at_ms));
    CHECK_EQUAL(at_ms, 0);
    CHECK_OK(put_until(table, 1, at_ms = fkv_now_ms() + 20));
    wait_past(at_ms);
    CHECK_STATUS(fkv_delete(table, &key, &value.sink), FKV_MISS);
    CHECK(value.data == NULL);
    CHECK_EQUAL(fkv_count(table, 0, NULL), 0);
}

TEST(set_with_an_expiry_in_the_past_deletes) {
    fkv_table *table = new_table(4 * MIB);
    CHECK_OK(put_until(table, 1, 0));
    CHECK_OK(put_until(table, 1, fkv_now_ms() - 1));
    CHECK_EQUAL(fkv_count(table, 0, NULL), 0);
    CHECK_OK(put_until(table, 1, 1));
    CHECK_EQUAL(fkv_count(table, 0, NULL), 0);
}

TEST(count_says_how_many_keys_have_an_expiry) {
    fkv_table *table = new_table(4 * MIB);
    int64_t later = fkv_now_ms() + 100000;
    uint64_t expiring;
    for (unsigned i = 0; i < 300; i++)
        CHECK_OK(put_until(table, i, i % 3 == 0 ? later : 0));
    CHECK_EQUAL(fkv_count(table, 0, &expiring), 300);
    CHECK_EQUAL(expiring, 100);
    for (unsigned i = 0; i < 300; i += 6)
        CHECK_OK(put_until(table, i, 0));
    CHECK_EQUAL(fkv_count(table, FKV_ALL_DATABASES, &expiring), 300);
    CHECK_EQUAL(expiring, 50);
}

TEST(sweep_removes_what_has_expired_and_nothing_else) {
    fkv_table *table = new_table(4 * MIB);
    int64_t soon = fkv_now_ms() + 30;
    for (unsigned i = 0; i < 3000; i++)
        CHECK_OK(put_until(table, i, i % 2 == 0 ? soon : soon + 100000));
    wait_past(soon);
    uint64_t removed = 0;
    for (unsigned i = 0; i < table->geometry.partition_count; i += 16)
        removed += fkv_sweep(table, 16, NULL);
    CHECK_EQUAL(removed, 1500);
    CHECK_EQUAL(fkv_count(table, 0, NULL), 1500);
    CHECK_EQUAL(fkv_sweep(table, UINT32_MAX, NULL), 0);
}

TEST(a_sweep_stops_after_so_many_pages_and_the_next_goes_on_from_there) {
    enum { COUNT = 60000, PAGES = 5 };
    fkv_table *table = new_table(16 * MIB);
    atomic_store(&clock_stand_ms, fkv_now_ms());
    for (unsigned i = 0; i < COUNT; i++)
        CHECK_OK(put_until(table, i, clock_stand_ms + (i < COUNT / 10 ? 1100 : 1000 + i % 100)));
    CHECK(table->own->counts[FKV_COUNT_growths] > 0);
    CHECK_EQUAL(fkv_count(table, 0, NULL), COUNT);
    check_clean(table);
    atomic_store(&clock_stand_ms, clock_stand_ms + 1100);
    CHECK_EQUAL(fkv_count(table, 0, NULL), 0);
    uint64_t removed = 0, least = COUNT / (PAGES * FKV_PAGE_SLOTS);
    unsigned sweeps = 0;
    for (bool more = true; more; sweeps++) {
        uint64_t some = fkv_sweep(table, PAGES, &more);
        CHECK(some <= PAGES * FKV_PAGE_SLOTS && (some > 0 || !more));
        removed += some;
    }
    CHECK_EQUAL(removed, COUNT);
    CHECK(sweeps > least);
    CHECK_EQUAL(table->own->counts[FKV_COUNT_expired], COUNT);
}

typedef struct counting {
    fkv_table *table;
    uint64_t most, least;
    _Atomic bool over;
} counting;

static void *keep_counting(void *context) {
    counting *c = context;
    while (!atomic_load(&c->over)) {
        uint64_t keys = fkv_count(c->table, 0, NULL);
        c->most = keys > c->most ? keys : c->most;
        c->least = keys < c->least ? keys : c->least;
    }
    return NULL;
}

/* The one that a sweep is just removing may be counted. */
TEST(a_count_is_right_while_others_sweep) {
    enum { ROUNDS = 12, COUNT = 10000, STAY = 1000 };
    fkv_table *table = new_table(16 * MIB);
    counting c = {.table = attach_again(table), .least = UINT64_MAX};
    atomic_store(&clock_stand_ms, fkv_now_ms());
    for (unsigned i = 0; i < STAY; i++)
        CHECK_OK(put_until(table, COUNT + i, i % 2 == 0 ? 0 : INT64_MAX));
    for (unsigned round = 0; round < ROUNDS; round++) {
        pthread_t thread;
        for (unsigned i = 0; i < COUNT; i++)
            CHECK_OK(put_until(table, i, clock_stand_ms + 100));
        atomic_store(&clock_stand_ms, clock_stand_ms + 100);
        atomic_store(&c.over, false);
        pthread_create(&thread, NULL, keep_counting, &c);
        for (bool more = true; more;)
            fkv_sweep(table, 1, &more);
        atomic_store(&c.over, true);
        pthread_join(thread, NULL);
    }
    CHECK(c.least >= STAY && c.most <= STAY + 1);
}

/* How many items with an expiry lie in segments that were taken after `clock`. */
static unsigned expiring_since(fkv_table *table, uint64_t clock) {
    unsigned found = 0;
    for (uint32_t i = 0; i < table->geometry.segment_count; i++) {
        const fkv_head *head = &table->heads[i];
        uint64_t start = fkv_segment_offset(table, i), at = 0;
        if (FKV_STATE_KIND(fkv_state_of(table, i)) != FKV_SEGMENT_CLOSED || head->born < clock)
            continue;
        for (const fkv_item *item; at < head->append; at += fkv_item_size(item)) {
            item = (const fkv_item *)(table->base + start + at);
            found += (item->flags & FKV_ITEM_EXPIRES) != 0;
        }
    }
    return found;
}

TEST(reclaim_copies_what_stays_and_nothing_that_has_expired) {
    fkv_table *table = new_table(4 * MIB);
    static const char value[200];
    unsigned count = 0, stay = 0;
    atomic_store(&clock_stand_ms, fkv_now_ms());
    for (fkv_status status = FKV_OK; status == FKV_OK; count++) {
        name name = number_name(count);
        fkv_key key = number_key(table, &name);
        status = fkv_set(table, &key, value, sizeof value, 0,
                         count % 4 == 0 ? 0 : clock_stand_ms + 1000, NULL, NULL);
        stay += status == FKV_OK && count % 4 == 0;
    }
    for (unsigned i = 1; i < count; i += 4) /* so that it is worth it */
        drop_number(table, i);
    atomic_store(&clock_stand_ms, clock_stand_ms + 1000);
    uint64_t clock = atomic_load(&table->header->clock);
    for (unsigned i = 0; i < table->geometry.segment_count / 2; i++) {
        CHECK_OK(fkv_write_begin(table));
        CHECK_OK(fkv_reclaim_one(table));
        fkv_append_close(table);
        fkv_write_end(table);
    }
    CHECK(table->own->counts[FKV_COUNT_bytes_copied] > 0);
    CHECK(table->own->counts[FKV_COUNT_expired] > 1000);
    CHECK_EQUAL(expiring_since(table, clock), 0);
    CHECK_EQUAL(fkv_count(table, 0, NULL), stay);
}

TEST(a_table_full_of_expired_keys_takes_new_ones) {
    fkv_table *table = new_table(4 * MIB);
    int64_t soon = fkv_now_ms() + 400;
    unsigned count = 0;
    atomic_store(&clock_stand_ms, soon - 400); /* however long it takes to fill it */
    while (put_until(table, count, soon) == FKV_OK)
        count++;
    atomic_store(&clock_stand_ms, soon);
    fkv_sweep(table, UINT32_MAX, NULL);
    for (unsigned i = 0; i < count - count / 50; i++)
        CHECK_OK(put_until(table, count + i, 0));
}
