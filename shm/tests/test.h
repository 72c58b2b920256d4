/* test.h -- what every C test of the table uses: naming a test, checking, tables, keys, children.
 *
 * A test is a function whose name states the behaviour. The runner gives each one a process of its
 * own and a deadline, and walks every table that it made with fkv_check when it returns. */
#ifndef FKV_TEST_H
#define FKV_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "fkv.h"
#include "internal.h"

#define MIB (UINT64_C(1) << 20)
#define KIB (UINT64_C(1) << 10)
#define DEADLINE_SECONDS 60

/* ---- naming ------------------------------------------------------------------------------- */

typedef struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
} test;
void add_test(test *entry);

#define TEST(name)                                                                                 \
    static void name(void);                                                                        \
    static test entry_of_##name = {#name, name, NULL};                                             \
    __attribute__((constructor)) static void register_##name(void) {                               \
        add_test(&entry_of_##name);                                                                \
    }                                                                                              \
    static void name(void)

/* ---- checking ------------------------------------------------------------------------------ */

/* Prints and ends the process with status 1, in a test and in its children alike. */
_Noreturn void test_failed(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Says what a test has looked at; the runner shows it, also when the test went well. */
void test_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define NOTE_MARK "note: "

#define CHECK(condition)                                                                           \
    ((condition) ? (void)0 : test_failed(__FILE__, __LINE__, "not true: %s", #condition))
#define CHECK_STATUS(expression, wanted)                                                           \
    check_status(__FILE__, __LINE__, #expression, (expression), (wanted))
#define CHECK_OK(expression) CHECK_STATUS(expression, FKV_OK)
#define CHECK_EQUAL(value, wanted)                                                                 \
    check_equal(__FILE__, __LINE__, #value, (long long)(value), (long long)(wanted))
#define CHECK_TEXT(value, wanted) check_text(__FILE__, __LINE__, #value, (value), (wanted))

void check_status(const char *file, int line, const char *what, fkv_status got, fkv_status wanted);
void check_equal(const char *file, int line, const char *what, long long got, long long wanted);
void check_text(const char *file, int line, const char *what, const char *got, const char *wanted);

/* ---- tables -------------------------------------------------------------------------------- */

int new_object(void);                      /* empty, mode 0600, unlinked already */
fkv_table *new_table(uint64_t memory_bytes); /* checked and detached when the test ends */
fkv_table *attach_again(const fkv_table *table); /* a second participant in this process */
fkv_table *attach_aliased(const fkv_table *table); /* the same, and through the same addresses */
void check_clean(fkv_table *table);
void finish_tables(void);
fkv_facts facts_of(fkv_table *table);

/* ---- keys and values ------------------------------------------------------------------------- */

/* A sink that keeps what it was given, with a 0 behind it. */
typedef struct bytes {
    fkv_sink sink;
    char *data;
    size_t size, capacity;
} bytes;
#define BYTES {{bytes_room}, NULL, 0, 0}
void *bytes_room(fkv_sink *sink, size_t size);

typedef struct name {
    char text[24];
    uint32_t size;
} name;
name number_name(unsigned number); /* "key:00000042" */
fkv_key number_key(const fkv_table *table, const name *name);
fkv_key text_key(const fkv_table *table, const char *text);
fkv_partition *partition_of(const fkv_table *table, const char *key);
const char *elsewhere(const fkv_table *table); /* a key of another partition than "k"'s */
fkv_status put(fkv_table *table, const char *key, const char *value);
fkv_status put_number(fkv_table *table, unsigned number, const void *value, size_t size);
fkv_status drop_number(fkv_table *table, unsigned number);
const char *text_at(fkv_table *table, const char *key); /* "(none)" for a miss; until the next call */

/* A value that tells whether it is whole, and what it is: of key `number`, the `sequence`-th. At
 * least STAMP_SIZE bytes. */
#define STAMP_SIZE 16
void stamp(void *value, size_t size, unsigned number, uint64_t sequence);
bool stamp_is_whole(const void *value, size_t size, unsigned number, uint64_t *ret_sequence);
fkv_status put_stamped(fkv_table *table, unsigned number, uint64_t sequence, size_t size);
/* FKV_OK with the sequence, FKV_MISS; anything torn fails the test. */
fkv_status get_stamped(fkv_table *table, unsigned number, uint64_t *ret_sequence);
/* The same, in the segment `first`, which nobody has, or from there on; `size` fills more than what is
 * left of any other. */
void put_stamped_at(fkv_table *table, unsigned number, size_t size, uint32_t first);

/* ---- chance, time, processes ------------------------------------------------------------------ */

uint64_t random_seed(void); /* from FORKKV_SEED or the clock; printed if the test fails */
uint64_t random_next(uint64_t *state);
static inline unsigned random_below(uint64_t *state, unsigned n) {
    return (unsigned)(random_next(state) >> 33) % n;
}
double seconds_now(void);
/* The wall clock (clock.c): so many seconds ahead; or not 0: it stands there, but moves on by so
 * much each time somebody looks. */
extern _Atomic long clock_step_s;
extern _Atomic int64_t clock_stand_ms, clock_creep_ms;
void nap_ms(unsigned ms);

void *shared_pages(size_t size); /* zeroed memory that forked children share */

typedef void (*child_main)(fkv_table *table, void *context);
pid_t start_child(child_main run, fkv_table *table, void *context);
void wait_child(pid_t pid);                      /* it must end well */
void run_children(unsigned count, child_main run, fkv_table *table, void *context);
void kill_child(pid_t pid);                      /* SIGKILL, and reaps it */
bool child_ended(pid_t pid);                     /* without waiting; reaps a good end */
void wait_stopped(pid_t pid);

/* Children that stop themselves with a lock in their hands, and give it back when they go on. */
void stop_with_partition(fkv_table *table, void *context); /* that of key "k" */
void stop_with_list(fkv_table *table, void *context);
pid_t start_stopped(child_main run, fkv_table *table, void *context);
void go_on(pid_t pid); /* and it must end well */

/* Runs `body` until `condition` or a deadline that fails the test. */
#define WAIT_UNTIL(condition)                                                                      \
    for (double wait_began = seconds_now(); !(condition); nap_ms(1))                               \
    CHECK(seconds_now() - wait_began < 20)

#endif
