/* test_index.c -- finding keys: overflowing buckets, doubling partitions, readers meanwhile. */
#include <stdlib.h>

#include "test.h"

TEST(every_key_is_found_through_many_doublings) {
    enum { COUNT = 200000 };
    fkv_table *table = new_table(64 * MIB);
    bytes value = BYTES;
    for (unsigned i = 0; i < COUNT; i++)
        CHECK_OK(put_number(table, i, &i, sizeof i));
    CHECK(facts_of(table).index_bytes >= COUNT * 8);
    for (unsigned i = 0; i < COUNT + 1000; i++) {
        name name = number_name(i);
        fkv_key key = number_key(table, &name);
        CHECK_STATUS(fkv_get(table, &key, &value.sink), i < COUNT ? FKV_OK : FKV_MISS);
        if (i < COUNT)
            CHECK(memcmp(value.data, &i, sizeof i) == 0);
    }
    check_clean(table);
    for (unsigned i = 0; i < COUNT; i++)
        if (i % 5 != 0)
            CHECK_OK(drop_number(table, i));
    CHECK_EQUAL(fkv_count(table, 0, NULL), COUNT / 5);
    for (unsigned i = 0; i < COUNT; i += 5)
        CHECK_OK(drop_number(table, i));
    free(value.data);
}

/* Nothing must be left that makes searches longer and longer. */
TEST(keys_that_come_and_go_leave_no_trace_in_the_index) {
    fkv_table *table = new_table(4 * MIB);
    for (unsigned i = 0; i < 400000; i++) {
        CHECK_OK(put_number(table, i, "v", 1));
        if (i >= 15000)
            CHECK_OK(drop_number(table, i - 15000));
    }
    for (unsigned i = 400000 - 15000; i < 400000; i++)
        CHECK_OK(drop_number(table, i));
    for (uint32_t p = 0; p < table->geometry.partition_count; p++)
        for (uint32_t b = 0; b < FKV_PAGE_BUCKETS; b++)
            CHECK_EQUAL(fkv_index_page(table, &table->partitions[p], 0)->buckets[b].passed, 0);
}

typedef struct progress {
    _Atomic unsigned stored;
} progress;

static void read_what_is_stored(fkv_table *table, void *context) {
    progress *shared = context;
    uint64_t state = random_seed() + 3, sequence;
    unsigned stored;
    while ((stored = atomic_load(&shared->stored)) != UINT32_MAX)
        for (unsigned i = 0; i < 50 && stored > 0; i++)
            CHECK_OK(get_stamped(table, random_below(&state, stored), &sequence));
}

TEST(readers_never_miss_a_key_while_the_index_grows) {
    enum { COUNT = 60000 };
    fkv_table *table = new_table(16 * MIB);
    progress *shared = shared_pages(sizeof *shared);
    pid_t readers[2];
    for (int round = 0; round < 4; round++) {
        atomic_store(&shared->stored, 0);
        for (int i = 0; i < 2; i++)
            readers[i] = start_child(read_what_is_stored, table, shared);
        for (unsigned i = 0; i < COUNT; i++) {
            CHECK_OK(put_stamped(table, i, i, STAMP_SIZE));
            atomic_store(&shared->stored, i + 1);
        }
        atomic_store(&shared->stored, UINT32_MAX);
        for (int i = 0; i < 2; i++)
            wait_child(readers[i]);
        check_clean(table);
        table = new_table(16 * MIB);
    }
}

typedef struct thread_work {
    fkv_table *table;
    progress *shared;
} thread_work;

static void *read_stored_in_thread(void *context) {
    thread_work *work = context;
    uint64_t state = 4;
    unsigned stored;
    while ((stored = atomic_load(&work->shared->stored)) != UINT32_MAX)
        for (unsigned i = 0; i < 50 && stored > 0; i++) {
            uint64_t size;
            name name = number_name(random_below(&state, stored));
            fkv_key key = number_key(work->table, &name);
            CHECK_OK(fkv_size(work->table, &key, &size));
        }
    return NULL;
}

TEST(threads_never_miss_a_key_while_the_index_grows) {
    fkv_table *table = new_table(8 * MIB);
    progress shared = {0};
    thread_work work = {table, &shared};
    pthread_t readers[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&readers[i], NULL, read_stored_in_thread, &work);
    for (unsigned i = 0; i < 40000; i++) {
        CHECK_OK(put_number(table, i, "v", 1));
        atomic_store(&shared.stored, i + 1);
    }
    atomic_store(&shared.stored, UINT32_MAX);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
}

TEST(prefetching_any_key_is_harmless) {
    fkv_table *table = new_table(4 * MIB);
    for (unsigned i = 0; i < 2000; i++) {
        name name = number_name(i);
        fkv_key key = number_key(table, &name);
        fkv_prefetch_slot(table, &key);
        fkv_prefetch_item(table, &key);
        if (i % 2 == 0)
            CHECK_OK(put_number(table, i, "v", 1));
        fkv_prefetch_item(table, &key);
    }
}
