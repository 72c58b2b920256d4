/* test_evict.c -- a full table with a policy: every write is taken, and the right keys go. */
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static fkv_table *new_cache(uint64_t memory_bytes) {
    fkv_table *table = new_table(memory_bytes);
    CHECK_OK(fkv_set_policy(table, FKV_S3FIFO));
    CHECK(facts_of(table).ghost_bytes > 0);
    return table;
}

static uint64_t counted(const fkv_table *table, enum fkv_counter counter) {
    return table->own->counts[counter];
}

static uint64_t charged(const fkv_table *table) {
    struct stat facts;
    CHECK(fstat(table->fd, &facts) == 0);
    return (uint64_t)facts.st_blocks * 512;
}

/* Without counting as a use. */
static bool is_there(fkv_table *table, unsigned number) {
    name name = number_name(number);
    fkv_key key = number_key(table, &name);
    uint64_t size;
    return fkv_size(table, &key, &size) == FKV_OK;
}

static void use_all(fkv_table *table, unsigned first, unsigned count) {
    uint64_t sequence;
    for (unsigned i = first; i < first + count; i++)
        get_stamped(table, i, &sequence);
}

static void put_many(fkv_table *table, unsigned first, unsigned count, size_t size) {
    for (unsigned i = first; i < first + count; i++)
        CHECK_OK(put_stamped(table, i, 1, size));
}

static unsigned count_there(fkv_table *table, unsigned first, unsigned count) {
    unsigned there = 0;
    for (unsigned i = first; i < first + count; i++)
        there += is_there(table, i);
    return there;
}

TEST(a_cache_takes_every_new_key_within_its_limit) {
    const size_t sizes[] = {16, 100, 3000, 50000};
    for (unsigned s = 0; s < 4; s++) {
        fkv_table *table = new_cache(4 * MIB);
        unsigned count = (unsigned)(16 * MIB / (sizes[s] + 40));
        for (unsigned i = 0; i < count; i++) {
            CHECK_OK(put_stamped(table, i, 1, sizes[s]));
            CHECK(is_there(table, i));
            if (i % 64 == 0)
                CHECK(charged(table) <= 4 * MIB);
        }
        CHECK(counted(table, FKV_COUNT_evicted) > count / 2);
        CHECK_EQUAL(counted(table, FKV_COUNT_refused), 0);
    }
}

TEST(keys_in_use_stay_while_others_pass_through) {
    fkv_table *table = new_cache(4 * MIB);
    put_many(table, 0, 2000, 200);
    for (unsigned i = 0; i < 100000; i++) {
        CHECK_OK(put_stamped(table, 10000 + i, 1, 200));
        if (!is_there(table, i % 2000))
            put_many(table, i % 2000, 1, 200);
        use_all(table, i % 2000, 1);
    }
    CHECK(count_there(table, 0, 2000) > 1990);
}

TEST(a_key_that_comes_back_soon_after_it_went_stays_longer) {
    fkv_table *table = new_cache(4 * MIB);
    put_many(table, 0, 30000, 200);
    unsigned gone = 0;
    for (unsigned i = 0; gone < 500 && i < 30000; i++) /* the last of those that went */
        gone += !is_there(table, 29999 - i) && put_stamped(table, 29999 - i, 2, 200) == FKV_OK;
    CHECK_EQUAL(gone, 500);
    CHECK(counted(table, FKV_COUNT_ghost_hits) > 400);
    uint64_t sequence;
    unsigned stayed = 0;
    put_many(table, 40000, 5000, 200);
    for (unsigned i = 0; i < 30000; i++)
        stayed += get_stamped(table, i, &sequence) == FKV_OK && sequence == 2;
    CHECK(stayed > 350);
}

TEST(a_cache_that_is_large_enough_evicts_nothing_however_much_is_overwritten) {
    fkv_table *table = new_cache(8 * MIB);
    uint64_t state = 1;
    for (unsigned i = 0; i < 200000; i++) {
        unsigned number = random_below(&state, 6000);
        CHECK_OK(put_stamped(table, number, i, 16 + random_below(&state, 800)));
    }
    CHECK_EQUAL(counted(table, FKV_COUNT_evicted), 0);
    CHECK(count_there(table, 0, 6000) > 5990);
}

TEST(where_all_keys_are_in_use_new_ones_are_stored_all_the_same) {
    fkv_table *table = new_cache(4 * MIB);
    put_many(table, 0, 12000, 200);
    for (unsigned round = 0; round < 4; round++)
        use_all(table, 0, 12000);
    uint64_t freed = counted(table, FKV_COUNT_bytes_freed);
    uint64_t copied = counted(table, FKV_COUNT_bytes_copied);
    for (unsigned i = 0; i < 10000; i++) {
        CHECK_OK(put_stamped(table, 20000 + i, 1, 200));
        CHECK(is_there(table, 20000 + i));
        CHECK(counted(table, FKV_COUNT_bytes_copied) - copied <=
              7 * (counted(table, FKV_COUNT_bytes_freed) - freed) + 6 * table->segment_bytes);
    }
}

TEST(big_values_go_too_and_those_in_use_go_round) {
    fkv_table *table = new_cache(16 * MIB);
    put_many(table, 0, 4, MIB);
    for (unsigned i = 0; i < 200; i++) {
        CHECK_OK(put_stamped(table, 100 + i, 1, 300 * KIB + i * 4096 % MIB));
        use_all(table, 0, 4);
        put_many(table, 1000 + i * 100, 100, 500);
    }
    CHECK_EQUAL(count_there(table, 0, 4), 4);
    CHECK(counted(table, FKV_COUNT_evicted) > 100);
}

TEST(the_policy_can_be_changed_at_any_time) {
    fkv_table *table = new_table(4 * MIB);
    unsigned count = 0;
    CHECK_EQUAL(fkv_read_policy(table), FKV_NOEVICTION);
    while (put_stamped(table, count, 1, 500) == FKV_OK)
        count++;
    CHECK_OK(fkv_set_policy(attach_again(table), FKV_S3FIFO));
    put_many(table, count, 2 * count, 500);
    CHECK(facts_of(table).policy == FKV_S3FIFO && facts_of(table).ghost_bytes > 0);
    CHECK_OK(fkv_set_policy(table, FKV_NOEVICTION));
    fkv_status status = FKV_OK;
    for (unsigned i = 0; status == FKV_OK && i < count; i++)
        status = put_stamped(table, 5 * count + i, 1, 500);
    CHECK_STATUS(status, FKV_FULL);
    CHECK_STATUS(fkv_set_policy(table, (fkv_policy)7), FKV_INVALID);
    CHECK(charged(table) <= 4 * MIB);
}

TEST(a_large_full_table_finds_room_for_its_ghosts) {
    fkv_table *table = new_table(64 * MIB);
    for (unsigned i = 0; put_stamped(table, i, 1, 20000) == FKV_OK; i++)
        ;
    CHECK_OK(fkv_set_policy(table, FKV_S3FIFO));
    CHECK_EQUAL(facts_of(table).ghost_bytes, MIB);
}

TEST(uses_are_counted_while_the_policy_evicts) {
    fkv_table *table = new_table(4 * MIB);
    fkv_key key = text_key(table, "k"), other = text_key(table, "other");
    unsigned count;
    CHECK_OK(put(table, "k", "v"));
    text_at(table, "k");
    CHECK_OK(fkv_frequency(table, &key, &count));
    CHECK_EQUAL(count, 0);
    CHECK_OK(fkv_set_policy(table, FKV_S3FIFO));
    for (unsigned uses = 1; uses <= 5; uses++) {
        text_at(table, "k");
        CHECK_OK(fkv_frequency(table, &key, &count));
        CHECK_EQUAL(count, uses < FKV_ACCESS_MAX ? uses : FKV_ACCESS_MAX);
    }
    CHECK_STATUS(fkv_frequency(table, &other, &count), FKV_MISS);
    CHECK_EQUAL(count, 0);
}

TEST(usage_is_the_item_and_its_share_of_the_index) {
    fkv_table *table = new_table(16 * MIB);
    uint64_t bytes, small;
    fkv_key key = text_key(table, "k"), big = text_key(table, "big");
    put_many(table, 0, 5000, 100);
    CHECK_OK(put(table, "k", "v"));
    CHECK_OK(fkv_usage(table, &key, &small));
    CHECK(small >= 16 + 8 && small < 16 + 80);
    static char value[200000];
    CHECK_OK(fkv_set(table, &big, value, sizeof value, 0, 0, NULL, NULL));
    CHECK_OK(fkv_usage(table, &big, &bytes));
    CHECK(bytes >= 4 * table->segment_bytes && bytes < 4 * table->segment_bytes + 80);
    CHECK_STATUS(fkv_usage(table, &(fkv_key){.data = "none", .size = 4}, &bytes), FKV_MISS);
}

/* ---- many processes ----------------------------------------------------------------------------- */

/* Look-aside, as a cache is used: what is read must be whole, what is missing is stored. */
static void look_aside(fkv_table *table, void *context) {
    uint64_t state = random_seed() + (uint64_t)getpid(), sequence;
    unsigned rounds = *(unsigned *)context;
    for (unsigned i = 0; i < rounds; i++) {
        unsigned draw = random_below(&state, 1000);
        unsigned number = draw * draw / 20; /* small numbers more often */
        fkv_status status = get_stamped(table, number, &sequence);
        if (status == FKV_MISS)
            status = put_stamped(table, number, i, STAMP_SIZE + random_below(&state, 600));
        CHECK_OK(status);
    }
}

TEST(eight_processes_share_a_small_cache) {
    fkv_table *table = new_cache(4 * MIB);
    unsigned rounds = 30000;
    run_children(8, look_aside, table, &rounds);
    CHECK(charged(table) <= 4 * MIB);
}

static void write_once(fkv_table *table, void *context) {
    CHECK_OK(put_stamped(table, 1000000 + *(unsigned *)context, 1, 100));
    raise(SIGSTOP);
}

TEST(sixty_four_idle_processes_keep_next_to_no_memory_to_themselves) {
    fkv_table *alone = new_table(8 * MIB), *table = new_table(8 * MIB);
    unsigned possible = 0, count = 0;
    pid_t pids[64];
    while (put_stamped(alone, possible, 1, 300) == FKV_OK)
        possible++;
    for (unsigned i = 0; i < 64; i++)
        pids[i] = start_stopped(write_once, table, &i);
    while (put_stamped(table, count, 1, 300) == FKV_OK)
        count++;
    for (unsigned i = 0; i < 64; i++)
        go_on(pids[i]);
    CHECK(count > possible - possible / 10); /* 64 segments were half of all; pages of counters: 3 % */
}
