/* test_disk.c -- a file system that has room for N more pages, for N = 0, 1, 2, ... until it is enough.
 *
 * Whatever is refused on the way has changed nothing, old keys are read, the table is whole, and
 * nothing is ever touched that was not reserved (it would be SIGBUS). */
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

enum { KEYS = 60, PAGES_MAX = 1000 };

/* A tmpfs of its own, in a mount namespace of this process's own, with one object on it. */
typedef struct disk {
    char dir[32];
    int fd;
} disk;

/* False without the right to mount. */
static bool mount_disk(disk *d) {
    char path[64];
    strcpy(d->dir, "/tmp/forkkv-test.XXXXXX");
    if (unshare(CLONE_NEWNS) != 0)
        return false;
    CHECK(mkdtemp(d->dir) != NULL);
    CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("none", d->dir, "tmpfs", 0, "size=64m") == 0);
    snprintf(path, sizeof path, "%s/object", d->dir);
    d->fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0600);
    CHECK(d->fd >= 0);
    return true;
}

static void unmount_disk(disk *d) {
    close(d->fd);
    umount2(d->dir, MNT_DETACH);
    rmdir(d->dir);
}

/* Leaves room for `pages` more. */
static void leave_room(const disk *d, unsigned pages) {
    char options[48];
    struct stat facts;
    CHECK(fstat(d->fd, &facts) == 0);
    unsigned long long used = (unsigned long long)facts.st_blocks * 512;
    snprintf(options, sizeof options, "size=%llu", used + pages * FKV_KERNEL_PAGE);
    if (used + pages == 0) /* 0 would be no limit */
        snprintf(options, sizeof options, "size=%d", 1);
    CHECK(mount("none", d->dir, NULL, MS_REMOUNT, options) == 0);
}

static bool is_refusal(fkv_status status) {
    return status == FKV_NO_SPACE || status == FKV_FULL;
}

static void expect_all_keys(fkv_table *table) {
    uint64_t sequence;
    for (unsigned i = 0; i < KEYS; i++) {
        CHECK_OK(get_stamped(table, i, &sequence));
        CHECK_EQUAL(sequence, 1);
    }
}

typedef fkv_status (*growing)(fkv_table *table);

/* Runs `grow` with room for `step` more pages each time, until it succeeds. */
static void grow_by(unsigned step, growing grow, bool may_fit_at_once) {
    disk d;
    fkv_table *table;
    fkv_fault fault;
    fkv_config config = {.memory_bytes = 16 * MIB};
    unsigned pages = 0;
    if (!mount_disk(&d))
        return;
    CHECK_OK(fkv_create(d.fd, &config, FKV_ATTACHED, 0, &table, &fault));
    for (unsigned i = 0; i < KEYS; i++)
        CHECK_OK(put_stamped(table, i, 1, 500));
    for (fkv_status status = FKV_FULL; status != FKV_OK; pages += step) {
        leave_room(&d, pages);
        status = grow(table);
        if (status != FKV_OK && !is_refusal(status))
            CHECK_STATUS(status, FKV_NO_SPACE);
        expect_all_keys(table);
        check_clean(table);
        CHECK(pages < PAGES_MAX);
    }
    CHECK(may_fit_at_once || pages > step); /* it was refused at least once */
    test_note("enough were %u pages", pages - step);
    fkv_detach(table);
    unmount_disk(&d);
}

static fkv_status set_values_of_many_segments(fkv_table *table) {
    fkv_status status = FKV_OK;
    for (unsigned i = 0; status == FKV_OK && i < 6; i++)
        status = put_stamped(table, 1000 + i, 1, 200 * KIB);
    return status;
}

TEST(a_disk_that_is_full_refuses_runs_of_segments_page_by_page) {
    grow_by(1, set_values_of_many_segments, false);
}

static fkv_status set_values_of_a_segment(fkv_table *table) {
    fkv_status status = FKV_OK;
    for (unsigned i = 0; status == FKV_OK && i < 20; i++)
        status = put_stamped(table, 1000 + i, 1, table->segment_bytes - 100);
    return status;
}

TEST(a_disk_that_is_full_refuses_segments_page_by_page) {
    grow_by(1, set_values_of_a_segment, false);
}

static fkv_status set_many_small_keys(fkv_table *table) {
    fkv_status status = FKV_OK;
    for (unsigned i = 0; status == FKV_OK && i < 60000; i++)
        status = put_stamped(table, 1000 + i, 1, STAMP_SIZE);
    return status;
}

TEST(a_disk_that_is_full_refuses_growth_of_the_index) {
    grow_by(7, set_many_small_keys, false);
}

static fkv_status rename_and_back(fkv_table *table) {
    name old_name = number_name(2000);
    fkv_key from = number_key(table, &old_name), to = text_key(table, "elsewhere");
    fkv_status status = put_stamped(table, 2000, 1, 300 * KIB);
    if (status == FKV_OK)
        status = fkv_rename(table, &from, &to, 0);
    return status;
}

TEST(a_disk_that_is_full_refuses_a_rename_page_by_page) {
    grow_by(1, rename_and_back, true);
}

static fkv_status attach_once_more(fkv_table *table) {
    fkv_table *again;
    fkv_fault fault;
    fkv_status status = fkv_attach(table->fd, FKV_ATTACHED, 0, &again, &fault);
    if (status == FKV_OK)
        fkv_detach(again);
    else
        CHECK(strstr(fault.text, "page of counters") != NULL);
    return status;
}

TEST(a_disk_that_is_full_refuses_one_more_participant) {
    grow_by(1, attach_once_more, false);
}

TEST(a_disk_that_is_full_refuses_a_new_table_page_by_page) {
    disk d;
    fkv_table *table;
    fkv_fault fault;
    fkv_config config = {.memory_bytes = 4 * MIB};
    fkv_status status = FKV_NO_SPACE;
    unsigned pages = 0;
    if (!mount_disk(&d))
        return;
    for (; status != FKV_OK; pages++) {
        leave_room(&d, pages);
        status = fkv_create(d.fd, &config, FKV_ATTACHED, 0, &table, &fault);
        if (status != FKV_OK) {
            CHECK_STATUS(status, FKV_NO_SPACE);
            CHECK(strstr(fault.text, "/dev/shm") != NULL);
        }
        CHECK(pages < PAGES_MAX);
    }
    CHECK(pages > 50);
    CHECK(is_refusal(put(table, "k", "v"))); /* the segments there are the reserve */
    check_clean(table);
    leave_room(&d, 100);
    CHECK_OK(put(table, "k", "v"));
    check_clean(table);
    test_note("enough were %u pages", pages - 1);
    fkv_detach(table);
    unmount_disk(&d);
}
