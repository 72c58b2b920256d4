/* test_stopped.c -- a process is stopped with a lock in its hands: who waits, and for how long.
 *
 * The child stops itself exactly inside; nothing is ever taken from it, and once it goes on all is
 * as if it had been slow. */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "test.h"

static uint64_t counted(const fkv_table *table, enum fkv_counter counter) {
    return table->own->counts[counter];
}

static const char *busy_text(const fkv_table *table) {
    static char text[400];
    fkv_busy_text(table, text, sizeof text);
    return text;
}

/* ---- a partition's lock ------------------------------------------------------------------------ */

TEST(the_error_names_the_stopped_holder_and_the_next_step) {
    fkv_table *table = new_table(4 * MIB);
    char pid_text[32];
    fkv_set_lock_timeout(table, 50);
    CHECK_TEXT(busy_text(table), fkv_status_text(FKV_BUSY)); /* nobody was in the way yet */
    pid_t pid = start_stopped(stop_with_partition, table, NULL);
    CHECK_STATUS(put(table, "k", "v"), FKV_BUSY);
    snprintf(pid_text, sizeof pid_text, "process %d (attached)", pid);
    CHECK(strstr(busy_text(table), pid_text) != NULL);
    CHECK(strstr(busy_text(table), "for more than 0.05 s") != NULL);
    CHECK(strstr(busy_text(table), "continue or kill it") != NULL);
    go_on(pid);
}

static void stop_with_partition_as_worker(fkv_table *table, void *context) {
    CHECK_OK(fkv_enroll(table, FKV_WORKER, 2));
    stop_with_partition(table, context);
}

TEST(the_error_names_the_worker_by_its_number) {
    fkv_table *table = new_table(4 * MIB);
    fkv_set_lock_timeout(table, 10);
    pid_t pid = start_stopped(stop_with_partition_as_worker, table, NULL);
    CHECK_STATUS(put(table, "k", "v"), FKV_BUSY);
    CHECK(strstr(busy_text(table), "(worker 2)") != NULL);
    go_on(pid);
}

TEST(a_stopped_holder_is_waited_for_once_and_not_again_before_it_moves) {
    fkv_table *table = new_table(4 * MIB);
    fkv_set_lock_timeout(table, 50);
    pid_t pid = start_stopped(stop_with_partition, table, NULL);
    CHECK_STATUS(put(table, "k", "v"), FKV_BUSY);
    uint64_t waits = counted(table, FKV_COUNT_lock_waits), naps = counted(table, FKV_COUNT_futex);
    for (int i = 0; i < 1000; i++)
        CHECK_STATUS(put(table, "k", "v"), FKV_BUSY);
    CHECK_EQUAL(counted(table, FKV_COUNT_lock_waits), waits);
    CHECK_EQUAL(counted(table, FKV_COUNT_futex), naps);
    CHECK_EQUAL(counted(table, FKV_COUNT_lock_timeouts), 1001);
    CHECK_OK(put(table, elsewhere(table), "v"));
    go_on(pid);
    CHECK_OK(put(table, "k", "v"));
}

TEST(a_holder_that_is_killed_after_it_was_given_up_is_replaced_at_the_next_write) {
    fkv_table *table = new_table(4 * MIB);
    fkv_set_lock_timeout(table, 20);
    pid_t pid = start_stopped(stop_with_partition, table, NULL);
    CHECK_STATUS(put(table, "k", "v"), FKV_BUSY);
    kill_child(pid);
    CHECK_OK(put(table, "k", "v"));
    CHECK_EQUAL(counted(table, FKV_COUNT_takeovers), 1);
    CHECK_EQUAL(fkv_repair(table), 1);
}

static void stop_in_two_holds(fkv_table *table, void *context) {
    stop_with_partition(table, context);
    stop_with_partition(table, context);
}

TEST(a_holder_that_moved_is_waited_for_afresh) {
    fkv_table *table = new_table(4 * MIB);
    fkv_set_lock_timeout(table, 20);
    pid_t pid = start_stopped(stop_in_two_holds, table, NULL);
    CHECK_STATUS(put(table, "k", "v"), FKV_BUSY);
    uint64_t waits = counted(table, FKV_COUNT_lock_waits);
    kill(pid, SIGCONT);
    wait_stopped(pid);
    CHECK_STATUS(put(table, "k", "v"), FKV_BUSY);
    CHECK_EQUAL(counted(table, FKV_COUNT_lock_waits), waits + 1);
    go_on(pid);
}

/* Holds its lock for a second, and gives back another every few milliseconds. */
static void hold_and_move(fkv_table *table, void *context) {
    CHECK_OK(fkv_write_begin(table));
    CHECK_OK(fkv_partition_lock(table, partition_of(table, "k")));
    atomic_store((_Atomic bool *)context, true);
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(fkv_list_lock(table));
        fkv_list_unlock(table);
        nap_ms(1);
    }
    fkv_partition_unlock(table, partition_of(table, "k"));
    fkv_write_end(table);
}

TEST(a_holder_that_moves_is_waited_for_beyond_the_lock_timeout) {
    fkv_table *table = new_table(4 * MIB);
    _Atomic bool *held = shared_pages(sizeof *held);
    CHECK_OK(put(table, "other", "v"));
    fkv_set_lock_timeout(table, 400);
    pid_t pid = start_child(hold_and_move, table, (void *)held);
    WAIT_UNTIL(atomic_load(held));
    CHECK_OK(put(table, "k", "v"));
    CHECK_EQUAL(counted(table, FKV_COUNT_lock_timeouts), 0);
    wait_child(pid);
}

/* ---- many locks -------------------------------------------------------------------------------- */

static void stop_with_all(fkv_table *table, void *context) {
    (void)context;
    CHECK_OK(fkv_write_begin(table));
    CHECK_OK(fkv_lock_all(table));
    raise(SIGSTOP);
    fkv_unlock_all(table);
    fkv_write_end(table);
}

TEST(a_stopped_holder_of_all_partitions_is_waited_for_once_for_all_of_them) {
    fkv_table *table = new_table(4 * MIB);
    fkv_set_lock_timeout(table, 20);
    pid_t pid = start_stopped(stop_with_all, table, NULL);
    for (unsigned i = 0; i < 500; i++)
        CHECK_STATUS(put_number(table, i, "v", 1), FKV_BUSY);
    CHECK_EQUAL(counted(table, FKV_COUNT_lock_waits), 1);
    go_on(pid);
    for (unsigned i = 0; i < 500; i++)
        CHECK_OK(put_number(table, i, "v", 1));
}

static void clear_in_child(fkv_table *table, void *context) {
    (void)context;
    fkv_set_lock_timeout(table, 60000); /* until it is killed */
    fkv_clear(table, 0);
}

TEST(who_waits_for_a_stopped_holder_stops_nobody_else) {
    fkv_table *table = new_table(4 * MIB);
    CHECK_OK(put(table, "k", "v"));
    pid_t pid = start_stopped(stop_with_partition, table, NULL);
    pid_t waiter = start_child(clear_in_child, table, NULL); /* needs all partitions */
    WAIT_UNTIL(atomic_load(&partition_of(table, "k")->lock.owner) & FKV_LOCK_WAITERS);
    for (uint32_t i = 0; i < table->geometry.partition_count; i++)
        if (&table->partitions[i] != partition_of(table, "k"))
            CHECK_EQUAL(atomic_load(&table->partitions[i].lock.owner), 0);
    kill_child(waiter);
    go_on(pid);
    fkv_repair(table);
}

static void stop_in_commit(fkv_table *table, void *context) {
    (void)context;
    fkv_partition *partition = partition_of(table, "k");
    CHECK_OK(fkv_write_begin(table));
    CHECK_OK(fkv_partition_lock(table, partition));
    atomic_store(&partition->committer, table->lock_word);
    atomic_store(&partition->shape, (partition->shape | FKV_SHAPE_COMMIT) + FKV_SHAPE_STEP);
    raise(SIGSTOP);
    atomic_store(&partition->shape, (partition->shape & ~FKV_SHAPE_COMMIT) + FKV_SHAPE_STEP);
    fkv_partition_unlock(table, partition);
    fkv_write_end(table);
}

TEST(readers_of_a_stopped_commit_wait_and_all_other_readers_go_on) {
    fkv_table *table = new_table(4 * MIB);
    int64_t sum;
    fkv_key key = text_key(table, "k");
    CHECK_OK(put(table, "k", "1"));
    CHECK_OK(put(table, elsewhere(table), "v"));
    fkv_set_lock_timeout(table, 20);
    pid_t pid = start_stopped(stop_in_commit, table, NULL);
    CHECK_TEXT(text_at(table, "k"), fkv_status_text(FKV_BUSY));
    CHECK_STATUS(fkv_add(table, &key, 1, &sum), FKV_BUSY);
    CHECK_TEXT(text_at(table, elsewhere(table)), "v");
    go_on(pid);
    CHECK_TEXT(text_at(table, "k"), "1");
}

/* ---- the list lock, the creation lock, segments -------------------------------------------------- */

TEST(with_the_list_in_stopped_hands_writers_go_on_until_they_need_a_segment) {
    fkv_table *table = new_table(4 * MIB);
    char value[1000] = "";
    CHECK_OK(put(table, "k", "v")); /* has an open segment */
    fkv_set_lock_timeout(table, 20);
    pid_t pid = start_stopped(stop_with_list, table, NULL);
    unsigned written = 0;
    fkv_status status;
    while ((status = put_number(table, written, value, sizeof value)) == FKV_OK)
        written++;
    CHECK_STATUS(status, FKV_BUSY);
    CHECK(written > 10);
    CHECK_TEXT(text_at(table, "k"), "v");
    CHECK_OK(put(table, "k", "small"));
    go_on(pid);
    CHECK_OK(put_number(table, written, value, sizeof value));
}

TEST(an_entry_that_was_used_before_is_taken_without_the_list_lock) {
    fkv_table *table = new_table(4 * MIB), *again;
    fkv_fault fault;
    CHECK_OK(fkv_attach(table->fd, FKV_ATTACHED, 0, &again, &fault));
    fkv_table *child = attach_again(table);
    fkv_detach(again);
    CHECK_OK(fkv_write_begin(child)); /* stands for a stopped process: it does not move */
    CHECK_OK(fkv_list_lock(child));
    again = attach_again(table);
    fkv_list_unlock(child);
    fkv_write_end(child);
}

static void stop_with_creation(fkv_table *table, void *context) {
    (void)context;
    struct flock lock = {.l_type = F_WRLCK, .l_start = FKV_CREATION_OFF, .l_len = 1};
    CHECK(fcntl(table->fd, F_OFD_SETLK, &lock) == 0);
    raise(SIGSTOP);
}

TEST(processes_come_and_go_while_the_creation_lock_is_in_stopped_hands) {
    fkv_table *table = new_table(4 * MIB);
    pid_t pid = start_stopped(stop_with_creation, table, NULL);
    CHECK_OK(put(attach_again(table), "k", "v"));
    go_on(pid);
}

/* As if it were emptying half of the table. */
static void stop_with_victims(fkv_table *table, void *context) {
    uint32_t segments[20];
    CHECK_OK(fkv_write_begin(table));
    *(unsigned *)context = table->entry;
    for (int i = 0; i < 20; i++) {
        CHECK_OK(fkv_take_segments(table, 1, FKV_QUEUE_SMALL, FKV_ROOM_GROW, &segments[i]));
        atomic_store(&table->heads[segments[i]].state,
                     FKV_STATE(FKV_SEGMENT_VICTIM, table->entry + 1, 0));
    }
    raise(SIGSTOP);
    for (int i = 0; i < 20; i++)
        atomic_store(&table->heads[segments[i]].state, FKV_STATE(FKV_SEGMENT_CLOSED, 0, 0));
    fkv_write_end(table);
}

TEST(a_full_table_waits_for_a_stopped_reclaimer_once) {
    fkv_table *table = new_table(4 * MIB);
    unsigned written = 0, *reclaimer = shared_pages(sizeof *reclaimer);
    static char value[60000];
    pid_t pid = start_stopped(stop_with_victims, table, reclaimer);
    CHECK(!fkv_stands_still(table, *reclaimer));
    while (put_number(table, written, value, sizeof value) == FKV_OK)
        written++;
    CHECK(fkv_stands_still(table, *reclaimer)); /* so the next does not wait */
    CHECK_STATUS(put_number(table, written, value, sizeof value), FKV_FULL);
    go_on(pid);
    CHECK_OK(put_number(table, written, value, sizeof value));
}

/* ---- what is left ------------------------------------------------------------------------------- */

TEST(writes_that_were_given_up_leave_garbage_and_no_leak) {
    fkv_table *table = new_table(4 * MIB);
    char value[5000];
    memset(value, 'v', sizeof value);
    CHECK_OK(put(table, elsewhere(table), "v"));
    fkv_set_lock_timeout(table, 10);
    pid_t pid = start_stopped(stop_with_partition, table, NULL);
    fkv_pair pairs[2] = {{text_key(table, "k"), value, sizeof value},
                         {text_key(table, elsewhere(table)), value, sizeof value}};
    uint64_t live = facts_of(table).live_bytes;
    for (int i = 0; i < 3000; i++) /* seven times the memory */
        CHECK_STATUS(fkv_set_many(table, pairs, 2, 0, 0), FKV_BUSY);
    CHECK_EQUAL(facts_of(table).live_bytes, live);
    CHECK_TEXT(text_at(table, elsewhere(table)), "v");
    go_on(pid);
    CHECK_OK(fkv_set_many(table, pairs, 2, 0, 0));
}

static void check_timeout(fkv_table *table, void *context) {
    (void)context;
    CHECK_OK(put(table, "k", "v"));
    CHECK_EQUAL(table->lock_timeout_ms, 77);
}

TEST(a_forked_child_keeps_the_lock_timeout) {
    fkv_table *table = new_table(4 * MIB);
    fkv_set_lock_timeout(table, 77);
    wait_child(start_child(check_timeout, table, NULL));
}
