/* test_commit.c -- several keys as one step, and clearing: all or nothing for everybody. */
#include <stdlib.h>
#include <unistd.h>

#include "test.h"

enum { GROUP = 24 };

typedef struct group {
    name names[GROUP];
    fkv_pair pairs[GROUP];
    fkv_key keys[GROUP];
    bytes values[GROUP];
    fkv_sink *sinks[GROUP];
    bool found[GROUP];
    char value[4000];
} group;

/* Keys first.. first + GROUP - 1, all with the same value. */
static group *new_group(const fkv_table *table, unsigned first) {
    group *g = calloc(1, sizeof *g);
    for (unsigned i = 0; i < GROUP; i++) {
        g->names[i] = number_name(first + i);
        g->keys[i] = number_key(table, &g->names[i]);
        g->values[i] = (bytes)BYTES;
        g->sinks[i] = &g->values[i].sink;
        g->pairs[i] = (fkv_pair){g->keys[i], g->value, 0};
    }
    return g;
}

static void free_group(group *g) {
    for (unsigned i = 0; i < GROUP; i++)
        free(g->values[i].data);
    free(g);
}

static fkv_status set_group(fkv_table *table, group *g, uint64_t sequence, size_t size,
                            unsigned flags) {
    stamp(g->value, size, 0, sequence);
    for (unsigned i = 0; i < GROUP; i++)
        g->pairs[i].value_size = size;
    return fkv_set_many(table, g->pairs, GROUP, flags, 0);
}

/* All keys must be missing, or all have one sequence, which it returns; 0: missing. */
static uint64_t get_group(fkv_table *table, group *g) {
    uint64_t sequence = 0, first = 0;
    CHECK_OK(fkv_get_many(table, g->keys, GROUP, g->sinks, g->found));
    for (unsigned i = 0; i < GROUP; i++) {
        sequence = 0;
        if (g->found[i])
            CHECK(stamp_is_whole(g->values[i].data, g->values[i].size, 0, &sequence));
        if (i == 0)
            first = sequence;
        CHECK_EQUAL(sequence, first);
    }
    return first;
}

TEST(set_many_stores_all) {
    fkv_table *table = new_table(4 * MIB);
    group *g = new_group(table, 0);
    CHECK_EQUAL(get_group(table, g), 0);
    CHECK_OK(set_group(table, g, 1, 100, 0));
    CHECK_EQUAL(get_group(table, g), 1);
    CHECK_OK(set_group(table, g, 2, 3000, 0));
    CHECK_EQUAL(get_group(table, g), 2);
    CHECK_EQUAL(fkv_count(table, 0, NULL), GROUP);
    CHECK_OK(fkv_set_many(table, g->pairs, 0, 0, 0));
    free_group(g);
}

TEST(of_equal_keys_in_set_many_the_last_wins) {
    fkv_table *table = new_table(4 * MIB);
    fkv_key a = text_key(table, "a"), b = text_key(table, "b");
    fkv_key other = fkv_make_key(table, 1, "a", 1);
    fkv_pair pairs[] = {{a, "1", 1}, {b, "2", 1}, {a, "3", 1}, {other, "4", 1}, {a, "5", 1}};
    CHECK_OK(fkv_set_many(table, pairs, 5, 0, 0));
    CHECK_TEXT(text_at(table, "a"), "5");
    CHECK_TEXT(text_at(table, "b"), "2");
    CHECK_EQUAL(fkv_count(table, 0, NULL), 2);
    CHECK_EQUAL(fkv_count(table, 1, NULL), 1);
}

TEST(set_many_nx_stores_only_if_no_key_exists) {
    fkv_table *table = new_table(4 * MIB);
    group *g = new_group(table, 0);
    CHECK_OK(put_number(table, GROUP - 1, "there", 5));
    CHECK_STATUS(set_group(table, g, 1, 100, FKV_NX), FKV_UNMET);
    CHECK_EQUAL(fkv_count(table, 0, NULL), 1);
    CHECK_OK(drop_number(table, GROUP - 1));
    CHECK_OK(set_group(table, g, 1, 100, FKV_NX));
    CHECK_STATUS(set_group(table, g, 2, 100, FKV_NX), FKV_UNMET);
    CHECK_EQUAL(get_group(table, g), 1);
    free_group(g);
}

TEST(set_many_with_a_bad_key_stores_nothing) {
    fkv_table *table = new_table(4 * MIB);
    group *g = new_group(table, 0);
    g->pairs[GROUP / 2].key.size = 0;
    CHECK_STATUS(set_group(table, g, 1, 100, 0), FKV_KEY_SIZE);
    CHECK_EQUAL(fkv_count(table, 0, NULL), 0);
    free_group(g);
}

TEST(set_many_sets_and_drops_expiries) {
    fkv_table *table = new_table(4 * MIB);
    group *g = new_group(table, 0);
    int64_t later = fkv_now_ms() + 100000;
    uint64_t expiring;
    CHECK_OK(fkv_set_many(table, g->pairs, GROUP, 0, later));
    CHECK_EQUAL(fkv_count(table, 0, &expiring), GROUP);
    CHECK_EQUAL(expiring, GROUP);
    CHECK_OK(fkv_set_many(table, g->pairs, GROUP, 0, 0));
    fkv_count(table, 0, &expiring);
    CHECK_EQUAL(expiring, 0);
    free_group(g);
}

/* In an empty table the partitions must double several times within the one commit. */
static fkv_status set_thousands(fkv_table *table, unsigned count, size_t size) {
    fkv_pair *pairs = calloc(count, sizeof *pairs);
    name *names = calloc(count, sizeof *names);
    char *value = calloc(1, size + 1);
    for (unsigned i = 0; i < count; i++) {
        names[i] = number_name(i);
        pairs[i] = (fkv_pair){number_key(table, &names[i]), value, size};
    }
    fkv_status status = fkv_set_many(table, pairs, count, 0, 0);
    free(value);
    free(names);
    free(pairs);
    return status;
}

TEST(set_many_of_100000_keys_grows_the_index_on_its_way) {
    fkv_table *table = new_table(32 * MIB);
    CHECK_OK(set_thousands(table, 100000, 10));
    CHECK_EQUAL(fkv_count(table, 0, NULL), 100000);
    CHECK_OK(set_thousands(table, 100000, 20));
    CHECK_EQUAL(fkv_count(table, 0, NULL), 100000);
    CHECK_TEXT(text_at(table, "key:00100000"), "(none)");
}

TEST(set_many_that_does_not_fit_changes_nothing) {
    fkv_table *table = new_table(4 * MIB);
    CHECK_OK(put_number(table, 1, "old", 3));
    CHECK_STATUS(set_thousands(table, 100000, 100), FKV_FULL);
    CHECK_STATUS(set_thousands(table, 2, 8 * MIB), FKV_TOO_BIG);
    CHECK_EQUAL(fkv_count(table, 0, NULL), 1);
    CHECK_TEXT(text_at(table, "key:00000001"), "old");
    CHECK_OK(set_thousands(table, 20000, 10)); /* what it had written is garbage */
}

/* ---- between processes ----------------------------------------------------------------------- */

static void set_groups(fkv_table *table, void *context) {
    _Atomic bool *stop = context;
    group *g = new_group(table, 0);
    uint64_t state = random_seed() + (uint64_t)getpid();
    while (!atomic_load(stop))
        CHECK_OK(set_group(table, g, random_next(&state) | 1, 50 + random_below(&state, 900), 0));
}

TEST(get_many_sees_all_of_a_set_many_or_nothing) {
    fkv_table *table = new_table(8 * MIB);
    _Atomic bool *stop = shared_pages(sizeof *stop);
    group *g = new_group(table, 0);
    pid_t writers[2];
    for (int i = 0; i < 2; i++)
        writers[i] = start_child(set_groups, table, stop);
    unsigned changes = 0;
    uint64_t last = 0;
    for (double began = seconds_now(); seconds_now() - began < 1.5 || changes < 10;) {
        uint64_t now = get_group(table, g);
        changes += now != last;
        last = now;
    }
    atomic_store(stop, true);
    for (int i = 0; i < 2; i++)
        wait_child(writers[i]);
    free_group(g);
}

static void set_and_clear(fkv_table *table, void *context) {
    _Atomic bool *stop = context;
    group *g = new_group(table, 0);
    for (unsigned i = 1; !atomic_load(stop); i++) {
        CHECK_OK(set_group(table, g, i, 100, 0));
        CHECK_OK(fkv_clear(table, i % 2 == 0 ? 0 : FKV_ALL_DATABASES));
    }
}

TEST(clear_removes_all_keys_at_once) {
    fkv_table *table = new_table(4 * MIB);
    _Atomic bool *stop = shared_pages(sizeof *stop);
    group *g = new_group(table, 0);
    pid_t writer = start_child(set_and_clear, table, stop);
    unsigned full = 0, empty = 0;
    for (double began = seconds_now(); seconds_now() - began < 1 || full < 5 || empty < 5;)
        get_group(table, g) == 0 ? empty++ : full++;
    atomic_store(stop, true);
    wait_child(writer);
    free_group(g);
}

TEST(clear_of_one_database_leaves_the_others) {
    fkv_table *table = new_table(4 * MIB);
    for (unsigned i = 0; i < 10000; i++) {
        name name = number_name(i);
        fkv_key key = fkv_make_key(table, i % FKV_DATABASES, name.text, name.size);
        CHECK_OK(fkv_set(table, &key, "v", 1, 0, i % 3 == 0 ? INT64_MAX : 0, NULL, NULL));
    }
    for (unsigned d = 0; d < FKV_DATABASES; d += 2)
        CHECK_OK(fkv_clear(table, d));
    check_clean(table);
    for (unsigned d = 0; d < FKV_DATABASES; d++)
        CHECK_EQUAL(fkv_count(table, d, NULL), d % 2 == 0 ? 0 : 10000 / FKV_DATABASES);
    CHECK_OK(fkv_clear(table, FKV_ALL_DATABASES));
    CHECK_EQUAL(fkv_count(table, FKV_ALL_DATABASES, NULL), 0);
}
