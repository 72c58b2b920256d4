/* test_facts.c -- what the table says of itself agrees with what is in it. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

TEST(facts_of_an_empty_table) {
    fkv_table *table = new_table(8 * MIB);
    fkv_facts facts = facts_of(table);
    CHECK_EQUAL(facts.memory_limit_bytes, 8 * MIB);
    CHECK_EQUAL(facts.keys, 0);
    CHECK_EQUAL(facts.live_bytes, 0);
    CHECK_EQUAL(facts.dead_bytes, 0);
    CHECK_EQUAL(facts.participants, 1);
    CHECK_EQUAL(facts.repairs, 0);
    CHECK(facts.memory_used_bytes >= facts.fixed_bytes + facts.index_bytes);
    CHECK(facts.free_bytes <= facts.memory_limit_bytes);
    CHECK(!facts.retired);
}

TEST(live_bytes_follow_sets_overwrites_and_deletes) {
    fkv_table *table = new_table(8 * MIB);
    uint64_t each = fkv_item_bytes(12, 100, false), run = fkv_item_bytes(12, 300000, false);
    for (unsigned i = 0; i < 1000; i++)
        CHECK_OK(put_stamped(table, i, 0, 100));
    CHECK_EQUAL(facts_of(table).live_bytes, 1000 * each);
    CHECK_OK(put_stamped(table, 1000, 0, 300000));
    CHECK_EQUAL(facts_of(table).live_bytes, 1000 * each + run);
    CHECK_EQUAL(facts_of(table).segments_runs, 1);
    for (unsigned i = 0; i < 20000; i++)
        CHECK_OK(put_stamped(table, i % 1000, i, 100));
    CHECK_EQUAL(facts_of(table).live_bytes, 1000 * each + run);
    for (unsigned i = 0; i <= 1000; i++)
        CHECK_OK(drop_number(table, i));
    CHECK_EQUAL(facts_of(table).live_bytes, 0);
    for (unsigned i = 0; i < 1000; i++)
        CHECK_OK(put_stamped(table, i, 0, 100));
    CHECK_OK(fkv_clear(table, FKV_ALL_DATABASES));
    CHECK_EQUAL(facts_of(table).live_bytes, 0);
}

/* Keys and values of 16 bytes: index and item head are all the overhead. */
TEST(overhead_per_small_item_is_at_most_24_bytes) {
    fkv_table *table = new_table(64 * MIB);
    for (unsigned i = 0; i < 400000; i++) {
        char key[17];
        snprintf(key, sizeof key, "key:%012u", i);
        fkv_key k = fkv_make_key(table, 0, key, 16);
        CHECK_OK(fkv_set(table, &k, key, 16, 0, 0, NULL, NULL));
    }
    fkv_facts facts = facts_of(table);
    CHECK((facts.live_bytes + facts.index_bytes) / 400000 <= 16 + 16 + 24);
}

TEST(counters_of_the_departed_are_kept) {
    fkv_table *table = new_table(4 * MIB), *again;
    fkv_fault fault;
    fkv_activity departed;
    CHECK_OK(fkv_attach(table->fd, FKV_ATTACHED, 0, &again, &fault));
    for (unsigned i = 0; i < 10; i++)
        CHECK_OK(put_number(again, i, "v", 1));
    fkv_count_up(fkv_own_activity(again), FKV_COUNT_connections, 3);
    fkv_detach(again);
    fkv_read_departed(table, &departed);
    CHECK_EQUAL(departed.counts[FKV_COUNT_sets], 10);
    CHECK_EQUAL(departed.counts[FKV_COUNT_connections], 0); /* gone with it */
}

TEST(activity_of_a_living_process_can_be_read) {
    fkv_table *table = new_table(4 * MIB), *other = attach_again(table);
    fkv_participant_facts facts;
    fkv_activity activity;
    fkv_activity *own = fkv_own_activity(other);
    snprintf(own->state, sizeof own->state, "serving");
    own->commands[5].calls = 7;
    CHECK_OK(put(other, "k", "v"));
    CHECK(fkv_read_participant(table, other->entry, &facts, &activity));
    CHECK_TEXT(activity.state, "serving");
    CHECK_EQUAL(activity.commands[5].calls, 7);
    CHECK_EQUAL(activity.counts[FKV_COUNT_sets], 1);
    CHECK(!fkv_read_participant(table, FKV_ENTRIES, &facts, &activity));
    CHECK(!fkv_read_participant(table, 0, &facts, &activity));
}

TEST(hits_and_misses_are_counted) {
    fkv_table *table = new_table(4 * MIB);
    CHECK_OK(put(table, "k", "v"));
    for (unsigned i = 0; i < 5; i++) {
        text_at(table, "k");
        text_at(table, "missing");
        text_at(table, "missing");
    }
    CHECK_EQUAL(fkv_own_activity(table)->counts[FKV_COUNT_hits], 5);
    CHECK_EQUAL(fkv_own_activity(table)->counts[FKV_COUNT_misses], 10);
}
