/* test_wait.c -- a thread that waits gives up its runtime's lock and stops no other thread. */
#include <signal.h>
#include <sys/wait.h>

#include "test.h"

/* A runtime in miniature: who runs has this lock, and it must be free while somebody waits. */
static pthread_mutex_t runtime = PTHREAD_MUTEX_INITIALIZER;
static unsigned begun, ended;

static void *before(void) {
    begun++;
    pthread_mutex_unlock(&runtime);
    return &begun;
}

static void after(void *token) {
    CHECK(token == &begun);
    pthread_mutex_lock(&runtime);
    ended++;
}

static const fkv_wait_hooks hooks = {before, after};

TEST(only_an_operation_that_waits_calls_the_hooks) {
    fkv_table *table = new_table(4 * MIB);
    fkv_set_wait_hooks(table, &hooks);
    pthread_mutex_lock(&runtime);
    pid_t pid = start_stopped(stop_with_partition, table, NULL);
    CHECK_OK(put(table, elsewhere(table), "v"));
    CHECK_TEXT(text_at(table, "k"), "(none)");
    CHECK_EQUAL(begun, 0);
    fkv_set_lock_timeout(table, 20);
    CHECK_STATUS(put(table, "k", "v"), FKV_BUSY);
    CHECK(begun > 0 && begun == ended);
    CHECK_EQUAL(fkv_waiting(table), 0);
    go_on(pid);
    fkv_set_wait_hooks(table, NULL);
}

TEST(whoever_holds_a_lock_keeps_the_runtime_while_it_waits_for_another) {
    fkv_table *table = new_table(4 * MIB);
    fkv_set_wait_hooks(table, &hooks);
    fkv_set_lock_timeout(table, 20);
    pthread_mutex_lock(&runtime);
    pid_t pid = start_stopped(stop_with_partition, table, NULL);
    CHECK_OK(fkv_write_begin(table));
    CHECK_OK(fkv_partition_lock(table, partition_of(table, elsewhere(table))));
    CHECK_STATUS(fkv_partition_lock(table, partition_of(table, "k")), FKV_BUSY);
    fkv_partition_unlock(table, partition_of(table, elsewhere(table)));
    fkv_write_end(table);
    CHECK_EQUAL(begun, 0);
    go_on(pid);
    fkv_set_wait_hooks(table, NULL);
}

static void *put_k(void *context) {
    pthread_mutex_lock(&runtime);
    CHECK_OK(put(context, "k", "by the thread"));
    pthread_mutex_unlock(&runtime);
    return NULL;
}

static void write_elsewhere(fkv_table *table, void *context) {
    (void)context;
    CHECK_EQUAL(fkv_waiting(table), 0);
    CHECK_OK(put(table, elsewhere(table), "by a child"));
}

TEST(while_a_thread_waits_for_a_lock_others_write_elsewhere_and_fork) {
    fkv_table *table = new_table(4 * MIB);
    pthread_t thread;
    fkv_set_wait_hooks(table, &hooks);
    fkv_set_lock_timeout(table, 1000 * DEADLINE_SECONDS);
    pid_t pid = start_stopped(stop_with_partition, table, NULL);
    pthread_create(&thread, NULL, put_k, table);
    WAIT_UNTIL(fkv_waiting(table) == 1);
    pthread_mutex_lock(&runtime);
    CHECK_OK(put(table, elsewhere(table), "by the other thread"));
    fkv_pair pair = {text_key(table, elsewhere(table)), "v", 1};
    CHECK_OK(fkv_set_many(table, &pair, 1, 0, 0));
    wait_child(start_child(write_elsewhere, table, NULL));
    CHECK_TEXT(text_at(table, elsewhere(table)), "by a child");
    pthread_mutex_unlock(&runtime);
    CHECK_EQUAL(fkv_waiting(table), 1);
    go_on(pid);
    pthread_join(thread, NULL);
    CHECK_TEXT(text_at(table, "k"), "by the thread");
    fkv_set_wait_hooks(table, NULL);
}

static void *run_writes(void *context) {
    int64_t sum;
    fkv_key key = text_key(context, "n");
    for (int i = 0; i < 3000; i++) {
        pthread_mutex_lock(&runtime);
        CHECK_OK(fkv_add(context, &key, 1, &sum));
        if (i % 500 == 0) {
            char broken[512];
            CHECK_OK(fkv_check(context, broken, sizeof broken));
        }
        pthread_mutex_unlock(&runtime);
    }
    return NULL;
}

static void run_threads(fkv_table *table, void *context) {
    (void)context;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, run_writes, table);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

TEST(threads_that_wait_for_turns_and_locks_never_wait_for_each_other_s_runtime) {
    fkv_table *table = new_table(4 * MIB);
    fkv_set_wait_hooks(table, &hooks);
    run_children(3, run_threads, table, NULL);
    CHECK_TEXT(text_at(table, "n"), "27000");
    CHECK_EQUAL(fkv_waiting(table), 0);
    fkv_set_wait_hooks(table, NULL);
}
