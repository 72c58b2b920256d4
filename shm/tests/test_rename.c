/* test_rename.c -- a value under another name: what holds before, after, and at every moment between. */
#include <stdlib.h>

#include "test.h"

static fkv_status rename_key(fkv_table *table, const char *from, const char *to, unsigned flags) {
    fkv_key source = text_key(table, from), target = text_key(table, to);
    return fkv_rename(table, &source, &target, flags);
}

static fkv_status copy_key(fkv_table *table, const char *from, const char *to, unsigned flags) {
    fkv_key source = text_key(table, from), target = text_key(table, to);
    return fkv_copy(table, &source, &target, flags);
}

static int64_t expiry_at(fkv_table *table, const char *text) {
    int64_t at_ms;
    fkv_key key = text_key(table, text);
    CHECK_OK(fkv_expiry(table, &key, &at_ms));
    return at_ms;
}

TEST(rename_moves_value_and_expiry_over_whatever_was_there) {
    fkv_table *table = new_table(4 * MIB);
    fkv_key a = text_key(table, "a");
    CHECK_OK(fkv_set(table, &a, "one", 3, 0, INT64_MAX, NULL, NULL));
    CHECK_OK(put(table, "b", "two"));
    CHECK_OK(rename_key(table, "a", "b", 0));
    CHECK_TEXT(text_at(table, "a"), "(none)");
    CHECK_TEXT(text_at(table, "b"), "one");
    CHECK_EQUAL(expiry_at(table, "b"), INT64_MAX);
    CHECK_OK(rename_key(table, "b", "c", FKV_NX));
    CHECK_TEXT(text_at(table, "c"), "one");
    CHECK_EQUAL(facts_of(table).keys, 1);
    CHECK_EQUAL(facts_of(table).expiring, 1);
}

TEST(rename_and_copy_say_what_is_missing_or_in_the_way) {
    fkv_table *table = new_table(4 * MIB);
    CHECK_OK(put(table, "a", "one"));
    CHECK_OK(put(table, "b", "two"));
    CHECK_STATUS(rename_key(table, "none", "b", 0), FKV_MISS);
    CHECK_STATUS(rename_key(table, "none", "none", 0), FKV_MISS);
    CHECK_STATUS(rename_key(table, "a", "b", FKV_NX), FKV_UNMET);
    CHECK_STATUS(copy_key(table, "a", "b", FKV_NX), FKV_UNMET);
    CHECK_STATUS(rename_key(table, "", "b", 0), FKV_KEY_SIZE);
    CHECK_STATUS(rename_key(table, "a", "", 0), FKV_KEY_SIZE);
    CHECK_TEXT(text_at(table, "a"), "one");
    CHECK_TEXT(text_at(table, "b"), "two");
}

TEST(rename_of_a_key_to_itself_changes_nothing) {
    fkv_table *table = new_table(4 * MIB);
    CHECK_OK(put(table, "a", "one"));
    CHECK_OK(rename_key(table, "a", "a", 0));
    CHECK_STATUS(rename_key(table, "a", "a", FKV_NX), FKV_UNMET);
    CHECK_TEXT(text_at(table, "a"), "one");
}

TEST(copy_leaves_the_source_and_reaches_other_databases) {
    fkv_table *table = new_table(4 * MIB);
    bytes value = BYTES;
    fkv_key a = text_key(table, "a"), there = fkv_make_key(table, 5, "a", 1);
    CHECK_OK(put(table, "a", "one"));
    CHECK_OK(copy_key(table, "a", "b", FKV_NX));
    CHECK_TEXT(text_at(table, "a"), "one");
    CHECK_TEXT(text_at(table, "b"), "one");
    CHECK_OK(fkv_copy(table, &a, &there, FKV_NX));
    CHECK_STATUS(fkv_copy(table, &a, &there, FKV_NX), FKV_UNMET);
    CHECK_OK(fkv_get(table, &there, &value.sink));
    CHECK_TEXT(value.data, "one");
    CHECK_EQUAL(fkv_count(table, 5, NULL), 1);
    free(value.data);
}

TEST(what_has_expired_is_no_source_and_no_target) {
    fkv_table *table = new_table(4 * MIB);
    fkv_key a = text_key(table, "a");
    int64_t soon = fkv_now_ms() + 20;
    CHECK_OK(fkv_set(table, &a, "one", 3, 0, soon, NULL, NULL));
    CHECK_OK(put(table, "b", "two"));
    WAIT_UNTIL(fkv_now_ms() > soon);
    CHECK_STATUS(rename_key(table, "a", "c", 0), FKV_MISS);
    CHECK_OK(rename_key(table, "b", "a", FKV_NX));
    CHECK_TEXT(text_at(table, "a"), "two");
    CHECK_EQUAL(expiry_at(table, "a"), 0);
}

TEST(rename_of_big_values_goes_round_in_a_table_that_is_full) {
    fkv_table *table = new_table(4 * MIB);
    unsigned count = 100;
    uint64_t sequence;
    CHECK_OK(put_stamped(table, 1, 7, 300 * KIB));
    CHECK_OK(put_stamped(table, 3, 8, 200));
    while (put_stamped(table, count, 1, 1000) == FKV_OK)
        count++;
    CHECK_OK(drop_number(table, 100));
    for (unsigned i = 0; i < 50; i++) {
        name small = number_name(3), other = number_name(4);
        fkv_key a = number_key(table, &small), b = number_key(table, &other);
        CHECK_OK(i % 2 == 0 ? fkv_rename(table, &a, &b, FKV_NX) : fkv_rename(table, &b, &a, FKV_NX));
    }
    CHECK_OK(get_stamped(table, 1, &sequence));
    CHECK_EQUAL(sequence, 7);
    for (unsigned i = 101; i < count; i++)
        CHECK_OK(get_stamped(table, i, &sequence));
}

TEST(rename_of_a_value_of_many_segments_takes_it_whole) {
    fkv_table *table = new_table(16 * MIB);
    bytes value = BYTES;
    uint64_t sequence;
    CHECK_OK(put_stamped(table, 1, 7, 1 * MIB));
    name from = number_name(1);
    fkv_key source = number_key(table, &from), target = text_key(table, "elsewhere");
    CHECK_OK(fkv_rename(table, &source, &target, 0));
    CHECK_OK(fkv_get(table, &target, &value.sink));
    CHECK(stamp_is_whole(value.data, value.size, 1, &sequence));
    free(value.data);
}

TEST(rename_to_new_names_again_and_again_grows_the_index_and_loses_nothing) {
    fkv_table *table = new_table(4 * MIB);
    for (unsigned i = 0; i < 4000; i++)
        CHECK_OK(put_stamped(table, i, i, STAMP_SIZE));
    for (unsigned i = 0; i < 4000; i++) {
        name old_name = number_name(i), new_name = number_name(100000 + i);
        fkv_key from = number_key(table, &old_name), to = number_key(table, &new_name);
        CHECK_OK(i % 2 == 0 ? fkv_rename(table, &from, &to, FKV_NX) : fkv_copy(table, &from, &to, 0));
    }
    CHECK_EQUAL(facts_of(table).keys, 6000);
}

/* ---- at every moment between ------------------------------------------------------------------- */

enum { ROUNDS = 3000 };

static void toss(fkv_table *table, void *context) {
    _Atomic int *over = context;
    for (int i = 0; i < ROUNDS; i++)
        CHECK_OK(i % 2 == 0 ? rename_key(table, "here", "there", 0) : rename_key(table, "there", "here", 0));
    atomic_store(over, 1);
}

TEST(readers_of_both_names_see_a_rename_before_or_after_but_never_half) {
    fkv_table *table = new_table(4 * MIB);
    _Atomic int *over = shared_pages(sizeof *over);
    bytes values[2] = {BYTES, BYTES};
    fkv_sink *sinks[2] = {&values[0].sink, &values[1].sink};
    fkv_key keys[2] = {text_key(table, "here"), text_key(table, "there")};
    bool found[2];
    CHECK_OK(put(table, "here", "the ball"));
    pid_t child = start_child(toss, table, (void *)over);
    do {
        CHECK_OK(fkv_get_many(table, keys, 2, sinks, found));
        CHECK_EQUAL(found[0] + found[1], 1);
    } while (!atomic_load(over));
    wait_child(child);
    free(values[0].data);
    free(values[1].data);
}

static void count_under_two_names(fkv_table *table, void *context) {
    (void)context;
    int64_t sum;
    for (int i = 0; i < ROUNDS;) {
        fkv_key key = text_key(table, i % 2 == 0 ? "here" : "there");
        if (fkv_size(table, &key, &(uint64_t){0}) == FKV_OK)
            CHECK_OK(fkv_add(table, &key, 1, &sum));
        i++;
        fkv_status status = rename_key(table, "here", "there", FKV_NX);
        CHECK(status == FKV_OK || status == FKV_MISS || status == FKV_UNMET);
        status = rename_key(table, "there", "here", 0);
        CHECK(status == FKV_OK || status == FKV_MISS);
    }
}

TEST(renames_and_writes_of_many_processes_leave_a_whole_table) {
    fkv_table *table = new_table(4 * MIB);
    CHECK_OK(put(table, "here", "0"));
    run_children(3, count_under_two_names, table, NULL);
    CHECK(facts_of(table).keys >= 1);
}
