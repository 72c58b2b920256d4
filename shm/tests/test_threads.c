/* test_threads.c -- participants as threads of one process, on one mapping: what ThreadSanitizer can
 * look into. Built without it they are one more storm. */
#include <stdlib.h>

#include "test.h"

enum { THREADS = 4, KEYS = 300, OPERATIONS = 4000 };

typedef struct worker {
    fkv_table *table;
    uint64_t chance;
    bytes value, values[4];
} worker;

static void write_one(worker *w, const fkv_key *key, unsigned number) {
    char value[3000];
    int64_t sum;
    uint64_t size;
    size_t length = STAMP_SIZE + random_below(&w->chance, sizeof value - STAMP_SIZE);
    stamp(value, length, number, w->chance);
    switch (random_below(&w->chance, 10)) {
    case 0:
        fkv_delete(w->table, key, NULL);
        break;
    case 1:
        fkv_expire(w->table, key, INT64_MAX, 0, NULL);
        break;
    case 2: {
        fkv_key counter = text_key(w->table, "counter");
        CHECK_OK(fkv_add(w->table, &counter, 1, &sum));
        break;
    }
    case 3: {
        fkv_key trail = text_key(w->table, "trail");
        CHECK_OK(fkv_append(w->table, &trail, "x", 1, &size));
        break;
    }
    default:
        CHECK_OK(fkv_set(w->table, key, value, length, 0, 0, NULL, NULL));
    }
}

static void read_one(worker *w, const fkv_key *key, unsigned number) {
    uint64_t sequence;
    fkv_status status = fkv_get(w->table, key, &w->value.sink);
    if (status == FKV_OK)
        CHECK(stamp_is_whole(w->value.data, w->value.size, number, &sequence));
    else
        CHECK_STATUS(status, FKV_MISS);
}

static bool visit(void *context, const void *key, size_t size) {
    (void)key;
    *(size_t *)context += size;
    return true;
}

static void use_many(worker *w, unsigned number) {
    name names[4];
    fkv_key keys[4];
    fkv_pair pairs[4];
    fkv_sink *sinks[4];
    bool found[4];
    char values[4][100];
    uint64_t cursor = 0;
    size_t met = 0;
    for (unsigned i = 0; i < 4; i++) {
        names[i] = number_name((number + 17 * i) % KEYS);
        keys[i] = number_key(w->table, &names[i]);
        stamp(values[i], sizeof values[i], (number + 17 * i) % KEYS, w->chance);
        pairs[i] = (fkv_pair){keys[i], values[i], sizeof values[i]};
        sinks[i] = &w->values[i].sink;
    }
    switch (random_below(&w->chance, 4)) {
    case 0:
        CHECK_OK(fkv_set_many(w->table, pairs, 4, 0, 0));
        break;
    case 1:
        CHECK_OK(fkv_get_many(w->table, keys, 4, sinks, found));
        break;
    case 2:
        CHECK_OK(fkv_scan(w->table, 0, &cursor, 50, visit, &met));
        break;
    default:
        fkv_reclaim_ahead(w->table);
        fkv_sweep(w->table, 4, NULL);
        fkv_prefetch_item(w->table, &keys[0]);
    }
}

static void *work(void *context) {
    worker *w = context;
    fkv_facts facts;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        unsigned number = random_below(&w->chance, KEYS), kind = random_below(&w->chance, 100);
        name name = number_name(number);
        fkv_key key = number_key(w->table, &name);
        if (kind < 45)
            write_one(w, &key, number);
        else if (kind < 90)
            read_one(w, &key, number);
        else if (kind < 99)
            use_many(w, number);
        else if (i % 500 == 0)
            CHECK_OK(fkv_clear(w->table, FKV_ALL_DATABASES));
        else
            fkv_read_facts(w->table, &facts);
    }
    return NULL;
}

static void run_workers(worker *workers) {
    pthread_t threads[THREADS];
    uint64_t seed = random_seed();
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].chance = seed + i;
        workers[i].value = (bytes)BYTES;
        for (unsigned j = 0; j < 4; j++)
            workers[i].values[j] = (bytes)BYTES;
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        free(workers[i].value.data);
        for (unsigned j = 0; j < 4; j++)
            free(workers[i].values[j].data);
    }
}

TEST(threads_with_handles_of_their_own_meet_in_one_table) {
    worker workers[THREADS];
    fkv_table *table = new_table(4 * MIB);
    for (unsigned i = 0; i < THREADS; i++)
        workers[i].table = attach_aliased(table);
    run_workers(workers);
}

TEST(threads_that_share_one_handle_take_turns) {
    worker workers[THREADS];
    fkv_table *table = new_table(4 * MIB);
    for (unsigned i = 0; i < THREADS; i++)
        workers[i].table = table;
    run_workers(workers);
}
