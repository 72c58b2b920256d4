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

/* Between two values holes are left that neither fits in, so neither can make way; together the holes
 * are as large as what comes. */
TEST(a_run_finds_room_though_none_of_the_others_could_move) {
    fkv_table *table = new_table(16 * MIB);
    size_t segment = table->segment_bytes;
    uint64_t sequence;
    for (unsigned i = 0; i < 4; i++)
        CHECK_OK(put_stamped(table, i, 1, (i % 2 == 0 ? 44 : 60) * segment - 100));
    CHECK_OK(drop_number(table, 0));
    CHECK_OK(drop_number(table, 2));
    CHECK_OK(put_stamped(table, 4, 1, 100 * segment - 100));
    CHECK_OK(get_stamped(table, 1, &sequence));
    CHECK_OK(get_stamped(table, 3, &sequence));
}

/* Puts values of `length` segments so that at most `hole` are free between two of them. Their count. */
static unsigned scatter(fkv_table *table, uint32_t length, uint32_t hole) {
    unsigned count = 0;
    size_t size = length * table->segment_bytes - 100;
    for (uint32_t at = hole; at + length <= table->geometry.segment_count; at += length + hole)
        put_stamped_at(table, count++, size, at);
    return count;
}

/* Puts a value that finds no room between the others, though there is room enough: some must move. */
static void squeeze_in(fkv_table *table, unsigned count, uint32_t length) {
    uint64_t *copied = (uint64_t *)&table->own->counts[FKV_COUNT_bytes_copied], before = *copied;
    CHECK_OK(put_stamped(table, count, 1, length * table->segment_bytes - 100));
    CHECK(*copied > before);
    CHECK(*copied - before <= 5 * length * table->segment_bytes);
    expect_every(table, count + 1, 1);
}

TEST(scattered_segments_make_way_for_a_run) {
    fkv_table *table = new_table(16 * MIB);
    squeeze_in(table, scatter(table, 1, 20), 60);
}

TEST(scattered_runs_make_way_for_a_larger_one) {
    fkv_table *table = new_table(16 * MIB);
    squeeze_in(table, scatter(table, 2, 38), 100);
}

TEST(runs_nearly_as_large_make_way_as_well) {
    fkv_table *table = new_table(16 * MIB);
    squeeze_in(table, scatter(table, 40, 97), 103);
}

TEST(runs_that_fill_the_memory_but_for_the_new_one_make_way) {
    fkv_table *table = new_table(16 * MIB);
    squeeze_in(table, scatter(table, 7, 17), 64);
}

TEST(a_run_takes_free_segments_before_it_reserves_others) {
    fkv_table *table = new_table(16 * MIB);
    size_t size = 20 * table->segment_bytes - 100;
    for (unsigned i = 0; i < 4; i++)
        CHECK_OK(put_stamped(table, i, 1, size));
    CHECK_OK(drop_number(table, 1));
    while (fkv_reclaim_dead_run(table) == FKV_OK)
        continue;
    uint64_t used = facts_of(table).memory_used_bytes;
    CHECK_OK(put_stamped(table, 9, 1, size));
    CHECK_EQUAL(facts_of(table).memory_used_bytes, used);
}

TEST(a_few_small_values_do_not_keep_out_the_largest) {
    fkv_table *table = new_table(16 * MIB);
    unsigned count = fill(table, 5000);
    drop_but(table, count, 500);
    uint64_t most = fkv_value_max(table);
    CHECK_OK(put_stamped(table, count, 1, most - most / 8));
    expect_every(table, count, 500);
}

enum { MIXED_KEYS = 300 };

typedef struct mixture {
    uint64_t live, sizes[MIXED_KEYS], newest[MIXED_KEYS]; /* what each takes; 0: none */
} mixture;

static void drop_any_but(fkv_table *table, mixture *m, unsigned kept, uint64_t *state) {
    unsigned key = random_below(state, MIXED_KEYS);
    if (key == kept || m->sizes[key] == 0)
        return;
    CHECK_OK(drop_number(table, key));
    m->live -= m->sizes[key];
    m->sizes[key] = m->newest[key] = 0;
}

/* 16 bytes to a quarter of the memory: as many of each order of magnitude. */
static uint64_t any_size(const fkv_table *table, uint64_t *state) {
    uint64_t most = table->geometry.memory_bytes / 4 >> random_below(state, 20);
    return STAMP_SIZE + random_below(state, (unsigned)most);
}

/* Old and new value together take at most 88 % of the memory, and 80 % lives on. */
static void mix(fkv_table *table, mixture *m, unsigned rounds) {
    uint64_t state = random_seed(), memory = table->geometry.memory_bytes;
    for (unsigned i = 1; i <= rounds; i++) {
        unsigned key = random_below(&state, MIXED_KEYS);
        uint64_t size = any_size(table, &state), takes = size + 64;
        if (takes > table->segment_bytes)
            takes = (takes / table->segment_bytes + 1) * table->segment_bytes;
        while (m->live - m->sizes[key] + takes > memory / 100 * 80 ||
               m->live + takes > memory / 100 * 88)
            drop_any_but(table, m, key, &state);
        CHECK_OK(put_stamped(table, key, i, size));
        m->live += takes - m->sizes[key];
        m->sizes[key] = takes;
        m->newest[key] = i;
    }
}

TEST(values_of_all_sizes_are_stored_and_overwritten_for_ever) {
    fkv_table *table = new_table(64 * MIB);
    mixture m = {0};
    uint64_t sequence;
    mix(table, &m, getenv("FORKKV_CRASH") != NULL ? 60000 : 1500);
    for (unsigned key = 0; key < MIXED_KEYS; key++)
        if (m.newest[key] != 0) {
            CHECK_OK(get_stamped(table, key, &sequence));
            CHECK_EQUAL(sequence, m.newest[key]);
        }
    test_note("%llu MiB copied, %llu MiB freed",
              (unsigned long long)table->own->counts[FKV_COUNT_bytes_copied] >> 20,
              (unsigned long long)table->own->counts[FKV_COUNT_bytes_freed] >> 20);
}
