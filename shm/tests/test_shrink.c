/* test_shrink.c -- a table that holds less than it did gives memory back, and loses nothing by it. */
#include <sys/stat.h>

#include "test.h"

static uint64_t charged(const fkv_table *table) {
    struct stat facts;
    CHECK(fstat(table->fd, &facts) == 0);
    return (uint64_t)facts.st_blocks * 512;
}

/* Fills a table, then deletes all but one in `keep` of the keys. Returns how many there were. */
static unsigned fill_and_drop(fkv_table *table, unsigned keep, size_t size) {
    unsigned count = 0;
    while (put_stamped(table, count, 1, size) == FKV_OK)
        count++;
    for (unsigned i = 0; i < count; i++)
        if (i % keep != 0)
            CHECK_OK(drop_number(table, i));
    return count;
}

static void expect_every(fkv_table *table, unsigned keep, unsigned count) {
    uint64_t sequence;
    for (unsigned i = 0; i < count; i += keep)
        CHECK_OK(get_stamped(table, i, &sequence));
}

TEST(memory_that_is_mostly_garbage_goes_back_to_the_kernel) {
    const size_t sizes[] = {300, 20000, 150000};
    for (unsigned s = 0; s < 3; s++) {
        fkv_table *table = new_table(16 * MIB);
        unsigned count = fill_and_drop(table, 10, sizes[s]);
        uint64_t before = charged(table);
        CHECK(before > 14 * MIB);
        while (fkv_shrink(table))
            ;
        CHECK(charged(table) < before / 3);
        CHECK_EQUAL(charged(table), facts_of(table).memory_used_bytes);
        expect_every(table, 10, count);
        check_clean(table);
        for (unsigned i = 0; i < count * 9 / 10; i++) /* and all of it can be used again */
            CHECK_OK(put_stamped(table, i, 2, sizes[s]));
    }
}

TEST(a_table_without_garbage_moves_nothing_to_shrink) {
    fkv_table *table = new_table(8 * MIB);
    for (unsigned i = 0; i < 5000; i++)
        CHECK_OK(put_stamped(table, i, 1, 300));
    while (fkv_shrink(table))
        ;
    CHECK_EQUAL(table->own->counts[FKV_COUNT_bytes_copied], 0);
    CHECK(!fkv_shrink(table));
}

TEST(nothing_is_evicted_to_shrink) {
    fkv_table *table = new_table(8 * MIB);
    CHECK_OK(fkv_set_policy(table, FKV_S3FIFO));
    for (unsigned i = 0; i < 50000; i++)
        CHECK_OK(put_stamped(table, i, 1, 300));
    uint64_t evicted = table->own->counts[FKV_COUNT_evicted];
    while (fkv_shrink(table))
        ;
    CHECK_EQUAL(table->own->counts[FKV_COUNT_evicted], evicted);
}

TEST(a_purge_is_wanted_until_it_is_done) {
    fkv_table *table = new_table(8 * MIB);
    fill_and_drop(table, 10, 300);
    CHECK(!fkv_purge_wanted(table));
    fkv_purge(attach_again(table));
    CHECK(fkv_purge_wanted(table));
    while (fkv_shrink(table))
        CHECK(fkv_purge_wanted(table));
    CHECK(!fkv_purge_wanted(table));
}
