/* test_scan.c -- iterating: every key that stays is met, whatever goes on meanwhile. */
#include <stdlib.h>

#include "test.h"

typedef struct met {
    unsigned char *seen; /* by number, how often */
    unsigned count, calls, stop_after;
} met;

static bool remember(void *context, const void *key, size_t key_size) {
    met *m = context;
    unsigned number;
    char text[32] = "";
    CHECK(key_size < sizeof text);
    memcpy(text, key, key_size);
    CHECK(sscanf(text, "key:%u", &number) == 1);
    m->calls++;
    if (number < m->count)
        m->seen[number]++;
    return m->stop_after == 0 || m->calls % m->stop_after != 0;
}

static void scan_all(fkv_table *table, met *m, size_t step) {
    uint64_t cursor = 0;
    do
        CHECK_OK(fkv_scan(table, 0, &cursor, step, remember, m));
    while (cursor != 0);
}

static met expecting(unsigned count) {
    return (met){calloc(count, 1), count, 0, 0};
}

static void expect_all_met(met *m) {
    for (unsigned i = 0; i < m->count; i++)
        if (m->seen[i] == 0)
            test_failed(__FILE__, __LINE__, "key %u was never met", i);
    free(m->seen);
}

TEST(scan_of_a_still_table_meets_every_key_once) {
    enum { COUNT = 20000 };
    fkv_table *table = new_table(8 * MIB);
    const size_t steps[] = {1, 7, 100, 1000000};
    for (unsigned i = 0; i < COUNT; i++)
        CHECK_OK(put_number(table, i, "v", 1));
    for (unsigned s = 0; s < 4; s++) {
        met m = expecting(COUNT);
        scan_all(table, &m, steps[s]);
        CHECK_EQUAL(m.calls, COUNT);
        expect_all_met(&m);
    }
}

TEST(scan_goes_on_after_a_visitor_that_stops) {
    enum { COUNT = 5000 };
    fkv_table *table = new_table(4 * MIB);
    met m = expecting(COUNT);
    m.stop_after = 3;
    for (unsigned i = 0; i < COUNT; i++)
        CHECK_OK(put_number(table, i, "v", 1));
    scan_all(table, &m, 1000);
    expect_all_met(&m);
}

TEST(scan_meets_only_the_keys_of_its_database) {
    fkv_table *table = new_table(4 * MIB);
    uint64_t cursor = 0;
    met m = expecting(10);
    for (unsigned i = 0; i < 10; i++) {
        name name = number_name(i);
        fkv_key other = fkv_make_key(table, 15, name.text, name.size);
        CHECK_OK(fkv_set(table, &other, "v", 1, 0, 0, NULL, NULL));
    }
    scan_all(table, &m, 10);
    CHECK_EQUAL(m.calls, 0);
    CHECK_OK(fkv_scan(table, 15, &cursor, 100, remember, &m));
    CHECK_STATUS(fkv_scan(table, 16, &cursor, 100, remember, &m), FKV_INVALID);
    expect_all_met(&m);
}

TEST(scan_takes_any_number_as_a_cursor) {
    fkv_table *table = new_table(4 * MIB);
    uint64_t state = random_seed();
    met m = expecting(1);
    for (unsigned i = 0; i < 3000; i++)
        CHECK_OK(put_number(table, i, "v", 1));
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t cursor = random_next(&state) >> random_below(&state, 64);
        CHECK_OK(fkv_scan(table, 0, &cursor, 10, remember, &m));
    }
    free(m.seen);
}

TEST(scan_meets_every_key_while_the_table_grows) {
    enum { COUNT = 3000, MORE = 60000 };
    fkv_table *table = new_table(16 * MIB);
    met m = expecting(COUNT);
    uint64_t cursor = 0;
    unsigned added = 0;
    for (unsigned i = 0; i < COUNT; i++)
        CHECK_OK(put_number(table, i, "v", 1));
    do {
        CHECK_OK(fkv_scan(table, 0, &cursor, 5, remember, &m));
        for (unsigned i = 0; i < 100 && added < MORE; i++, added++)
            CHECK_OK(put_number(table, COUNT + added, "v", 1));
    } while (cursor != 0);
    expect_all_met(&m);
}

TEST(scan_clears_a_commit_flag_that_nobody_will_clear) {
    fkv_table *table = new_table(4 * MIB);
    met m = expecting(100);
    for (unsigned i = 0; i < 100; i++)
        CHECK_OK(put_number(table, i, "v", 1));
    atomic_fetch_or(&table->partitions[9].shape, FKV_SHAPE_COMMIT); /* damage: no lock is held */
    scan_all(table, &m, 50);
    expect_all_met(&m);
    CHECK_EQUAL(atomic_load(&table->partitions[9].shape) & FKV_SHAPE_COMMIT, 0);
}

typedef struct writing {
    unsigned keep;
    _Atomic bool stop;
} writing;

/* Overwrites the keys that stay, all the time, and lets others come and go. */
static void disturb(fkv_table *table, void *context) {
    writing *w = context;
    for (unsigned i = 0; !atomic_load(&w->stop); i++) {
        CHECK_OK(put_number(table, i % w->keep, "value", 5));
        CHECK_OK(put_number(table, w->keep + i % 20000, "v", 1));
        if (i % 3 == 0)
            drop_number(table, w->keep + i % 20000); /* the other may have been faster */
    }
}

TEST(scan_meets_every_key_while_others_overwrite_and_grow) {
    fkv_table *table = new_table(16 * MIB);
    writing *w = shared_pages(sizeof *w);
    w->keep = 20; /* few, so that each is hit by the writers again and again */
    for (unsigned i = 0; i < w->keep; i++)
        CHECK_OK(put_number(table, i, "v", 1));
    pid_t writers[2];
    for (int i = 0; i < 2; i++)
        writers[i] = start_child(disturb, table, w);
    for (double began = seconds_now(); seconds_now() - began < 1;) {
        met m = expecting(w->keep);
        scan_all(table, &m, 50);
        expect_all_met(&m);
    }
    atomic_store(&w->stop, true);
    for (int i = 0; i < 2; i++)
        wait_child(writers[i]);
}
