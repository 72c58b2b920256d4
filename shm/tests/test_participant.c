/* test_participant.c -- who has the table open, who lives, and what fork does to a handle. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static unsigned participants(fkv_table *table) {
    return facts_of(table).participants;
}

static fkv_participant_facts facts_of_pid(fkv_table *table, pid_t pid) {
    fkv_participant_facts facts;
    for (unsigned i = 0; i < FKV_ENTRIES; i++)
        if (fkv_read_participant(table, i, &facts, NULL) && facts.pid == pid)
            return facts;
    return (fkv_participant_facts){.entry = UINT32_MAX};
}

TEST(a_participant_says_who_it_is) {
    fkv_table *table = new_table(4 * MIB);
    fkv_participant_facts facts = facts_of_pid(table, getpid());
    CHECK_EQUAL(facts.role, FKV_ATTACHED);
    CHECK(facts.alive && facts.start_ticks > 0 && facts.generation > 0);
    CHECK_OK(fkv_enroll(table, FKV_WORKER, 3));
    facts = facts_of_pid(table, getpid());
    CHECK_EQUAL(facts.role, FKV_WORKER);
    CHECK_EQUAL(facts.role_index, 3);
    CHECK_STATUS(fkv_enroll(table, 0, 0), FKV_INVALID);
    CHECK_STATUS(fkv_enroll(table, FKV_ATTACHED + 1, 0), FKV_INVALID);
    CHECK_STATUS(fkv_enroll(table, FKV_WORKER, 1 << 24), FKV_INVALID);
}

TEST(two_handles_of_one_process_are_two_participants) {
    fkv_table *one = new_table(4 * MIB), *two = attach_again(one);
    CHECK_EQUAL(participants(one), 2);
    CHECK_OK(put(one, "k", "1"));
    CHECK_OK(put(two, "k", "2"));
    CHECK_TEXT(text_at(one, "k"), "2");
}

TEST(an_entry_is_free_again_after_detach) {
    fkv_table *table = new_table(4 * MIB), *again;
    fkv_fault fault;
    fkv_participant_facts facts;
    CHECK_OK(fkv_attach(table->fd, FKV_ATTACHED, 0, &again, &fault));
    uint32_t entry = again->entry;
    CHECK(fkv_read_participant(table, entry, &facts, NULL));
    fkv_detach(again);
    CHECK(!fkv_read_participant(table, entry, &facts, NULL));
    CHECK_OK(fkv_attach(table->fd, FKV_ATTACHED, 0, &again, &fault));
    CHECK_EQUAL(again->entry, entry);
    fkv_detach(again);
}

TEST(the_last_entry_is_taken_and_the_next_is_refused) {
    fkv_table *table = new_table(64 * MIB), *again;
    fkv_fault fault;
    while (participants(table) < FKV_ENTRIES - 1)
        CHECK_OK(put(attach_again(table), "k", "v"));
    CHECK_STATUS(fkv_attach(table->fd, FKV_ATTACHED, 0, &again, &fault), FKV_CROWDED);
    CHECK(strstr(fault.text, "511") != NULL);
}

/* ---- looking only ------------------------------------------------------------------------------ */

static fkv_table *observe(const fkv_table *table) {
    fkv_table *observer;
    fkv_fault fault;
    CHECK_OK(fkv_observe(table->fd, &observer, &fault));
    return observer;
}

TEST(an_observer_looks_at_a_table_whose_entries_are_all_taken) {
    fkv_table *table = new_table(64 * MIB);
    CHECK_OK(put(table, "k", "v"));
    while (participants(table) < FKV_ENTRIES - 1)
        attach_again(table);
    CHECK_OK(fkv_list_lock(table)); /* nor does it need any lock */
    fkv_table *observer = observe(table);
    CHECK_EQUAL(participants(observer), FKV_ENTRIES - 1);
    CHECK_EQUAL(facts_of_pid(observer, getpid()).role, FKV_ATTACHED);
    CHECK(!facts_of_pid(observer, getpid()).own);
    CHECK_TEXT(text_at(observer, "k"), "v");
    fkv_detach(observer);
    fkv_list_unlock(table);
    CHECK_EQUAL(participants(table), FKV_ENTRIES - 1);
}

static void look_in_child(fkv_table *observer, void *context) {
    (void)context;
    CHECK_TEXT(text_at(observer, "k"), "v");
    CHECK_EQUAL(participants(observer), 1);
}

TEST(an_observer_changes_nothing_and_stays_one_after_fork) {
    char text[400];
    fkv_table *table = new_table(4 * MIB), *observer = observe(table);
    CHECK_OK(put(table, "k", "v"));
    CHECK_STATUS(put(observer, "k", "w"), FKV_READ_ONLY);
    CHECK_STATUS(fkv_clear(observer, 0), FKV_READ_ONLY);
    CHECK_STATUS(fkv_enroll(observer, FKV_WORKER, 0), FKV_READ_ONLY);
    CHECK_STATUS(fkv_check(observer, text, sizeof text), FKV_READ_ONLY);
    CHECK_EQUAL(fkv_repair(observer) + fkv_sweep(observer, 64, NULL) + fkv_reclaim_ahead(observer), 0);
    wait_child(start_child(look_in_child, observer, NULL));
    fkv_detach(observer);
    CHECK_TEXT(text_at(table, "k"), "v");
}

/* ---- the dead ---------------------------------------------------------------------------------- */

static void die(fkv_table *table, void *context) {
    (void)context;
    fkv_own_activity(table);
    raise(SIGKILL);
}

TEST(entries_of_the_dead_are_given_to_the_living_when_all_are_taken) {
    fkv_table *table = new_table(16 * MIB);
    while (participants(table) < FKV_ENTRIES - 1)
        waitpid(start_child(die, table, NULL), NULL, 0);
    CHECK_OK(put(attach_again(table), "k", "v"));
    CHECK_EQUAL(participants(table), 2);
}

TEST(a_dead_participant_whose_pid_is_used_again_is_dead) {
    fkv_table *table = new_table(4 * MIB);
    waitpid(start_child(die, table, NULL), NULL, 0);
    unsigned entry = table->entry == 1 ? 2 : 1;
    table->entries[entry].pid = getpid(); /* a living process has it now */
    fkv_participant_facts facts;
    CHECK(fkv_read_participant(table, entry, &facts, NULL));
    CHECK(!facts.alive && !facts.own);
    CHECK(facts_of_pid(table, getpid()).own);
    CHECK_EQUAL(fkv_repair(table), 1);
    CHECK_EQUAL(participants(table), 1);
}

/* ---- taking an entry ----------------------------------------------------------------------------- */

static void (*before_a_lock)(fkv_table *table); /* runs once, between the look and the lock */
static fkv_table *passed_to_it;

/* Takes the place of the library's in the test program. */
int fcntl(int fd, int command, ...) {
    va_list args;
    va_start(args, command);
    void *argument = va_arg(args, void *);
    va_end(args);
    void (*run)(fkv_table *) = command == F_OFD_SETLK ? before_a_lock : NULL;
    if (run != NULL) {
        before_a_lock = NULL;
        run(passed_to_it);
    }
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

static uint64_t word_of_other;

static void come_and_leave(fkv_table *table) {
    fkv_table *other;
    fkv_fault fault;
    CHECK_OK(fkv_attach(table->fd, FKV_ATTACHED, 0, &other, &fault));
    word_of_other = other->lock_word;
    fkv_detach(other);
}

TEST(an_entry_used_by_another_while_we_look_at_it_is_taken_as_its_next_user) {
    fkv_table *table = new_table(4 * MIB);
    before_a_lock = come_and_leave, passed_to_it = table;
    fkv_table *again = attach_again(table);
    CHECK_EQUAL(again->lock_word, word_of_other + 1); /* the same entry, another generation */
}

static void come_and_die(fkv_table *table) {
    waitpid(start_child(die, table, NULL), NULL, 0);
}

TEST(an_entry_whose_user_died_while_we_look_at_it_is_left_to_repair) {
    fkv_table *table = new_table(4 * MIB);
    before_a_lock = come_and_die, passed_to_it = table;
    fkv_table *again = attach_again(table); /* which repairs */
    CHECK(again->entry != 2);
    CHECK_EQUAL(facts_of(table).repairs, 1);
    CHECK_EQUAL(participants(table), 2);
}

/* ---- fork -------------------------------------------------------------------------------------- */

typedef struct meeting {
    _Atomic int ready, go;
    unsigned entry, role;
} meeting;

static void use_and_wait(fkv_table *table, void *context) {
    meeting *m = context;
    CHECK_OK(put(table, "child", "was here"));
    m->entry = table->entry;
    m->role = facts_of_pid(table, getpid()).role;
    atomic_store(&m->ready, 1);
    WAIT_UNTIL(atomic_load(&m->go));
}

TEST(a_forked_child_is_a_participant_of_its_own) {
    fkv_table *table = new_table(4 * MIB);
    meeting *m = shared_pages(sizeof *m);
    CHECK_OK(fkv_enroll(table, FKV_MASTER, 0));
    CHECK_OK(put(table, "parent", "was here")); /* it has an open segment, that the child must leave */
    pid_t pid = start_child(use_and_wait, table, m);
    WAIT_UNTIL(atomic_load(&m->ready));
    CHECK_EQUAL(participants(table), 2);
    CHECK(m->entry != table->entry);
    CHECK_EQUAL(m->role, FKV_ATTACHED);
    CHECK_EQUAL(facts_of_pid(table, pid).entry, m->entry);
    CHECK_OK(put(table, "parent", "is here"));
    CHECK_TEXT(text_at(table, "child"), "was here");
    check_clean(table);
    atomic_store(&m->go, 1);
    wait_child(pid);
    CHECK_EQUAL(fkv_repair(table), 1);
    CHECK_EQUAL(participants(table), 1);
}

static void fork_and_die(fkv_table *table, void *context) {
    meeting *m = context;
    CHECK_OK(put(table, "parent", "was here"));
    m->entry = table->entry;
    if (fork() == 0) { /* inherits every descriptor, and does not use the table */
        atomic_store(&m->ready, getpid());
        WAIT_UNTIL(atomic_load(&m->go));
        _exit(0);
    }
    WAIT_UNTIL(atomic_load(&m->ready));
    raise(SIGKILL);
}

TEST(the_death_of_a_parent_is_noticed_though_its_child_inherited_all) {
    fkv_table *table = new_table(4 * MIB);
    meeting *m = shared_pages(sizeof *m);
    pid_t pid = start_child(fork_and_die, table, m);
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(kill(atomic_load(&m->ready), 0) == 0);
    CHECK(!fkv_entry_alive(table, m->entry));
    CHECK_EQUAL(fkv_repair(table), 1);
    atomic_store(&m->go, 1);
}

static void enroll_and_wait(fkv_table *table, void *context) {
    CHECK_OK(fkv_enroll(table, FKV_WORKER, 7));
    use_and_wait(table, context);
}

TEST(a_forked_worker_enrolls_with_its_own_role) {
    fkv_table *table = new_table(4 * MIB);
    meeting *m = shared_pages(sizeof *m);
    pid_t pid = start_child(enroll_and_wait, table, m);
    WAIT_UNTIL(atomic_load(&m->ready));
    fkv_participant_facts facts = facts_of_pid(table, pid);
    CHECK_EQUAL(facts.role, FKV_WORKER);
    CHECK_EQUAL(facts.role_index, 7);
    fkv_load load;
    CHECK(fkv_read_load(table, facts.entry, &load));
    CHECK_EQUAL(load.pid, pid);
    CHECK(!fkv_read_load(table, table->entry, &load));
    atomic_store(&m->go, 1);
    wait_child(pid);
}

static void fork_generations(fkv_table *table, void *context) {
    unsigned *left = context;
    CHECK_OK(put_number(table, *left, "v", 1));
    if (*left > 0) {
        --*left;
        pid_t pid = start_child(fork_generations, table, left);
        CHECK_OK(put_number(table, 100 + *left, "v", 1));
        wait_child(pid);
    }
    fkv_detach(table);
}

TEST(grandchildren_use_the_handle_too) {
    fkv_table *table = new_table(4 * MIB);
    unsigned left = 10;
    wait_child(start_child(fork_generations, table, &left));
    CHECK_EQUAL(fkv_count(table, 0, NULL), 21);
    CHECK_EQUAL(participants(table), 1);
}

/* ---- threads ------------------------------------------------------------------------------------- */

static void *work_in_thread(void *context) {
    fkv_table *table = context;
    int64_t sum;
    fkv_key key = text_key(table, "n");
    for (int i = 0; i < 2000; i++)
        CHECK_OK(fkv_add(table, &key, 1, &sum));
    return NULL;
}

static void run_threads(fkv_table *table, void *context) {
    (void)context;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, work_in_thread, table);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

TEST(threads_share_a_handle_and_a_child_registers_once_for_all_of_its_threads) {
    fkv_table *table = new_table(4 * MIB);
    run_threads(table, NULL);
    wait_child(start_child(run_threads, table, NULL));
    CHECK_TEXT(text_at(table, "n"), "16000");
    CHECK_EQUAL(participants(table), 2);
    CHECK_EQUAL(fkv_repair(table), 1);
}

static void *write_until_told(void *context) {
    void **work = context;
    while (!atomic_load((_Atomic bool *)work[1]))
        CHECK_OK(put(work[0], "thread", "writes"));
    return NULL;
}

TEST(a_process_may_fork_while_its_threads_write) {
    fkv_table *table = new_table(4 * MIB);
    _Atomic bool stop = false;
    void *work[] = {table, &stop};
    pthread_t thread;
    pthread_create(&thread, NULL, write_until_told, work);
    for (int i = 0; i < 50; i++) {
        meeting *m = shared_pages(sizeof *m);
        atomic_store(&m->go, 1);
        wait_child(start_child(use_and_wait, table, m));
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    fkv_repair(table);
    CHECK_EQUAL(participants(table), 1);
}
