/* test_segment.c -- memory: never above the limit, never touched before it is reserved. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static uint64_t charged_bytes(const fkv_table *table) {
    struct stat facts;
    CHECK(fstat(table->fd, &facts) == 0);
    return (uint64_t)facts.st_blocks * 512;
}

TEST(memory_stays_below_the_limit_and_is_what_the_kernel_says) {
    const uint64_t limits[] = {4 * MIB, 5 * MIB + 12345, 64 * MIB};
    for (unsigned l = 0; l < 3; l++) {
        fkv_table *table = new_table(limits[l]);
        uint64_t state = random_seed();
        CHECK_EQUAL(facts_of(table).memory_used_bytes, charged_bytes(table));
        for (unsigned i = 0; i < 30000; i++) {
            size_t size = STAMP_SIZE + random_below(&state, i % 100 == 0 ? 200 * KIB : 2000);
            fkv_status status = put_stamped(table, random_below(&state, 5000), i, size);
            CHECK(status == FKV_OK || status == FKV_FULL);
            if (i % 1000 == 0)
                CHECK_EQUAL(facts_of(table).memory_used_bytes, charged_bytes(table));
        }
        CHECK(charged_bytes(table) <= limits[l]);
    }
}

TEST(a_small_table_uses_little_before_it_is_filled) {
    fkv_table *table = new_table(256 * MIB);
    CHECK_OK(put_number(table, 1, "v", 1));
    CHECK(charged_bytes(table) < 256 * MIB / 16);
}

TEST(a_thousand_attachments_leave_nothing) {
    fkv_table *table = new_table(4 * MIB), *again;
    fkv_fault fault;
    for (unsigned i = 0; i < 10; i++)
        fkv_detach((CHECK_OK(fkv_attach(table->fd, FKV_ATTACHED, 0, &again, &fault)), again));
    uint64_t used = facts_of(table).memory_used_bytes;
    for (unsigned i = 0; i < 1000; i++) {
        CHECK_OK(fkv_attach(table->fd, FKV_ATTACHED, 0, &again, &fault));
        CHECK_OK(put_stamped(again, i % 50, i, 100));
        fkv_detach(again);
    }
    CHECK_EQUAL(facts_of(table).participants, 1);
    CHECK_EQUAL(facts_of(table).segments_open, 0);
    CHECK(facts_of(table).memory_used_bytes - used <= 3 * MIB);
    for (unsigned i = 0; i < 20000; i++) /* what they left half filled is found */
        CHECK_OK(put_stamped(table, i, i, 80));
}

/* ---- a full file system -------------------------------------------------------------------------- */

/* An object on a tmpfs of `size`, in a mount namespace of this process's own; -1 without the right
 * to mount. */
static int object_on_small_disk(const char *size) {
    char dir[] = "/tmp/forkkv-test.XXXXXX", path[64], options[32];
    snprintf(options, sizeof options, "size=%s", size);
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return -1;
    CHECK(mkdtemp(dir) != NULL);
    int fd = -1;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("none", dir, "tmpfs", 0, options) == 0) {
        snprintf(path, sizeof path, "%s/object", dir);
        fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0600);
        CHECK(fd >= 0);
        unlink(path);
        umount2(dir, MNT_DETACH);
    }
    rmdir(dir);
    return fd;
}

TEST(a_full_file_system_is_an_error_at_creation) {
    fkv_table *table;
    fkv_fault fault;
    fkv_config config = {.memory_bytes = 64 * MIB};
    int fd = object_on_small_disk("256k");
    if (fd < 0)
        return;
    CHECK_STATUS(fkv_create(fd, &config, FKV_ATTACHED, 0, &table, &fault), FKV_NO_SPACE);
    CHECK(strstr(fault.text, "/dev/shm") != NULL);
    close(fd);
}

TEST(a_full_file_system_is_an_error_for_the_write_and_old_keys_can_be_overwritten) {
    int fd = object_on_small_disk("8m");
    fkv_table *table;
    fkv_fault fault;
    fkv_config config = {.memory_bytes = 64 * MIB};
    fkv_status status;
    unsigned count = 0;
    uint64_t sequence;
    if (fd < 0)
        return;
    CHECK_OK(fkv_create(fd, &config, FKV_ATTACHED, 0, &table, &fault));
    while ((status = put_stamped(table, count, 0, 500)) == FKV_OK)
        count++;
    CHECK_STATUS(status, FKV_NO_SPACE);
    CHECK(count > 10000);
    for (unsigned i = 0; i < count; i += 2)
        CHECK_OK(drop_number(table, i));
    for (unsigned i = 0; i < 4 * count; i++)
        CHECK_OK(put_stamped(table, i % count | 1, i, 500));
    for (unsigned i = 1; i < count; i += 2)
        CHECK_OK(get_stamped(table, i, &sequence));
    check_clean(table);
    fkv_detach(table);
    close(fd);
}
