/* test_compact.c -- large values among small ones: if there is memory for one, it finds neighbours. */
#include <stdlib.h>

#include "test.h"

static unsigned fill(fkv_table *table, size_t size) {
    unsigned count = 0;
    while (put_stamped(table, count, 1, size) == FKV_OK)
        count++;
    return count;
}

static void drop_but(fkv_table *table, unsigned count, unsigned keep) {
    for (unsigned i = 0; i < count; i++)
        if (i % keep != 0)
            CHECK_OK(drop_number(table, i));
}

static void expect_every(fkv_table *table, unsigned count, unsigned keep) {
    uint64_t sequence;
    for (unsigned i = 0; i < count; i += keep)
        CHECK_OK(get_stamped(table, i, &sequence));
}

TEST(a_run_finds_room_where_every_segment_is_half_full) {
    fkv_table *table = new_table(16 * MIB);
    unsigned count = fill(table, 5000);
    drop_but(table, count, 2);
    CHECK_OK(put_stamped(table, count, 1, 5 * MIB));
    expect_every(table, count, 2);
}

TEST(smaller_runs_make_way_for_a_larger_one) {
    fkv_table *table = new_table(16 * MIB);
    unsigned count = fill(table, 3 * table->segment_bytes - 100);
    drop_but(table, count, 2);
    CHECK_OK(put_stamped(table, count, 1, 5 * MIB));
    CHECK_OK(put_stamped(table, count + 1, 1, MIB));
    CHECK(table->own->counts[FKV_COUNT_bytes_copied] > 2 * table->segment_bytes);
    expect_every(table, count, 2);
}

TEST(runs_that_fit_no_hole_but_the_one_beside_them_slide) {
    fkv_table *table = new_table(16 * MIB);
    size_t size = 10 * table->segment_bytes - 100;
    uint64_t sequence;
    unsigned count = fill(table, size); /* runs of ten, and then a hole of eleven and one of three */
    CHECK_OK(drop_number(table, count / 2));
    CHECK_OK(drop_number(table, count / 2 + 2));
    CHECK_OK(put_stamped(table, 1000, 1, 7 * table->segment_bytes - 100));
    CHECK_OK(put_stamped(table, 1001, 1, 13 * table->segment_bytes - 100));
    for (unsigned i = 0; i < count; i++)
        if (i != count / 2 && i != count / 2 + 2)
            CHECK_OK(get_stamped(table, i, &sequence));
}

TEST(a_few_small_values_do_not_keep_out_the_largest) {
    fkv_table *table = new_table(16 * MIB);
    unsigned count = fill(table, 5000);
    drop_but(table, count, 500);
    uint64_t most = fkv_value_max(table);
    CHECK_OK(put_stamped(table, count, 1, most - most / 8));
    expect_every(table, count, 500);
}

/* Keeps about `share` percent of the memory live, in values of all sizes, and never is refused. */
static void mix(fkv_table *table, void *context) {
    enum { KEYS = 300 };
    unsigned share = *(unsigned *)context;
    uint64_t state = random_seed(), live = 0, sizes[KEYS] = {0}, newest[KEYS] = {0}, sequence;
    uint64_t most = facts_of(table).memory_limit_bytes / 100 * share;
    unsigned rounds = getenv("FORKKV_CRASH") != NULL ? 200000 : 3000;
    for (unsigned i = 1; i <= rounds; i++) {
        unsigned key = random_below(&state, KEYS);
        bool large = random_below(&state, 4) == 0;
        uint64_t size = STAMP_SIZE + random_below(&state, large ? 4 * MIB : 20000);
        uint64_t takes = size > table->segment_bytes
                             ? (size / table->segment_bytes + 1) * table->segment_bytes : size + 64;
        while (live - sizes[key] + takes > most) {
            unsigned other = random_below(&state, KEYS);
            if (other == key || sizes[other] == 0)
                continue;
            CHECK_OK(drop_number(table, other));
            live -= sizes[other];
            sizes[other] = newest[other] = 0;
        }
        CHECK_OK(put_stamped(table, key, i, size));
        live += takes - sizes[key];
        sizes[key] = takes;
        newest[key] = i;
    }
    for (unsigned key = 0; key < KEYS; key++)
        if (newest[key] != 0) {
            CHECK_OK(get_stamped(table, key, &sequence));
            CHECK_EQUAL(sequence, newest[key]);
        }
}

TEST(values_of_all_sizes_are_stored_and_overwritten_for_ever) {
    unsigned share = 80;
    fkv_table *table = new_table(64 * MIB);
    mix(table, &share);
    test_note("%llu MiB copied, %llu MiB freed",
              (unsigned long long)table->own->counts[FKV_COUNT_bytes_copied] >> 20,
              (unsigned long long)table->own->counts[FKV_COUNT_bytes_freed] >> 20);
}
