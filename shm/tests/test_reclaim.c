/* test_reclaim.c -- a table that is full, or overwritten for ever: what goes on and what is refused. */
#include <stdlib.h>
#include <unistd.h>

#include "test.h"

/* Stores keys 0.. of `size` bytes until one is refused. Returns how many fitted. */
static unsigned fill(fkv_table *table, size_t size) {
    unsigned count = 0;
    fkv_status status;
    while ((status = put_stamped(table, count, 0, size)) == FKV_OK)
        count++;
    CHECK_STATUS(status, FKV_FULL);
    return count;
}

static void expect_all(fkv_table *table, unsigned count) {
    uint64_t sequence;
    for (unsigned i = 0; i < count; i++)
        CHECK_OK(get_stamped(table, i, &sequence));
    CHECK_EQUAL(fkv_count(table, 0, NULL), count);
}

static void drop_all(fkv_table *table, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        CHECK_OK(drop_number(table, i));
}

TEST(a_full_table_refuses_new_keys_and_changes_nothing) {
    fkv_table *table = new_table(4 * MIB);
    unsigned count = fill(table, 100);
    CHECK(count > 4 * MIB / 100 / 2);
    uint64_t sequence;
    for (unsigned i = 0; i < 100; i++) {
        CHECK_STATUS(put_stamped(table, count + i, 0, 100), FKV_FULL);
        CHECK_STATUS(get_stamped(table, count + i, &sequence), FKV_MISS);
    }
    expect_all(table, count);
    CHECK(facts_of(table).memory_used_bytes <= 4 * MIB);
}

TEST(a_full_table_takes_overwrites_of_the_same_size) {
    const size_t sizes[] = {20, 100, 1000, 10000};
    for (unsigned s = 0; s < 4; s++) {
        fkv_table *table = new_table(4 * MIB);
        unsigned count = fill(table, sizes[s]);
        uint64_t state = 1, sequence;
        for (unsigned i = 0; i < 4 * count; i++) {
            unsigned number = random_below(&state, count);
            CHECK_OK(put_stamped(table, number, i + 1, sizes[s]));
            CHECK_OK(get_stamped(table, number, &sequence));
            CHECK_EQUAL(sequence, i + 1);
        }
        expect_all(table, count);
    }
}

TEST(a_table_full_of_runs_takes_overwrites_of_the_same_size) {
    fkv_table *table = new_table(16 * MIB);
    unsigned count = fill(table, 100 * KIB);
    uint64_t state = 1;
    for (unsigned i = 0; i < 4 * count; i++)
        CHECK_OK(put_stamped(table, random_below(&state, count), i + 1, 100 * KIB));
    expect_all(table, count);
}

TEST(a_full_table_takes_deletes_and_the_space_comes_back) {
    fkv_table *table = new_table(4 * MIB);
    unsigned count = fill(table, 200);
    drop_all(table, count);
    unsigned again = fill(table, 200);
    CHECK(again >= count - count / 50);
    expect_all(table, again);
}

TEST(a_full_table_can_be_cleared) {
    fkv_table *table = new_table(4 * MIB);
    unsigned count = fill(table, 20);
    CHECK_OK(fkv_clear(table, FKV_ALL_DATABASES));
    CHECK_EQUAL(fkv_count(table, 0, NULL), 0);
    CHECK(fill(table, 20) >= count - count / 50);
}

TEST(a_full_table_can_be_attached) {
    fkv_table *table = new_table(4 * MIB);
    fill(table, 100);
    for (unsigned i = 0; i < 64; i++)
        CHECK(attach_again(table) != NULL);
}

TEST(fill_and_delete_a_hundred_times_leaks_nothing) {
    fkv_table *table = new_table(4 * MIB);
    unsigned first = fill(table, 2000);
    for (unsigned round = 0; round < 100; round++) {
        drop_all(table, first);
        for (unsigned i = 0; i < first - first / 50; i++)
            CHECK_OK(put_stamped(table, i, round, 2000));
        for (unsigned i = first - first / 50; i < first; i++)
            CHECK_OK(put_stamped(table, i, round, 16));
    }
}

TEST(after_big_values_the_index_gets_memory_for_tiny_keys) {
    const size_t sizes[] = {60 * KIB, 1000, 500 * KIB};
    for (unsigned s = 0; s < 3; s++) {
        fkv_table *empty = new_table(16 * MIB), *table = new_table(16 * MIB);
        unsigned possible = fill(empty, 16);
        drop_all(table, fill(table, sizes[s]));
        unsigned count = fill(table, 16);
        if (count < possible - possible / 20)
            test_failed(__FILE__, __LINE__, "after %zu bytes: only %u of %u", sizes[s], count,
                        possible);
    }
}

TEST(after_small_values_a_run_finds_neighbours) {
    fkv_table *table = new_table(64 * MIB);
    drop_all(table, fill(table, 5000));
    CHECK_OK(put_stamped(table, 0, 1, 16 * MIB));
    CHECK_OK(put_stamped(table, 1, 1, 16 * MIB));
}

TEST(scattered_small_values_make_way_for_a_run) {
    fkv_table *table = new_table(16 * MIB);
    unsigned count = fill(table, 5000);
    for (unsigned i = 0; i < count; i++)
        if (i % 16 != 0)
            CHECK_OK(drop_number(table, i));
    CHECK_OK(put_stamped(table, count, 1, 8 * MIB));
    uint64_t sequence;
    for (unsigned i = 0; i < count; i += 16)
        CHECK_OK(get_stamped(table, i, &sequence));
}

/* ---- for ever --------------------------------------------------------------------------------- */

typedef struct churn {
    unsigned first, count, rounds;
    size_t size_max;
} churn;

/* Overwrites its own keys in sizes up to the largest, and remembers what each must be. */
static void overwrite_own(fkv_table *table, void *context) {
    churn work = *(churn *)context;
    uint64_t state = random_seed() + work.first, sequence;
    uint64_t *newest = calloc(work.count, sizeof *newest);
    for (unsigned i = 1; i <= work.rounds; i++) {
        unsigned at = random_below(&state, work.count);
        size_t size = STAMP_SIZE + random_below(&state, (unsigned)(work.size_max - STAMP_SIZE));
        CHECK_OK(put_stamped(table, work.first + at, i, size));
        newest[at] = i;
    }
    for (unsigned at = 0; at < work.count; at++)
        if (newest[at] != 0) {
            CHECK_OK(get_stamped(table, work.first + at, &sequence));
            CHECK_EQUAL(sequence, newest[at]);
        }
    free(newest);
}

static void churn_in_children(fkv_table *table, unsigned children, churn work) {
    pid_t pids[8];
    for (unsigned i = 0; i < children; i++) {
        work.first = i * work.count;
        pids[i] = start_child(overwrite_own, table, &work);
    }
    for (unsigned i = 0; i < children; i++)
        wait_child(pids[i]);
    CHECK(facts_of(table).memory_used_bytes <= facts_of(table).memory_limit_bytes);
}

TEST(one_process_overwrites_for_ever_in_a_small_table) {
    churn_in_children(new_table(4 * MIB), 1, (churn){0, 3000, 60000, 1800});
}

TEST(eight_processes_overwrite_for_ever_in_a_small_table) {
    churn_in_children(new_table(8 * MIB), 8, (churn){0, 700, 20000, 1800});
}

TEST(processes_overwrite_runs_and_small_values_for_ever) {
    churn_in_children(new_table(32 * MIB), 3, (churn){0, 60, 1500, 200 * KIB});
}

/* Overwrites at a table filled to the brim: every process must get its turn. */
static void overwrite_shared(fkv_table *table, void *context) {
    churn *work = context;
    uint64_t state = random_seed() + (uint64_t)getpid();
    for (unsigned i = 0; i < work->rounds; i++)
        CHECK_OK(put_stamped(table, random_below(&state, work->count), i, work->size_max));
}

TEST(eight_processes_overwrite_a_full_table) {
    fkv_table *table = new_table(8 * MIB);
    churn work = {0, 0, 5000, 300};
    work.count = fill(table, work.size_max);
    run_children(8, overwrite_shared, table, &work);
    expect_all(table, work.count);
}

TEST(reclaim_ahead_stops_when_enough_is_free) {
    fkv_table *table = new_table(4 * MIB);
    for (unsigned i = 0; i < 40000; i++)
        CHECK_OK(put_stamped(table, i % 5000, i, 300));
    unsigned freed = 0;
    while (fkv_reclaim_ahead(table))
        CHECK(++freed < 100);
    CHECK(fkv_segments_available(table) > table->geometry.reserve_segments + 1);
    expect_all(table, 5000);
}
