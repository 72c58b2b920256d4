/* test_revise.c -- writes that depend on the old value: add, append, expire, keep the expiry. */
#include <stdlib.h>
#include <unistd.h>

#include "test.h"

static fkv_status add(fkv_table *table, const char *name, int64_t delta, int64_t *ret_sum) {
    fkv_key key = text_key(table, name);
    return fkv_add(table, &key, delta, ret_sum);
}

static fkv_status expire(fkv_table *table, const char *name, int64_t at_ms, unsigned flags) {
    fkv_key key = text_key(table, name);
    return fkv_expire(table, &key, at_ms, flags, NULL);
}

static int64_t expiry_of(fkv_table *table, const char *name) {
    int64_t at_ms;
    fkv_key key = text_key(table, name);
    CHECK_OK(fkv_expiry(table, &key, &at_ms));
    return at_ms;
}

TEST(add_counts_from_nothing_up_and_down) {
    fkv_table *table = new_table(4 * MIB);
    int64_t sum;
    CHECK_OK(add(table, "n", 5, &sum));
    CHECK_EQUAL(sum, 5);
    CHECK_OK(add(table, "n", -12, &sum));
    CHECK_EQUAL(sum, -7);
    CHECK_TEXT(text_at(table, "n"), "-7");
}

TEST(add_refuses_what_is_not_an_integer) {
    const char *const texts[] = {"",   " 7", "7 ", "+7", "07", "-0", "7.0", "0x7", "seven",
                                 "--7", "-", "9223372036854775808", "-9223372036854775809",
                                 "12345678901234567890123456789"};
    fkv_table *table = new_table(4 * MIB);
    fkv_key key = text_key(table, "zero byte");
    int64_t sum;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        CHECK_OK(put(table, "n", texts[i]));
        CHECK_STATUS(add(table, "n", 1, &sum), FKV_NOT_INTEGER);
        CHECK_TEXT(text_at(table, "n"), texts[i]);
    }
    CHECK_OK(fkv_set(table, &key, "7\0", 2, 0, 0, NULL, NULL));
    CHECK_STATUS(fkv_add(table, &key, 1, &sum), FKV_NOT_INTEGER);
}

TEST(add_stops_at_64_bits) {
    fkv_table *table = new_table(4 * MIB);
    int64_t sum;
    CHECK_OK(add(table, "most", INT64_MAX, &sum));
    CHECK_STATUS(add(table, "most", 1, &sum), FKV_OVERFLOW);
    CHECK_OK(add(table, "least", INT64_MIN, &sum));
    CHECK_STATUS(add(table, "least", -1, &sum), FKV_OVERFLOW);
    CHECK_OK(add(table, "least", INT64_MAX, &sum));
    CHECK_EQUAL(sum, -1);
    CHECK_TEXT(text_at(table, "most"), "9223372036854775807");
}

TEST(add_and_append_keep_the_expiry) {
    fkv_table *table = new_table(4 * MIB);
    int64_t at_ms = fkv_now_ms() + 100000, sum;
    uint64_t size;
    fkv_key key = text_key(table, "n");
    CHECK_OK(fkv_set(table, &key, "1", 1, 0, at_ms, NULL, NULL));
    CHECK_OK(fkv_add(table, &key, 1, &sum));
    CHECK_OK(fkv_append(table, &key, "0", 1, &size));
    CHECK_EQUAL(size, 2);
    CHECK_TEXT(text_at(table, "n"), "20");
    CHECK_EQUAL(expiry_of(table, "n"), at_ms);
}

TEST(append_makes_a_missing_key_and_grows_it_into_a_run) {
    fkv_table *table = new_table(16 * MIB);
    bytes value = BYTES;
    char piece[1000];
    uint64_t size, segment = facts_of(table).segment_bytes;
    fkv_key key = text_key(table, "k");
    for (unsigned i = 0; i * sizeof piece < 3 * segment; i++) {
        memset(piece, 'a' + (int)(i % 26), sizeof piece);
        CHECK_OK(fkv_append(table, &key, piece, sizeof piece, &size));
        CHECK_EQUAL(size, (i + 1) * sizeof piece);
    }
    CHECK_OK(fkv_append(table, &key, "", 0, &size));
    CHECK_OK(fkv_get(table, &key, &value.sink));
    CHECK_EQUAL(value.size, size);
    for (size_t i = 0; i < value.size; i++)
        CHECK(value.data[i] == 'a' + (char)(i / sizeof piece % 26));
    free(value.data);
}

TEST(append_beyond_the_largest_value_changes_nothing) {
    fkv_table *table = new_table(4 * MIB);
    uint64_t size;
    char *more = calloc(1, 4 * MIB);
    fkv_key key = text_key(table, "k");
    CHECK_OK(put(table, "k", "old"));
    CHECK_STATUS(fkv_append(table, &key, more, 4 * MIB, &size), FKV_TOO_BIG);
    CHECK_TEXT(text_at(table, "k"), "old");
    free(more);
}

TEST(expire_persist_and_their_conditions) {
    fkv_table *table = new_table(4 * MIB);
    int64_t soon = fkv_now_ms() + 50000, later = soon + 50000;
    CHECK_STATUS(expire(table, "k", later, 0), FKV_MISS);
    CHECK_OK(put(table, "k", "v"));
    CHECK_STATUS(expire(table, "k", 0, 0), FKV_UNMET);      /* nothing to persist */
    CHECK_STATUS(expire(table, "k", later, FKV_XX), FKV_UNMET);
    CHECK_STATUS(expire(table, "k", later, FKV_GT), FKV_UNMET); /* never is later */
    CHECK_OK(expire(table, "k", later, FKV_LT));
    CHECK_STATUS(expire(table, "k", soon, FKV_NX), FKV_UNMET);
    CHECK_STATUS(expire(table, "k", soon, FKV_GT), FKV_UNMET);
    CHECK_OK(expire(table, "k", soon, FKV_XX));
    CHECK_STATUS(expire(table, "k", later, FKV_LT), FKV_UNMET);
    CHECK_OK(expire(table, "k", later, FKV_GT));
    CHECK_EQUAL(expiry_of(table, "k"), later);
    CHECK_OK(expire(table, "k", 0, 0));
    CHECK_EQUAL(expiry_of(table, "k"), 0);
    CHECK_TEXT(text_at(table, "k"), "v");
}

TEST(expire_in_the_past_deletes) {
    fkv_table *table = new_table(4 * MIB);
    bytes value = BYTES;
    fkv_key key = text_key(table, "k");
    CHECK_OK(put(table, "k", "v"));
    CHECK_OK(fkv_expire(table, &key, fkv_now_ms() - 1, 0, &value.sink));
    CHECK_TEXT(value.data, "v");
    CHECK_EQUAL(fkv_count(table, 0, NULL), 0);
    CHECK_OK(put(table, "k", "v"));
    CHECK_OK(fkv_expire(table, &key, -5, 0, NULL));
    CHECK_TEXT(text_at(table, "k"), "(none)");
    free(value.data);
}

TEST(set_may_keep_the_expiry) {
    fkv_table *table = new_table(4 * MIB);
    int64_t at_ms = fkv_now_ms() + 100000;
    bytes old = BYTES;
    bool existed;
    fkv_key key = text_key(table, "k");
    CHECK_OK(fkv_set(table, &key, "1", 1, FKV_KEEP_TTL, at_ms, NULL, &existed));
    CHECK(!existed);
    CHECK_EQUAL(expiry_of(table, "k"), 0); /* `expires_at_ms` is ignored with it */
    CHECK_OK(expire(table, "k", at_ms, 0));
    CHECK_OK(fkv_set(table, &key, "2", 1, FKV_KEEP_TTL, 0, &old.sink, &existed));
    CHECK(existed);
    CHECK_TEXT(old.data, "1");
    CHECK_EQUAL(expiry_of(table, "k"), at_ms);
    CHECK_STATUS(fkv_set(table, &key, "3", 1, FKV_KEEP_TTL | FKV_NX, 0, NULL, NULL), FKV_UNMET);
    CHECK_OK(fkv_set(table, &key, "3", 1, 0, 0, NULL, NULL));
    CHECK_EQUAL(expiry_of(table, "k"), 0);
    free(old.data);
}

/* ---- between processes -------------------------------------------------------------------------- */

enum { PROCESSES = 4, ROUNDS = 5000 };

static void add_many(fkv_table *table, void *context) {
    (void)context;
    int64_t sum;
    for (int i = 0; i < ROUNDS; i++)
        CHECK_OK(add(table, "n", i % 3 == 0 ? -1 : 2, &sum));
}

TEST(additions_of_many_processes_all_count) {
    fkv_table *table = new_table(4 * MIB);
    int64_t sum, each = 0;
    for (int i = 0; i < ROUNDS; i++)
        each += i % 3 == 0 ? -1 : 2;
    run_children(PROCESSES, add_many, table, NULL);
    CHECK_OK(add(table, "n", 0, &sum));
    CHECK_EQUAL(sum, PROCESSES * each);
}

static void append_many(fkv_table *table, void *context) {
    (void)context;
    uint64_t size;
    char piece[8];
    fkv_key key = text_key(table, "k");
    for (unsigned i = 0; i < 600; i++) {
        memset(piece, 'a' + getpid() % 26, sizeof piece);
        CHECK_OK(fkv_append(table, &key, piece, sizeof piece, &size));
    }
}

TEST(appends_of_many_processes_are_never_mixed) {
    fkv_table *table = new_table(8 * MIB);
    bytes value = BYTES;
    fkv_key key = text_key(table, "k");
    run_children(PROCESSES, append_many, table, NULL);
    CHECK_OK(fkv_get(table, &key, &value.sink));
    CHECK_EQUAL(value.size, PROCESSES * 600 * 8);
    for (size_t i = 0; i < value.size; i++)
        CHECK(value.data[i] == value.data[i - i % 8]);
    free(value.data);
}

static void overwrite_fast(fkv_table *table, void *context) {
    _Atomic bool *stop = context;
    while (!atomic_load(stop))
        CHECK_OK(put(table, "k", "x"));
}

/* While it copies 3 MiB another process has long stored the key again. */
TEST(a_big_append_is_not_starved_by_small_writes_nor_fills_the_table) {
    fkv_table *table = new_table(16 * MIB);
    _Atomic bool *stop = shared_pages(sizeof *stop);
    uint64_t size;
    char *piece = calloc(1, 3 * MIB);
    fkv_key key = text_key(table, "k");
    pid_t writer = start_child(overwrite_fast, table, stop);
    for (int i = 0; i < 20; i++) {
        CHECK_OK(fkv_append(table, &key, piece, 3 * MIB, &size));
        WAIT_UNTIL(fkv_size(table, &key, &size) == FKV_OK && size == 1);
    }
    atomic_store(stop, true);
    wait_child(writer);
    free(piece);
}
