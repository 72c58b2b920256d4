/* support.c -- the helpers that test.h declares. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

/* ---- checking ------------------------------------------------------------------------------ */

static uint64_t seed_used;

void test_failed(const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    va_end(args);
    if (seed_used != 0)
        fprintf(stderr, "\nrepeat with FORKKV_SEED=%llu", (unsigned long long)seed_used);
    fprintf(stderr, "\n");
    fflush(NULL);
    _exit(1);
}

void test_note(const char *format, ...) {
    va_list args;
    va_start(args, format);
    printf(NOTE_MARK);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

void check_status(const char *file, int line, const char *what, fkv_status got, fkv_status wanted) {
    if (got != wanted)
        test_failed(file, line, "%s: \"%s\", wanted \"%s\"", what, fkv_status_text(got),
                    fkv_status_text(wanted));
}

void check_equal(const char *file, int line, const char *what, long long got, long long wanted) {
    if (got != wanted)
        test_failed(file, line, "%s is %lld, wanted %lld", what, got, wanted);
}

void check_text(const char *file, int line, const char *what, const char *got, const char *wanted) {
    if (strcmp(got, wanted) != 0)
        test_failed(file, line, "%s is \"%s\", wanted \"%s\"", what, got, wanted);
}

/* ---- tables -------------------------------------------------------------------------------- */

#define TABLES_MAX 600
static fkv_table *made[TABLES_MAX];
static unsigned made_count;

int new_object(void) {
    char path[64];
    snprintf(path, sizeof path, "/forkkv-test.%d.%ld", getpid(), random());
    int fd = shm_open(path, O_CREAT | O_EXCL | O_RDWR, 0600);
    CHECK(fd >= 0);
    shm_unlink(path);
    return fd;
}

static fkv_table *keep(fkv_table *table) {
    CHECK(made_count < TABLES_MAX);
    return made[made_count++] = table;
}

fkv_table *new_table(uint64_t memory_bytes) {
    fkv_table *table;
    fkv_fault fault;
    fkv_config config = {.memory_bytes = memory_bytes};
    int fd = new_object();
    if (fkv_create(fd, &config, FKV_ATTACHED, 0, &table, &fault) != FKV_OK)
        test_failed(__FILE__, __LINE__, "create: %s", fault.text);
    close(fd);
    return keep(table);
}

fkv_table *attach_again(const fkv_table *table) {
    fkv_table *again;
    fkv_fault fault;
    if (fkv_attach(table->fd, FKV_ATTACHED, 0, &again, &fault) != FKV_OK)
        test_failed(__FILE__, __LINE__, "attach: %s", fault.text);
    return keep(again);
}

/* ThreadSanitizer knows memory by its address: so that it sees two participants meet, they use one
 * mapping. */
fkv_table *attach_aliased(const fkv_table *table) {
    fkv_table *again = attach_again(table);
    uint64_t own = (uint64_t)((uint8_t *)again->own - again->base);
    munmap(again->base, again->geometry.object_bytes);
    again->base = table->base; /* which is detached last, and unmaps it */
    again->header = table->header;
    again->entries = table->entries;
    again->partitions = table->partitions;
    again->heads = table->heads;
    again->own = (fkv_activity *)(table->base + own);
    return again;
}

void check_clean(fkv_table *table) {
    char text[400];
    if (fkv_check(table, text, sizeof text) != FKV_OK)
        test_failed(__FILE__, __LINE__, "fkv_check: %s", text);
}

void finish_tables(void) {
    for (unsigned i = 0; i < made_count; i++)
        if (!atomic_load(&made[i]->header->retired))
            check_clean(made[i]);
    while (made_count > 0) {
        fkv_table *table = made[--made_count];
        fkv_unregister(table);
        for (unsigned i = 0; i < made_count; i++)
            if (made[i]->base == table->base)
                table->base = NULL;
        fkv_detach(table);
    }
}

fkv_facts facts_of(fkv_table *table) {
    fkv_facts facts;
    fkv_read_facts(table, &facts);
    return facts;
}

/* ---- keys and values ------------------------------------------------------------------------- */

void *bytes_room(fkv_sink *sink, size_t size) {
    bytes *b = (bytes *)sink;
    if (size + 1 > b->capacity) {
        free(b->data);
        b->capacity = 2 * size + 1;
        b->data = malloc(b->capacity);
    }
    b->size = size;
    b->data[size] = 0;
    return b->data;
}

name number_name(unsigned number) {
    name name;
    name.size = (uint32_t)snprintf(name.text, sizeof name.text, "key:%08u", number);
    return name;
}

fkv_key number_key(const fkv_table *table, const name *name) {
    return fkv_make_key(table, 0, name->text, name->size);
}

fkv_key text_key(const fkv_table *table, const char *text) {
    return fkv_make_key(table, 0, text, strlen(text));
}

fkv_partition *partition_of(const fkv_table *table, const char *key) {
    fkv_key k = text_key(table, key);
    return fkv_partition_of(table, k.hash);
}

const char *elsewhere(const fkv_table *table) {
    static char text[16];
    for (unsigned i = 0;; i++) {
        snprintf(text, sizeof text, "other%u", i);
        if (partition_of(table, text) != partition_of(table, "k"))
            return text;
    }
}

fkv_status put(fkv_table *table, const char *key, const char *value) {
    fkv_key k = text_key(table, key);
    return fkv_set(table, &k, value, strlen(value), 0, 0, NULL, NULL);
}

fkv_status put_number(fkv_table *table, unsigned number, const void *value, size_t size) {
    name name = number_name(number);
    fkv_key key = number_key(table, &name);
    return fkv_set(table, &key, value, size, 0, 0, NULL, NULL);
}

fkv_status drop_number(fkv_table *table, unsigned number) {
    name name = number_name(number);
    fkv_key key = number_key(table, &name);
    return fkv_delete(table, &key, NULL);
}

const char *text_at(fkv_table *table, const char *key) {
    static bytes value = BYTES;
    fkv_key k = text_key(table, key);
    fkv_status status = fkv_get(table, &k, &value.sink);
    return status == FKV_OK ? value.data : status == FKV_MISS ? "(none)" : fkv_status_text(status);
}

void stamp(void *value, size_t size, unsigned number, uint64_t sequence) {
    uint64_t state = sequence * UINT64_C(0x9e3779b97f4a7c15) + number + 1;
    unsigned char *at = value;
    memcpy(at, &sequence, 8);
    for (size_t i = 8; i < size; i += 8) {
        uint64_t word = random_next(&state);
        memcpy(at + i, &word, size - i < 8 ? size - i : 8);
    }
}

bool stamp_is_whole(const void *value, size_t size, unsigned number, uint64_t *ret_sequence) {
    uint64_t sequence;
    if (size < STAMP_SIZE)
        return false;
    memcpy(&sequence, value, 8);
    uint64_t state = sequence * UINT64_C(0x9e3779b97f4a7c15) + number + 1;
    const unsigned char *at = value;
    for (size_t i = 8; i < size; i += 8) {
        uint64_t word = random_next(&state);
        if (memcmp(at + i, &word, size - i < 8 ? size - i : 8) != 0)
            return false;
    }
    *ret_sequence = sequence;
    return true;
}

fkv_status put_stamped(fkv_table *table, unsigned number, uint64_t sequence, size_t size) {
    static char *room;
    static size_t capacity;
    if (size > capacity)
        room = realloc(room, capacity = size);
    stamp(room, size, number, sequence);
    return put_number(table, number, room, size);
}

fkv_status get_stamped(fkv_table *table, unsigned number, uint64_t *ret_sequence) {
    static bytes value = BYTES;
    name name = number_name(number);
    fkv_key key = number_key(table, &name);
    fkv_status status = fkv_get(table, &key, &value.sink);
    if (status == FKV_OK && !stamp_is_whole(value.data, value.size, number, ret_sequence))
        test_failed(__FILE__, __LINE__, "key %u has a torn value of %zu bytes", number, value.size);
    return status;
}

/* The places that could be taken instead are hidden for a moment. */
void put_stamped_at(fkv_table *table, unsigned number, size_t size, uint32_t first) {
    const fkv_geometry *g = &table->geometry;
    uint32_t end = first + (uint32_t)(size / table->segment_bytes) + 1;
    uint64_t *states = calloc(g->segment_count, sizeof *states);
    for (uint32_t i = 0; i < g->segment_count; i++)
        if (FKV_STATE_KIND(states[i] = fkv_state_of(table, i)) <= FKV_SEGMENT_FREE &&
            (i < first || i >= end))
            atomic_store(&table->heads[i].state, FKV_STATE(FKV_SEGMENT_TAIL, 0, 0));
    CHECK_OK(put_stamped(table, number, 1, size));
    CHECK(FKV_STATE_KIND(fkv_state_of(table, first)) >= FKV_SEGMENT_OPEN);
    for (uint32_t i = 0; i < g->segment_count; i++)
        if (i < first || i >= end)
            atomic_store(&table->heads[i].state, states[i]);
    free(states);
}

/* ---- chance, time, processes ------------------------------------------------------------------ */

uint64_t random_seed(void) {
    const char *text = getenv("FORKKV_SEED");
    if (seed_used == 0)
        seed_used = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)(seconds_now() * 1e6);
    return seed_used;
}

/* splitmix64 (S. Vigna). */
uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void nap_ms(unsigned ms) {
    struct timespec nap = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&nap, NULL);
}

void *shared_pages(size_t size) {
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    return pages;
}

pid_t start_child(child_main run, fkv_table *table, void *context) {
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        run(table, context);
        _exit(0);
    }
    return pid;
}

void wait_child(pid_t pid) {
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        test_failed(__FILE__, __LINE__, "child %d ended with wait status %#x", pid, status);
}

void run_children(unsigned count, child_main run, fkv_table *table, void *context) {
    pid_t pids[64];
    CHECK(count <= 64);
    for (unsigned i = 0; i < count; i++)
        pids[i] = start_child(run, table, context);
    for (unsigned i = 0; i < count; i++)
        wait_child(pids[i]);
}

void kill_child(pid_t pid) {
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, NULL, 0) == pid);
}

bool child_ended(pid_t pid) {
    int status;
    pid_t got = waitpid(pid, &status, WNOHANG);
    if (got == pid && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        test_failed(__FILE__, __LINE__, "child %d ended with wait status %#x", pid, status);
    return got == pid;
}

void wait_stopped(pid_t pid) {
    int status;
    CHECK(waitpid(pid, &status, WUNTRACED) == pid);
    CHECK(WIFSTOPPED(status));
}

void stop_with_partition(fkv_table *table, void *context) {
    (void)context;
    CHECK_OK(fkv_write_begin(table));
    CHECK_OK(fkv_partition_lock(table, partition_of(table, "k")));
    raise(SIGSTOP);
    fkv_partition_unlock(table, partition_of(table, "k"));
    fkv_write_end(table);
}

void stop_with_list(fkv_table *table, void *context) {
    (void)context;
    CHECK_OK(fkv_write_begin(table));
    CHECK_OK(fkv_list_lock(table));
    raise(SIGSTOP);
    fkv_list_unlock(table);
    fkv_write_end(table);
}

pid_t start_stopped(child_main run, fkv_table *table, void *context) {
    pid_t pid = start_child(run, table, context);
    wait_stopped(pid);
    return pid;
}

void go_on(pid_t pid) {
    kill(pid, SIGCONT);
    wait_child(pid);
}
