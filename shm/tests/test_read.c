/* test_read.c -- reading one key and many, and readers that meet writers. */
#include <stdlib.h>

#include "test.h"

TEST(size_and_expiry_of_a_missing_key_are_misses) {
    fkv_table *table = new_table(4 * MIB);
    uint64_t size = 1;
    int64_t at_ms = 1;
    fkv_key key = text_key(table, "k");
    CHECK_STATUS(fkv_size(table, &key, &size), FKV_MISS);
    CHECK_EQUAL(size, 0);
    CHECK_STATUS(fkv_expiry(table, &key, &at_ms), FKV_MISS);
    CHECK_EQUAL(at_ms, 0);
    CHECK_OK(put(table, "k", "four"));
    CHECK_OK(fkv_size(table, &key, &size));
    CHECK_EQUAL(size, 4);
    CHECK_OK(fkv_expiry(table, &key, &at_ms));
    CHECK_EQUAL(at_ms, 0);
}

TEST(get_many_finds_what_is_there_and_says_what_is_not) {
    enum { COUNT = 100 };
    fkv_table *table = new_table(4 * MIB);
    name names[COUNT];
    fkv_key keys[COUNT];
    bytes values[COUNT];
    fkv_sink *sinks[COUNT];
    bool found[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        names[i] = number_name(i);
        keys[i] = number_key(table, &names[i]);
        values[i] = (bytes)BYTES;
        sinks[i] = &values[i].sink;
        if (i % 3 != 0)
            CHECK_OK(put_number(table, i, names[i].text, names[i].size));
    }
    CHECK_OK(fkv_get_many(table, keys, 0, sinks, found));
    CHECK_OK(fkv_get_many(table, keys, COUNT, sinks, found));
    for (unsigned i = 0; i < COUNT; i++) {
        CHECK_EQUAL(found[i], i % 3 != 0);
        if (found[i])
            CHECK_TEXT(values[i].data, names[i].text);
        free(values[i].data);
    }
    keys[50].size = 0;
    CHECK_STATUS(fkv_get_many(table, keys, COUNT, sinks, found), FKV_KEY_SIZE);
}

/* ---- against writers ------------------------------------------------------------------------- */

enum { HOT_KEYS = 40 };

typedef struct hot {
    _Atomic bool stop;
    _Atomic uint64_t newest[HOT_KEYS]; /* a sequence that was acknowledged */
} hot;

/* Overwrites at random in sizes that also take runs, so that segments are reclaimed and reused. */
static void overwrite_until_told(fkv_table *table, void *context) {
    hot *shared = context;
    uint64_t state = random_seed(), segment = facts_of(table).segment_bytes;
    for (uint64_t sequence = 1; !atomic_load(&shared->stop); sequence++) {
        unsigned number = random_below(&state, HOT_KEYS);
        size_t size = number == 0 ? segment + random_below(&state, 3 * (unsigned)segment)
                                  : STAMP_SIZE + random_below(&state, 2000);
        CHECK_OK(put_stamped(table, number, sequence, size));
        atomic_store(&shared->newest[number], sequence);
    }
}

/* One writer, so that per key the sequences that a reader sees never go back. */
static void expect_forward(fkv_table *table, hot *shared, unsigned rounds) {
    uint64_t state = random_seed() + 1, sequence;
    for (unsigned i = 0; i < rounds; i++) {
        unsigned number = random_below(&state, HOT_KEYS);
        uint64_t at_least = atomic_load(&shared->newest[number]);
        fkv_status status = get_stamped(table, number, &sequence);
        if (status == FKV_MISS && at_least == 0)
            continue;
        CHECK_STATUS(status, FKV_OK);
        CHECK(sequence >= at_least);
    }
}

TEST(readers_see_every_acknowledged_write_whole_and_none_go_back) {
    fkv_table *table = new_table(4 * MIB);
    hot *shared = shared_pages(sizeof *shared);
    pid_t writer = start_child(overwrite_until_told, table, shared);
    for (double began = seconds_now(); seconds_now() - began < 1.5;)
        expect_forward(table, shared, 200);
    atomic_store(&shared->stop, true);
    wait_child(writer);
}

/* Adds and removes other keys of the same partitions, all the time. */
static void insert_and_delete(fkv_table *table, void *context) {
    hot *shared = context;
    for (unsigned i = 0; !atomic_load(&shared->stop); i++) {
        CHECK_OK(put_number(table, 1000 + i % 5000, "x", 1));
        if (i % 2 == 1)
            CHECK_OK(drop_number(table, 1000 + i % 5000));
    }
}

TEST(get_many_stays_off_the_locks_while_other_keys_come_and_go) {
    enum { COUNT = 64, ROUNDS = 2000 };
    fkv_table *table = new_table(8 * MIB);
    hot *shared = shared_pages(sizeof *shared);
    name names[COUNT];
    fkv_key keys[COUNT];
    bytes values[COUNT];
    fkv_sink *sinks[COUNT];
    bool found[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        names[i] = number_name(i);
        keys[i] = number_key(table, &names[i]);
        values[i] = (bytes)BYTES;
        sinks[i] = &values[i].sink;
        CHECK_OK(put_number(table, i, names[i].text, names[i].size));
    }
    pid_t writer = start_child(insert_and_delete, table, shared);
    uint64_t locked = table->own->counts[FKV_COUNT_read_locked];
    for (unsigned round = 0; round < ROUNDS; round++) {
        CHECK_OK(fkv_get_many(table, keys, COUNT, sinks, found));
        for (unsigned i = 0; i < COUNT; i++)
            CHECK(found[i]);
    }
    atomic_store(&shared->stop, true);
    wait_child(writer);
    CHECK(table->own->counts[FKV_COUNT_read_locked] - locked < ROUNDS / 10);
    for (unsigned i = 0; i < COUNT; i++)
        free(values[i].data);
}

/* A sink that flags a partition while it is filled, as a commit does that begins just then. */
typedef struct flagging {
    bytes value;
    fkv_partition *partition;
} flagging;

static void *flagging_room(fkv_sink *sink, size_t size) {
    atomic_fetch_or(&((flagging *)sink)->partition->shape, FKV_SHAPE_COMMIT);
    return bytes_room(sink, size);
}

TEST(get_many_does_not_believe_a_hit_whose_partition_a_commit_has_flagged_since) {
    fkv_table *table = new_table(4 * MIB);
    fkv_key keys[2] = {text_key(table, "first"), text_key(table, "second")};
    flagging first = {{{flagging_room}, NULL, 0, 0}, fkv_partition_of(table, keys[0].hash)};
    bytes second = BYTES;
    fkv_sink *sinks[2] = {&first.value.sink, &second.sink};
    bool found[2];
    name other;
    CHECK_OK(put(table, "first", "1"));
    for (unsigned i = 0; fkv_partition_of(table, keys[1].hash) == first.partition; i++) {
        other = number_name(i);
        keys[1] = number_key(table, &other);
    }
    uint64_t locked = table->own->counts[FKV_COUNT_read_locked];
    CHECK_OK(fkv_get_many(table, keys, 2, sinks, found));
    CHECK_EQUAL(table->own->counts[FKV_COUNT_read_locked] - locked, 1);
    CHECK_TEXT(first.value.data, "1");
    atomic_fetch_and(&first.partition->shape, ~FKV_SHAPE_COMMIT);
    free(first.value.data);
    free(second.data);
}

/* The same slot word may come back: the segment was reclaimed, taken again, and the key stored at the
 * same place. A reader that slept through all of it must notice by the generation. */
TEST(a_reader_is_not_fooled_when_the_same_slot_word_comes_back) {
    fkv_table *table = new_table(4 * MIB);
    fkv_found before, after;
    fkv_key key = text_key(table, "k");
    CHECK_OK(put(table, "k", "old"));
    CHECK_EQUAL(fkv_search_racy(table, &key, &before), FKV_SEARCH_HIT);
    CHECK(fkv_still_valid(table, &before));
    CHECK_OK(fkv_delete(table, &key, NULL));
    fkv_append_close(table);
    CHECK_OK(fkv_write_begin(table));
    CHECK_OK(fkv_reclaim_one(table));
    fkv_write_end(table);
    atomic_store(&table->header->rotor, before.segment); /* where the next search begins */
    atomic_fetch_add(&table->header->free_segments, 100); /* so that a free one may be taken */
    CHECK_OK(put(table, "k", "new"));
    atomic_fetch_sub(&table->header->free_segments, 100);
    CHECK_EQUAL(fkv_search_racy(table, &key, &after), FKV_SEARCH_HIT);
    CHECK(after.slot == before.slot && after.slot_at == before.slot_at);
    CHECK(!fkv_still_valid(table, &before));
    CHECK(fkv_still_valid(table, &after));
}

/* ---- threads ---------------------------------------------------------------------------------- */

typedef struct thread_work {
    fkv_table *table;
    hot *shared;
} thread_work;

static void *write_in_thread(void *context) {
    thread_work *work = context;
    char value[1000];
    uint64_t state = 5;
    for (uint64_t sequence = 1; !atomic_load(&work->shared->stop); sequence++) {
        unsigned number = random_below(&state, HOT_KEYS);
        size_t size = STAMP_SIZE + random_below(&state, sizeof value - STAMP_SIZE);
        stamp(value, size, number, sequence);
        CHECK_OK(put_number(work->table, number, value, size));
    }
    return NULL;
}

static void *read_in_thread(void *context) {
    thread_work *work = context;
    bytes value = BYTES;
    uint64_t state = 6, sequence;
    for (unsigned i = 0; i < 30000; i++) {
        unsigned number = random_below(&state, HOT_KEYS);
        name name = number_name(number);
        fkv_key key = number_key(work->table, &name);
        if (fkv_get(work->table, &key, &value.sink) == FKV_OK)
            CHECK(stamp_is_whole(value.data, value.size, number, &sequence));
    }
    free(value.data);
    return NULL;
}

TEST(threads_read_whole_values_while_others_write) {
    fkv_table *table = new_table(4 * MIB);
    hot shared = {0};
    thread_work work = {table, &shared};
    pthread_t writers[2], readers[2];
    for (int i = 0; i < 2; i++) {
        pthread_create(&writers[i], NULL, write_in_thread, &work);
        pthread_create(&readers[i], NULL, read_in_thread, &work);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    atomic_store(&shared.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(writers[i], NULL);
}
