/* test_expiry.c -- expired keys: nobody sees them, and their memory comes back. */
#include <stdlib.h>

#include "test.h"

static fkv_status put_until(fkv_table *table, unsigned number, int64_t at_ms) {
    name name = number_name(number);
    fkv_key key = number_key(table, &name);
    return fkv_set(table, &key, name.text, name.size, 0, at_ms, NULL, NULL);
}

static void wait_past(int64_t at_ms) {
    WAIT_UNTIL(fkv_now_ms() > at_ms);
}

TEST(an_expired_key_is_missing_for_every_operation) {
    fkv_table *table = new_table(4 * MIB);
    int64_t at_ms = fkv_now_ms() + 20, sum;
    bytes value = BYTES;
    fkv_sink *sink = &value.sink;
    uint64_t size;
    bool existed = true, found = true;
    name name = number_name(1);
    fkv_key key = number_key(table, &name);
    CHECK_OK(put_until(table, 1, at_ms));
    wait_past(at_ms);
    CHECK_STATUS(fkv_get(table, &key, &value.sink), FKV_MISS);
    CHECK_STATUS(fkv_size(table, &key, &size), FKV_MISS);
    CHECK_STATUS(fkv_expire(table, &key, fkv_now_ms() + 9999, 0, NULL), FKV_MISS);
    CHECK_OK(fkv_get_many(table, &key, 1, &sink, &found));
    CHECK(!found);
    CHECK_STATUS(fkv_set(table, &key, "x", 1, FKV_XX, 0, NULL, &existed), FKV_UNMET);
    CHECK(!existed);
    CHECK_OK(fkv_add(table, &key, 3, &sum)); /* from 0, and without the old expiry */
    CHECK_EQUAL(sum, 3);
    CHECK_OK(fkv_expiry(table, &key, &at_ms));
    CHECK_EQUAL(at_ms, 0);
    CHECK_OK(put_until(table, 1, at_ms = fkv_now_ms() + 20));
    wait_past(at_ms);
    CHECK_STATUS(fkv_delete(table, &key, &value.sink), FKV_MISS);
    CHECK(value.data == NULL);
    CHECK_EQUAL(fkv_count(table, 0, NULL), 0);
}

TEST(set_with_an_expiry_in_the_past_deletes) {
    fkv_table *table = new_table(4 * MIB);
    CHECK_OK(put_until(table, 1, 0));
    CHECK_OK(put_until(table, 1, fkv_now_ms() - 1));
    CHECK_EQUAL(fkv_count(table, 0, NULL), 0);
    CHECK_OK(put_until(table, 1, 1));
    CHECK_EQUAL(fkv_count(table, 0, NULL), 0);
}

TEST(count_says_how_many_keys_have_an_expiry) {
    fkv_table *table = new_table(4 * MIB);
    int64_t later = fkv_now_ms() + 100000;
    uint64_t expiring;
    for (unsigned i = 0; i < 300; i++)
        CHECK_OK(put_until(table, i, i % 3 == 0 ? later : 0));
    CHECK_EQUAL(fkv_count(table, 0, &expiring), 300);
    CHECK_EQUAL(expiring, 100);
    for (unsigned i = 0; i < 300; i += 6)
        CHECK_OK(put_until(table, i, 0));
    CHECK_EQUAL(fkv_count(table, FKV_ALL_DATABASES, &expiring), 300);
    CHECK_EQUAL(expiring, 50);
}

TEST(sweep_removes_what_has_expired_and_nothing_else) {
    fkv_table *table = new_table(4 * MIB);
    int64_t soon = fkv_now_ms() + 30;
    for (unsigned i = 0; i < 3000; i++)
        CHECK_OK(put_until(table, i, i % 2 == 0 ? soon : soon + 100000));
    wait_past(soon);
    uint64_t removed = 0;
    for (unsigned i = 0; i < table->geometry.partition_count; i += 16)
        removed += fkv_sweep(table, 16);
    CHECK_EQUAL(removed, 1500);
    CHECK_EQUAL(fkv_count(table, 0, NULL), 1500);
    CHECK_EQUAL(fkv_sweep(table, UINT32_MAX), 0);
}

TEST(a_table_full_of_expired_keys_takes_new_ones) {
    fkv_table *table = new_table(4 * MIB);
    int64_t soon = fkv_now_ms() + 400;
    unsigned count = 0;
    while (put_until(table, count, soon) == FKV_OK)
        count++;
    CHECK(fkv_now_ms() < soon);
    wait_past(soon);
    fkv_sweep(table, UINT32_MAX);
    for (unsigned i = 0; i < count - count / 50; i++)
        CHECK_OK(put_until(table, count + i, 0));
}
