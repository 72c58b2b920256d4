/* test_clock.c -- the wall clock is set forward and back: expiry follows it, and nothing else does. */
#include <signal.h>

#include "test.h"

#define DAY 86400

static fkv_status put_for(fkv_table *table, unsigned number, long seconds) {
    static const char value[1000];
    name name = number_name(number);
    fkv_key key = number_key(table, &name);
    int64_t at_ms = fkv_now_ms() + seconds * 1000;
    return fkv_set(table, &key, value, sizeof value, 0, at_ms, NULL, NULL);
}

static fkv_status put_for_ms(fkv_table *table, unsigned number, int64_t at_ms) {
    static const char value[100];
    name name = number_name(number);
    fkv_key key = number_key(table, &name);
    return fkv_set(table, &key, value, sizeof value, 0, at_ms, NULL, NULL);
}

static bool is_there(fkv_table *table, unsigned number) {
    int64_t at_ms;
    name name = number_name(number);
    fkv_key key = number_key(table, &name);
    return fkv_expiry(table, &key, &at_ms) == FKV_OK;
}

TEST(a_step_forward_expires_and_a_step_back_revives_what_nobody_removed) {
    fkv_table *table = new_table(4 * MIB);
    CHECK_OK(put_for(table, 1, 100));
    atomic_store(&clock_step_s, DAY);
    CHECK(!is_there(table, 1));
    atomic_store(&clock_step_s, -DAY);
    CHECK(is_there(table, 1));
}

TEST(what_a_sweep_or_a_write_has_removed_stays_removed_after_a_step_back) {
    fkv_table *table = new_table(4 * MIB);
    int64_t sum;
    name written = number_name(3);
    fkv_key key = number_key(table, &written);
    for (unsigned i = 0; i < 4; i++)
        CHECK_OK(put_for(table, i, 100));
    atomic_store(&clock_step_s, DAY);
    CHECK_STATUS(drop_number(table, 2), FKV_MISS);
    CHECK_OK(fkv_add(table, &key, 7, &sum)); /* from nothing, and for ever */
    CHECK_EQUAL(fkv_sweep(table, UINT32_MAX, NULL), 2);
    atomic_store(&clock_step_s, 0);
    for (unsigned i = 0; i < 3; i++)
        CHECK(!is_there(table, i));
    CHECK(is_there(table, 3));
    CHECK_EQUAL(fkv_count(table, 0, NULL), 1);
}

TEST(an_expiry_is_a_moment_whatever_the_clock_does_until_then) {
    fkv_table *table = new_table(4 * MIB);
    int64_t before, after;
    name name = number_name(1);
    fkv_key key = number_key(table, &name);
    CHECK_OK(put_for(table, 1, 100));
    CHECK_OK(fkv_expiry(table, &key, &before));
    atomic_store(&clock_step_s, -DAY);
    CHECK_OK(fkv_expiry(table, &key, &after));
    CHECK_EQUAL(after, before);
    CHECK_OK(fkv_expire(table, &key, fkv_now_ms() + 1000, 0, NULL));
    atomic_store(&clock_step_s, 0);
    CHECK(!is_there(table, 1));
}

TEST(memory_is_reclaimed_while_the_clock_jumps_about) {
    fkv_table *table = new_table(4 * MIB);
    uint64_t state = random_seed();
    unsigned kept = 1000;
    CHECK_OK(put_number(table, kept, "for ever", 8));
    for (unsigned i = 0; i < 20000; i++) {
        atomic_store(&clock_step_s, (long)random_below(&state, 2 * DAY) - DAY);
        fkv_status status = put_for(table, random_below(&state, 500), random_below(&state, DAY));
        CHECK(status == FKV_OK || status == FKV_FULL);
        if (i % 1000 == 0)
            fkv_sweep(table, UINT32_MAX, NULL);
        if (i % 1000 == 500)
            check_clean(table);
    }
    CHECK(table->own->counts[FKV_COUNT_segments_freed] > 100);
    CHECK(is_there(table, kept));
    atomic_store(&clock_step_s, 4 * DAY);
    fkv_sweep(table, UINT32_MAX, NULL);
    CHECK_EQUAL(fkv_count(table, 0, NULL), 1);
}

TEST(a_key_is_there_until_its_last_millisecond_and_then_for_nobody) {
    fkv_table *table = new_table(4 * MIB);
    int64_t at_ms = fkv_now_ms() / 1000 * 1000 + 5000, seen;
    for (int64_t offset = -1; offset <= 1; offset++) { /* about the turn of a second, too */
        atomic_store(&clock_stand_ms, at_ms - 3000);
        fkv_key key = text_key(table, "k");
        CHECK_OK(fkv_set(table, &key, "v", 1, 0, at_ms + offset, NULL, NULL));
        atomic_store(&clock_stand_ms, at_ms + offset - 1);
        CHECK_TEXT(text_at(table, "k"), "v");
        CHECK_OK(fkv_expiry(table, &key, &seen));
        CHECK_EQUAL(seen, at_ms + offset);
        CHECK_EQUAL(fkv_count(table, 0, NULL), 1);
        CHECK_EQUAL(fkv_sweep(table, UINT32_MAX, NULL), 0);
        atomic_store(&clock_stand_ms, at_ms + offset);
        CHECK_TEXT(text_at(table, "k"), "(none)");
        CHECK_EQUAL(fkv_count(table, 0, NULL), 0);
        CHECK_EQUAL(fkv_sweep(table, UINT32_MAX, NULL), 1);
    }
}

TEST(what_has_expired_is_not_counted_whether_it_is_swept_or_not) {
    fkv_table *table = new_table(16 * MIB), *observer;
    fkv_fault fault;
    int64_t now_ms = fkv_now_ms();
    uint64_t state = random_seed(), expiring;
    atomic_store(&clock_stand_ms, now_ms);
    for (unsigned i = 0; i < 20000; i++) { /* among them pages that split, and keys stored again */
        int64_t in_ms = 1 + random_below(&state, 5000);
        CHECK_OK(put_for_ms(table, i % 15000, i % 3 == 0 ? 0 : now_ms + in_ms));
    }
    CHECK_OK(fkv_observe(table->fd, &observer, &fault));
    for (int64_t later = 0; later <= 6000; later += 1000) {
        atomic_store(&clock_stand_ms, now_ms + later);
        uint64_t there = 0, keys = fkv_count(observer, 0, &expiring);
        for (unsigned i = 0; i < 15000; i++)
            there += is_there(table, i);
        CHECK_EQUAL(keys, there);
        CHECK_EQUAL(fkv_count(table, FKV_ALL_DATABASES, NULL), there);
        CHECK_EQUAL(facts_of(table).expiring, expiring);
        if (later % 2000 == 0)
            fkv_sweep(table, table->geometry.partition_count / 2, NULL);
        check_clean(table);
    }
    CHECK_EQUAL(expiring, 0);
    fkv_sweep(table, UINT32_MAX, NULL);
    CHECK_EQUAL(fkv_sweep(table, UINT32_MAX, NULL), 0);
    fkv_detach(observer);
}

TEST(a_sweep_passes_by_what_is_not_due) {
    fkv_table *table = new_table(4 * MIB);
    int64_t now_ms = fkv_now_ms();
    uint64_t waits = table->own->counts[FKV_COUNT_lock_waits];
    for (unsigned i = 0; i < 1000; i++)
        CHECK_OK(put_for_ms(table, i, now_ms + DAY * INT64_C(1000)));
    fkv_table *other = attach_again(table);
    CHECK_OK(fkv_write_begin(other));
    CHECK_OK(fkv_lock_all(other)); /* it needs no lock to see that */
    CHECK_EQUAL(fkv_sweep(table, UINT32_MAX, NULL), 0);
    fkv_unlock_all(other);
    fkv_write_end(other);
    CHECK_EQUAL(table->own->counts[FKV_COUNT_lock_waits], waits);
}

TEST(a_segment_whose_keys_have_all_expired_is_freed_without_a_copy) {
    fkv_table *table = new_table(4 * MIB);
    int64_t now_ms = fkv_now_ms();
    unsigned count = 0;
    while (put_for_ms(table, count, now_ms + 60000) == FKV_OK)
        count++;
    atomic_store(&clock_stand_ms, now_ms + 60000);
    for (unsigned i = 0; i < count / 2; i++)
        CHECK_OK(put_for_ms(table, count + i, 0));
    CHECK_EQUAL(table->own->counts[FKV_COUNT_bytes_copied], 0);
    CHECK(table->own->counts[FKV_COUNT_segments_freed] > 10);
    CHECK_EQUAL(fkv_count(table, 0, NULL), count / 2);
}

/* ---- waiting ----------------------------------------------------------------------------------- */

static void *jump_about(void *context) {
    for (long i = 0; !atomic_load((_Atomic bool *)context); i++) {
        atomic_store(&clock_step_s, i % 2 == 0 ? -DAY : DAY);
        nap_ms(1);
    }
    return NULL;
}

TEST(waits_end_when_they_should_while_the_clock_jumps_about) {
    fkv_table *table = new_table(4 * MIB);
    _Atomic bool over = false;
    pthread_t jumper;
    CHECK_OK(put_number(table, 0, "v", 1));
    fkv_set_lock_timeout(table, 100);
    pid_t pid = start_stopped(stop_with_list, table, NULL);
    pthread_create(&jumper, NULL, jump_about, &over);
    CHECK_OK(fkv_write_begin(table));
    CHECK_STATUS(fkv_list_lock(table), FKV_BUSY);
    fkv_write_end(table);
    CHECK(table->own->counts[FKV_COUNT_futex] >= 5); /* it slept a while, and then gave up */
    kill_child(pid);
    CHECK_EQUAL(fkv_repair(table), 1);
    atomic_store(&over, true);
    pthread_join(jumper, NULL);
}
