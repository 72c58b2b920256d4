/* test_lock.c -- one holder at a time; dead holders are replaced, living ones are waited for. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static void hold_and_stop(fkv_table *table, void *context) {
    stop_with_partition(table, context);
    CHECK_OK(put(table, "k", "after all"));
}

TEST(a_stopped_holder_keeps_its_lock_and_only_its_partition_waits) {
    fkv_table *table = new_table(4 * MIB);
    CHECK_OK(put(table, "k", "v"));
    fkv_set_lock_timeout(table, 50);
    pid_t pid = start_stopped(hold_and_stop, table, NULL);
    CHECK_TEXT(text_at(table, "k"), "v");
    CHECK_STATUS(put(table, "k", "w"), FKV_BUSY);
    CHECK_TEXT(text_at(table, "k"), "v");
    CHECK_OK(put(table, elsewhere(table), "v"));
    CHECK_EQUAL(fkv_repair(table), 0);
    CHECK_EQUAL(table->own->counts[FKV_COUNT_lock_timeouts], 1);
    go_on(pid);
    CHECK_TEXT(text_at(table, "k"), "after all");
    CHECK_OK(put(table, "k", "w"));
}

TEST(the_lock_of_a_killed_holder_is_taken_over_at_once) {
    fkv_table *table = new_table(4 * MIB);
    CHECK_OK(put(table, "k", "v"));
    for (int i = 0; i < 20; i++) {
        pid_t pid = start_stopped(hold_and_stop, table, NULL);
        kill_child(pid);
        double began = seconds_now();
        CHECK_OK(put(table, "k", "w"));
        CHECK(seconds_now() - began < 0.1);
    }
    CHECK_EQUAL(table->own->counts[FKV_COUNT_takeovers], 20);
    CHECK_EQUAL(fkv_repair(table), 20);
}

static void put_in_child(fkv_table *table, void *context) {
    (void)context;
    CHECK_OK(put(table, "k", "by a waiter"));
}

TEST(waiters_go_on_when_the_holder_is_killed_while_they_wait) {
    fkv_table *table = new_table(4 * MIB);
    pid_t waiters[4], pid = start_child(hold_and_stop, table, NULL);
    wait_stopped(pid);
    for (int i = 0; i < 4; i++)
        waiters[i] = start_child(put_in_child, table, NULL);
    WAIT_UNTIL(atomic_load(&partition_of(table, "k")->lock.owner) & FKV_LOCK_WAITERS);
    kill_child(pid);
    for (int i = 0; i < 4; i++)
        wait_child(waiters[i]);
    CHECK_TEXT(text_at(table, "k"), "by a waiter");
}

TEST(a_waiter_that_is_killed_while_it_sleeps_harms_nobody) {
    fkv_table *table = new_table(4 * MIB);
    pid_t pid = start_stopped(hold_and_stop, table, NULL);
    pid_t waiter = start_child(put_in_child, table, NULL);
    WAIT_UNTIL(atomic_load(&partition_of(table, "k")->lock.owner) & FKV_LOCK_WAITERS);
    kill_child(waiter);
    go_on(pid);
    CHECK_OK(put(table, "k", "v"));
    CHECK_EQUAL(atomic_load(&partition_of(table, "k")->lock.owner), 0);
}

typedef struct counting {
    unsigned plain; /* guarded by the lock, and by nothing else */
} counting;

static void count_under_lock(fkv_table *table, void *context) {
    counting *c = context;
    CHECK_OK(fkv_write_begin(table));
    for (int i = 0; i < 30000; i++) {
        CHECK_OK(fkv_partition_lock(table, &table->partitions[5]));
        *(volatile unsigned *)&c->plain += 1;
        fkv_partition_unlock(table, &table->partitions[5]);
    }
    fkv_write_end(table);
}

TEST(a_lock_has_one_holder_at_a_time) {
    fkv_table *table = new_table(4 * MIB);
    counting *c = shared_pages(sizeof *c);
    run_children(4, count_under_lock, table, c);
    CHECK_EQUAL(c->plain, 4 * 30000);
    CHECK_EQUAL(atomic_load(&table->partitions[5].lock.owner), 0);
}

/* Locks pairs in whatever order the caller names them: fkv_lock_many puts them in the one order. */
static void lock_pairs(fkv_table *table, void *context) {
    (void)context;
    uint64_t state = random_seed() + (uint64_t)getpid();
    CHECK_OK(fkv_write_begin(table));
    for (int i = 0; i < 5000; i++) {
        fkv_partition *many[6];
        size_t count = 6;
        for (int j = 0; j < 6; j++)
            many[j] = &table->partitions[random_below(&state, 8)];
        CHECK_OK(fkv_lock_many(table, many, &count));
        fkv_unlock_many(table, many, count);
    }
    fkv_write_end(table);
}

TEST(locking_many_never_waits_in_a_circle) {
    fkv_table *table = new_table(4 * MIB);
    run_children(4, lock_pairs, table, NULL);
}

TEST(a_word_that_no_participant_wrote_is_taken_over) {
    fkv_table *table = new_table(4 * MIB);
    const uint64_t words[] = {1, UINT64_C(5) << 32, UINT64_C(0x7fffffff) << 32 | 1};
    for (unsigned i = 0; i < 3; i++) {
        atomic_store(&partition_of(table, "k")->lock.owner, words[i]);
        CHECK_OK(put(table, "k", "v"));
    }
}
