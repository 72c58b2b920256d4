/* test_write.c -- set and delete, with their conditions, and the sizes at which something changes. */
#include <stdlib.h>

#include "test.h"

TEST(set_then_get_gives_the_value_back) {
    fkv_table *table = new_table(4 * MIB);
    CHECK_OK(put(table, "name", "value"));
    CHECK_TEXT(text_at(table, "name"), "value");
    CHECK_OK(put(table, "name", "other"));
    CHECK_TEXT(text_at(table, "name"), "other");
    CHECK_EQUAL(fkv_count(table, 0, NULL), 1);
}

TEST(keys_and_values_are_any_bytes) {
    fkv_table *table = new_table(4 * MIB);
    bytes value = BYTES;
    char zeros[3] = {0};
    fkv_key one = fkv_make_key(table, 0, zeros, 1), two = fkv_make_key(table, 0, zeros, 2);
    CHECK_OK(fkv_set(table, &one, zeros, 3, 0, 0, NULL, NULL));
    CHECK_OK(fkv_set(table, &two, "", 0, 0, 0, NULL, NULL));
    CHECK_OK(fkv_get(table, &one, &value.sink));
    CHECK_EQUAL(value.size, 3);
    CHECK_OK(fkv_get(table, &two, &value.sink));
    CHECK_EQUAL(value.size, 0);
    free(value.data);
}

TEST(keys_have_1_to_65535_bytes) {
    fkv_table *table = new_table(4 * MIB);
    bytes value = BYTES;
    char *longest = calloc(1, FKV_KEY_MAX + 1);
    fkv_key empty = fkv_make_key(table, 0, longest, 0);
    fkv_key most = fkv_make_key(table, 0, longest, FKV_KEY_MAX);
    fkv_key over = fkv_make_key(table, 0, longest, FKV_KEY_MAX + 1);
    CHECK_STATUS(fkv_set(table, &empty, "v", 1, 0, 0, NULL, NULL), FKV_KEY_SIZE);
    CHECK_STATUS(fkv_set(table, &over, "v", 1, 0, 0, NULL, NULL), FKV_KEY_SIZE);
    CHECK_STATUS(fkv_get(table, &over, &value.sink), FKV_KEY_SIZE);
    CHECK_STATUS(fkv_delete(table, &empty, NULL), FKV_KEY_SIZE);
    CHECK_OK(fkv_set(table, &most, "v", 1, 0, 0, NULL, NULL));
    CHECK_OK(fkv_get(table, &most, &value.sink));
    CHECK_TEXT(value.data, "v");
    free(value.data);
    free(longest);
}

TEST(a_database_out_of_range_is_refused) {
    fkv_table *table = new_table(4 * MIB);
    bytes value = BYTES;
    fkv_key key = fkv_make_key(table, FKV_DATABASES, "k", 1);
    CHECK_STATUS(fkv_set(table, &key, "v", 1, 0, 0, NULL, NULL), FKV_INVALID);
    CHECK_STATUS(fkv_get(table, &key, &value.sink), FKV_INVALID);
    CHECK_STATUS(fkv_delete(table, &key, NULL), FKV_INVALID);
    CHECK_STATUS(fkv_clear(table, FKV_ALL_DATABASES + 1), FKV_INVALID);
}

TEST(the_same_key_in_16_databases_is_16_keys) {
    fkv_table *table = new_table(4 * MIB);
    bytes value = BYTES;
    for (unsigned d = 0; d < FKV_DATABASES; d++) {
        char digit = (char)('a' + d);
        fkv_key key = fkv_make_key(table, d, "same", 4);
        CHECK_OK(fkv_set(table, &key, &digit, 1, 0, 0, NULL, NULL));
    }
    for (unsigned d = 0; d < FKV_DATABASES; d++) {
        fkv_key key = fkv_make_key(table, d, "same", 4);
        CHECK_OK(fkv_get(table, &key, &value.sink));
        CHECK_EQUAL(value.data[0], 'a' + d);
        CHECK_EQUAL(fkv_count(table, d, NULL), 1);
    }
    CHECK_EQUAL(fkv_count(table, FKV_ALL_DATABASES, NULL), FKV_DATABASES);
    CHECK_OK(fkv_clear(table, 3));
    CHECK_EQUAL(fkv_count(table, 3, NULL), 0);
    CHECK_EQUAL(fkv_count(table, FKV_ALL_DATABASES, NULL), FKV_DATABASES - 1);
    free(value.data);
}

TEST(nx_stores_only_a_missing_key) {
    fkv_table *table = new_table(4 * MIB);
    bool existed = true;
    fkv_key key = text_key(table, "k");
    CHECK_OK(fkv_set(table, &key, "1", 1, FKV_NX, 0, NULL, &existed));
    CHECK(!existed);
    CHECK_STATUS(fkv_set(table, &key, "2", 1, FKV_NX, 0, NULL, &existed), FKV_UNMET);
    CHECK(existed);
    CHECK_TEXT(text_at(table, "k"), "1");
}

TEST(xx_stores_only_over_a_key) {
    fkv_table *table = new_table(4 * MIB);
    bool existed = true;
    fkv_key key = text_key(table, "k");
    CHECK_STATUS(fkv_set(table, &key, "1", 1, FKV_XX, 0, NULL, &existed), FKV_UNMET);
    CHECK(!existed);
    CHECK_OK(put(table, "k", "1"));
    CHECK_OK(fkv_set(table, &key, "2", 1, FKV_XX, 0, NULL, &existed));
    CHECK(existed);
    CHECK_TEXT(text_at(table, "k"), "2");
}

TEST(set_hands_out_the_value_it_replaces) {
    fkv_table *table = new_table(4 * MIB);
    bytes old = BYTES;
    fkv_key key = text_key(table, "k");
    CHECK_OK(fkv_set(table, &key, "first", 5, 0, 0, &old.sink, NULL));
    CHECK(old.data == NULL);
    CHECK_OK(fkv_set(table, &key, "second", 6, 0, 0, &old.sink, NULL));
    CHECK_TEXT(old.data, "first");
    CHECK_STATUS(fkv_set(table, &key, "third", 5, FKV_NX, 0, &old.sink, NULL), FKV_UNMET);
    CHECK_TEXT(old.data, "second");
    CHECK_OK(fkv_delete(table, &key, &old.sink));
    CHECK_TEXT(old.data, "second");
    free(old.data);
}

static void *no_room(fkv_sink *sink, size_t size) {
    (void)sink, (void)size;
    return NULL;
}

TEST(a_sink_that_refuses_leaves_the_table_unchanged) {
    fkv_table *table = new_table(4 * MIB);
    fkv_sink refuses = {no_room};
    fkv_sink *refusing = &refuses;
    bool found;
    fkv_key key = text_key(table, "k");
    CHECK_OK(put(table, "k", "old"));
    CHECK_STATUS(fkv_get(table, &key, &refuses), FKV_SYSTEM);
    CHECK_STATUS(fkv_get_many(table, &key, 1, &refusing, &found), FKV_SYSTEM);
    CHECK_STATUS(fkv_set(table, &key, "new", 3, 0, 0, &refuses, NULL), FKV_SYSTEM);
    CHECK_STATUS(fkv_set(table, &key, "new", 3, FKV_KEEP_TTL, 0, &refuses, NULL), FKV_SYSTEM);
    CHECK_STATUS(fkv_delete(table, &key, &refuses), FKV_SYSTEM);
    CHECK_STATUS(fkv_expire(table, &key, fkv_now_ms() + 9999, 0, &refuses), FKV_SYSTEM);
    CHECK_TEXT(text_at(table, "k"), "old");
}

TEST(delete_says_whether_the_key_was_there) {
    fkv_table *table = new_table(4 * MIB);
    fkv_key key = text_key(table, "k");
    CHECK_STATUS(fkv_delete(table, &key, NULL), FKV_MISS);
    CHECK_OK(put(table, "k", "v"));
    CHECK_OK(fkv_delete(table, &key, NULL));
    CHECK_STATUS(fkv_delete(table, &key, NULL), FKV_MISS);
    CHECK_TEXT(text_at(table, "k"), "(none)");
    CHECK_EQUAL(fkv_count(table, 0, NULL), 0);
}

static void set_and_get(fkv_table *table, size_t size) {
    uint64_t sequence;
    CHECK_OK(put_stamped(table, 7, size, size));
    CHECK_OK(get_stamped(table, 7, &sequence));
    CHECK_EQUAL(sequence, size);
}

TEST(values_around_the_size_of_a_segment_come_back_whole) {
    fkv_table *table = new_table(16 * MIB);
    size_t segment = facts_of(table).segment_bytes;
    for (size_t size = segment - 40; size <= segment + 8; size++)
        set_and_get(table, size);
    for (size_t segments = 2; segments <= 4; segments++)
        for (int off = -24; off <= 8; off += 4)
            set_and_get(table, segments * segment + (size_t)off);
    CHECK_EQUAL(fkv_count(table, 0, NULL), 1);
}

TEST(a_value_of_16_mib_fits_a_table_of_64) {
    fkv_table *table = new_table(64 * MIB);
    CHECK(facts_of(table).value_max >= 16 * MIB);
    for (int i = 0; i < 4; i++)
        set_and_get(table, 16 * MIB - (size_t)i);
}

TEST(the_largest_value_fits_and_one_byte_more_is_refused) {
    for (uint64_t memory = 4 * MIB; memory <= 64 * MIB; memory *= 4) {
        fkv_table *table = new_table(memory);
        size_t most = facts_of(table).value_max;
        char *value = calloc(1, most + 1);
        CHECK_OK(put_number(table, 1, value, most));
        CHECK_STATUS(put_number(table, 2, value, most + 1), FKV_TOO_BIG);
        CHECK_STATUS(put_number(table, 1, value, SIZE_MAX / 2), FKV_TOO_BIG);
        CHECK_EQUAL(fkv_count(table, 0, NULL), 1);
        CHECK_OK(drop_number(table, 1));
        CHECK_OK(put_number(table, 2, value, most));
        free(value);
    }
}
