/* test_clock.c -- the wall clock is set forward and back: expiry follows it, and nothing else does.
 *
 * The machine's clock is left alone: this file's clock_gettime takes the place of the library's in
 * the test program, and adds `step_s` to CLOCK_REALTIME. */
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

#define DAY 86400

static _Atomic long step_s;

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = (int)syscall(SYS_clock_gettime, clock, at);
    if (clock == CLOCK_REALTIME)
        at->tv_sec += atomic_load(&step_s);
    return result;
}

static fkv_status put_for(fkv_table *table, unsigned number, long seconds) {
    static const char value[1000];
    name name = number_name(number);
    fkv_key key = number_key(table, &name);
    int64_t at_ms = fkv_now_ms() + seconds * 1000;
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
    atomic_store(&step_s, DAY);
    CHECK(!is_there(table, 1));
    atomic_store(&step_s, -DAY);
    CHECK(is_there(table, 1));
}

TEST(what_a_sweep_or_a_write_has_removed_stays_removed_after_a_step_back) {
    fkv_table *table = new_table(4 * MIB);
    int64_t sum;
    name written = number_name(3);
    fkv_key key = number_key(table, &written);
    for (unsigned i = 0; i < 4; i++)
        CHECK_OK(put_for(table, i, 100));
    atomic_store(&step_s, DAY);
    CHECK_STATUS(drop_number(table, 2), FKV_MISS);
    CHECK_OK(fkv_add(table, &key, 7, &sum)); /* from nothing, and for ever */
    CHECK_EQUAL(fkv_sweep(table, table->geometry.partition_count), 2);
    atomic_store(&step_s, 0);
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
    atomic_store(&step_s, -DAY);
    CHECK_OK(fkv_expiry(table, &key, &after));
    CHECK_EQUAL(after, before);
    CHECK_OK(fkv_expire(table, &key, fkv_now_ms() + 1000, 0, NULL));
    atomic_store(&step_s, 0);
    CHECK(!is_there(table, 1));
}

TEST(memory_is_reclaimed_while_the_clock_jumps_about) {
    fkv_table *table = new_table(4 * MIB);
    uint64_t state = random_seed();
    unsigned kept = 1000;
    CHECK_OK(put_number(table, kept, "for ever", 8));
    for (unsigned i = 0; i < 20000; i++) {
        atomic_store(&step_s, (long)random_below(&state, 2 * DAY) - DAY);
        fkv_status status = put_for(table, random_below(&state, 500), random_below(&state, DAY));
        CHECK(status == FKV_OK || status == FKV_FULL);
        if (i % 1000 == 0)
            fkv_sweep(table, table->geometry.partition_count);
        if (i % 1000 == 500)
            check_clean(table);
    }
    CHECK(table->own->counts[FKV_COUNT_segments_freed] > 100);
    CHECK(is_there(table, kept));
    atomic_store(&step_s, 4 * DAY);
    fkv_sweep(table, table->geometry.partition_count);
    CHECK_EQUAL(fkv_count(table, 0, NULL), 1);
}

/* ---- waiting ----------------------------------------------------------------------------------- */

static void *jump_about(void *context) {
    for (long i = 0; !atomic_load((_Atomic bool *)context); i++) {
        atomic_store(&step_s, i % 2 == 0 ? -DAY : DAY);
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
