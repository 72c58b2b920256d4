/* test_object.c -- making and opening the object: what is refused, with a sentence that helps. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static fkv_status create(int fd, uint64_t memory_bytes, fkv_fault *fault) {
    fkv_table *table;
    fkv_config config = {.memory_bytes = memory_bytes};
    fkv_status status = fkv_create(fd, &config, FKV_ATTACHED, 0, &table, fault);
    if (status == FKV_OK)
        fkv_detach(table);
    return status;
}

static fkv_status attach(int fd, fkv_fault *fault) {
    fkv_table *table;
    fkv_status status = fkv_attach(fd, FKV_ATTACHED, 0, &table, fault);
    if (status == FKV_OK)
        fkv_detach(table);
    return status;
}

/* Refused with this status, and a sentence that holds `text`. */
#define EXPECT_FAULT(call, wanted, part)                                                           \
    do {                                                                                           \
        fkv_fault fault = {0};                                                                     \
        CHECK_STATUS(call, wanted);                                                                \
        CHECK_EQUAL(fault.status, wanted);                                                         \
        if (strstr(fault.text, part) == NULL)                                                      \
            test_failed(__FILE__, __LINE__, "no \"%s\" in: %s", part, fault.text);                 \
    } while (0)

static int made_object(void) {
    fkv_fault fault;
    int fd = new_object();
    CHECK_OK(create(fd, 4 * MIB, &fault));
    return fd;
}

static void change_header(int fd, size_t offset, uint64_t word) {
    CHECK(pwrite(fd, &word, sizeof word, (off_t)offset) == sizeof word);
}

TEST(what_one_process_made_and_left_another_opens) {
    fkv_table *table;
    fkv_fault fault;
    fkv_config config = {.memory_bytes = 4 * MIB};
    int fd = new_object();
    CHECK_OK(fkv_create(fd, &config, FKV_MASTER, 0, &table, &fault));
    CHECK_OK(put(table, "k", "v"));
    fkv_detach(table);
    CHECK_OK(fkv_attach(fd, FKV_ATTACHED, 0, &table, &fault));
    CHECK_TEXT(text_at(table, "k"), "v");
    check_clean(table);
    fkv_detach(table);
    close(fd);
}

TEST(memory_out_of_range_is_refused) {
    int fd = new_object();
    EXPECT_FAULT(create(fd, FKV_MEMORY_MIN - 1, &fault), FKV_INVALID, "4 MiB");
    EXPECT_FAULT(create(fd, FKV_MEMORY_MAX + 1, &fault), FKV_INVALID, "2 TiB");
    EXPECT_FAULT(create(fd, 0, &fault), FKV_INVALID, "4 MiB");
    close(fd);
}

/* A sparse object: only what is reserved costs memory. */
TEST(every_slot_offset_of_the_largest_table_fits) {
    uint64_t most = FKV_MEMORY_MAX, range = (uint64_t)FKV_KERNEL_PAGE << FKV_PAGE_BITS_MAX;
    CHECK(4096 * range >= most); /* as many index bytes as memory, at most */
    CHECK(3 * most >> 3 <= FKV_SLOT_OFFSET_MASK);
}

TEST(a_table_is_not_made_twice) {
    int fd = made_object();
    EXPECT_FAULT(create(fd, 4 * MIB, &fault), FKV_EXISTS, "exists");
    close(fd);
}

TEST(an_empty_object_is_half_made_and_can_be_made) {
    fkv_fault made;
    int fd = new_object();
    EXPECT_FAULT(attach(fd, &fault), FKV_HALF_MADE, "forkkv unlink");
    CHECK(ftruncate(fd, 12345678) == 0);
    EXPECT_FAULT(attach(fd, &fault), FKV_HALF_MADE, "forkkv unlink");
    CHECK(pwrite(fd, "rubbish", 7, 64) == 7); /* what a creator that died had written */
    CHECK_OK(create(fd, 4 * MIB, &made));
    CHECK_OK(attach(fd, &made));
    close(fd);
}

TEST(bytes_that_are_not_those_of_a_creator_are_never_written_over) {
    int fd = new_object();
    char kept[8] = "";
    CHECK(write(fd, "precious", 8) == 8);
    EXPECT_FAULT(create(fd, 4 * MIB, &fault), FKV_FOREIGN, "forkkv unlink");
    CHECK(pread(fd, kept, 8, 0) == 8 && memcmp(kept, "precious", 8) == 0);
    close(fd);
}

TEST(another_layout_is_refused_with_both_signatures) {
    char ours[20];
    int fd = made_object();
    snprintf(ours, sizeof ours, "%016llx", (unsigned long long)fkv_layout_signature());
    change_header(fd, offsetof(fkv_header, signature), UINT64_C(0x1122334455667788));
    EXPECT_FAULT(attach(fd, &fault), FKV_FOREIGN, "1122334455667788");
    EXPECT_FAULT(attach(fd, &fault), FKV_FOREIGN, ours);
    close(fd);
}

#define GEOMETRY(word) (offsetof(fkv_header, geometry) + offsetof(fkv_geometry, word))

TEST(a_header_that_does_not_fit_is_refused) {
    const size_t words[] = {
        GEOMETRY(object_bytes), GEOMETRY(memory_bytes),   GEOMETRY(segment_bytes),
        GEOMETRY(heads_off),    GEOMETRY(index_off),      GEOMETRY(segments_off),
        GEOMETRY(activity_off), GEOMETRY(partitions_off), GEOMETRY(index_range_bytes),
        GEOMETRY(segment_count)};
    const uint64_t wrong[] = {0, 1, UINT64_MAX, UINT64_C(1) << 40};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        for (unsigned w = 0; w < 4; w++) {
            int fd = made_object();
            change_header(fd, words[i], wrong[w]);
            EXPECT_FAULT(attach(fd, &fault), FKV_CORRUPT, "forkkv unlink");
            close(fd);
        }
}

TEST(a_truncated_object_is_refused) {
    int fd = made_object();
    CHECK(ftruncate(fd, 2 * MIB) == 0);
    EXPECT_FAULT(attach(fd, &fault), FKV_CORRUPT, "truncated");
    CHECK(ftruncate(fd, 100) == 0);
    EXPECT_FAULT(attach(fd, &fault), FKV_FOREIGN, "too few");
    close(fd);
}

TEST(an_object_open_to_others_is_refused) {
    int fd = made_object();
    const mode_t modes[] = {0644, 0660, 0606, 0601};
    for (unsigned i = 0; i < 4; i++) {
        CHECK(fchmod(fd, modes[i]) == 0);
        EXPECT_FAULT(attach(fd, &fault), FKV_UNSAFE, "0600");
        EXPECT_FAULT(create(fd, 4 * MIB, &fault), FKV_UNSAFE, "0600");
    }
    close(fd);
}

TEST(what_is_not_a_regular_object_is_refused) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    EXPECT_FAULT(attach(ends[0], &fault), FKV_UNSAFE, "regular");
    EXPECT_FAULT(create(ends[1], 4 * MIB, &fault), FKV_UNSAFE, "regular");
    EXPECT_FAULT(attach(-1, &fault), FKV_SYSTEM, "fstat");
}

TEST(a_retired_table_is_refused_by_every_operation_and_attach) {
    fkv_table *table = new_table(4 * MIB), *other = attach_again(table);
    bytes value = BYTES;
    fkv_sink *sink = &value.sink;
    uint64_t size, cursor = 0;
    int64_t number;
    bool found;
    char text[100];
    fkv_key key = text_key(table, "k");
    fkv_pair pair = {key, "v", 1};
    CHECK_OK(put(table, "k", "v"));
    fkv_retire(other);
    CHECK(facts_of(table).retired);
    CHECK_STATUS(fkv_get(table, &key, &value.sink), FKV_RETIRED);
    CHECK_STATUS(put(table, "k", "v"), FKV_RETIRED);
    CHECK_STATUS(fkv_delete(table, &key, NULL), FKV_RETIRED);
    CHECK_STATUS(fkv_size(table, &key, &size), FKV_RETIRED);
    CHECK_STATUS(fkv_expiry(table, &key, &number), FKV_RETIRED);
    CHECK_STATUS(fkv_expire(table, &key, 0, 0, NULL), FKV_RETIRED);
    CHECK_STATUS(fkv_add(table, &key, 1, &number), FKV_RETIRED);
    CHECK_STATUS(fkv_append(table, &key, "v", 1, &size), FKV_RETIRED);
    CHECK_STATUS(fkv_get_many(table, &key, 1, &sink, &found), FKV_RETIRED);
    CHECK_STATUS(fkv_set_many(table, &pair, 1, 0, 0), FKV_RETIRED);
    CHECK_STATUS(fkv_scan(table, 0, &cursor, 1, NULL, NULL), FKV_RETIRED);
    CHECK_STATUS(fkv_clear(table, 0), FKV_RETIRED);
    CHECK_STATUS(fkv_check(table, text, sizeof text), FKV_RETIRED);
    CHECK_EQUAL(fkv_sweep(table, 1, NULL), 0);
    CHECK_EQUAL(fkv_repair(table), 0);
    CHECK(!fkv_reclaim_ahead(table));
    EXPECT_FAULT(attach(table->fd, &fault), FKV_RETIRED, "unlinked");
}

TEST(every_status_and_counter_has_its_text) {
    for (int status = FKV_OK; status <= FKV_CORRUPT; status++)
        CHECK(fkv_status_text(status) != NULL && *fkv_status_text(status) != 0);
    CHECK_TEXT(fkv_status_text(FKV_CORRUPT + 1), "unknown status");
    CHECK_TEXT(fkv_counter_name(0), "read");
    for (unsigned counter = 0; counter < FKV_COUNTERS; counter++)
        CHECK(fkv_counter_name(counter) != NULL);
    CHECK(fkv_counter_name(FKV_COUNTERS) == NULL);
}

/* ---- a creator that dies --------------------------------------------------------------------------- */

typedef struct making {
    int fd;
    fkv_status status;
} making;

static void make_in_child(fkv_table *unused, void *context) {
    (void)unused;
    making *m = context;
    fkv_fault fault;
    m->status = create(m->fd, 4 * MIB, &fault);
}

TEST(of_many_creators_one_wins) {
    making *m = shared_pages(8 * sizeof *m);
    pid_t pids[8];
    unsigned won = 0;
    m[0].fd = new_object();
    for (int i = 0; i < 8; i++) {
        m[i].fd = m[0].fd;
        pids[i] = start_child(make_in_child, NULL, &m[i]);
    }
    for (int i = 0; i < 8; i++) {
        wait_child(pids[i]);
        CHECK(m[i].status == FKV_OK || m[i].status == FKV_EXISTS);
        won += m[i].status == FKV_OK;
    }
    CHECK_EQUAL(won, 1);
    close(m[0].fd);
}

TEST(a_creator_killed_at_any_moment_leaves_what_another_can_make) {
    fkv_fault fault;
    uint64_t state = random_seed();
    for (int round = 0; round < 60; round++) {
        making *m = shared_pages(sizeof *m);
        m->fd = new_object();
        pid_t pid = start_child(make_in_child, NULL, m);
        for (unsigned spin = random_below(&state, 300000); spin > 0; spin--)
            __asm__ volatile("");
        kill_child(pid);
        fkv_status status = create(m->fd, 4 * MIB, &fault);
        CHECK(status == FKV_OK || status == FKV_EXISTS);
        CHECK_OK(attach(m->fd, &fault));
        close(m->fd);
    }
}
