/* watch.c -- recording the stores of an operation, and putting a copy into the state after each.
 *
 * The operation runs with its mapping write-protected. Each store faults; the handler lets just that
 * one instruction through (trap flag), notes the bytes around it, and protects again. */
#include "watch.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define AROUND 64 /* bytes noted from a store's address on: no instruction stores more */
#define TRAP_FLAG 0x100
#define DIRECTION_FLAG 0x400
#define STORES_MAX 400000

typedef struct store {
    uint64_t offset;
    uint8_t bytes[AROUND];
} store;

struct recording {
    fkv_geometry geometry;
    uint8_t *before, *image; /* the states before the first store, and after `applied` of them */
    bool *present;           /* by page: no hole, in some state */
    store *stores;
    size_t count, applied;
};

/* ---- recording ---------------------------------------------------------------------------------- */

#if WATCH_WORKS
static struct {
    recording *r;
    uint8_t *base;
    uint64_t size;
    uint8_t *address; /* of the store that is being let through */
} watched;

static void protect(int how) {
    if (mprotect(watched.base, watched.size, how) != 0)
        _exit(3);
}

static void note(uint8_t *address) {
    recording *r = watched.r;
    uint64_t offset = (uint64_t)(address - watched.base);
    if (r->count == STORES_MAX)
        _exit(4);
    if (offset > watched.size - AROUND)
        offset = watched.size - AROUND;
    r->stores[r->count].offset = offset;
    memcpy(r->stores[r->count++].bytes, watched.base + offset, AROUND);
}

/* Does what `rep movsb` would do, 64 bytes a store: the trap flag would stop at every byte. */
static bool step_over_string_move(greg_t *regs) {
    const uint8_t *code = (const uint8_t *)regs[REG_RIP];
    uint8_t *to = (uint8_t *)regs[REG_RDI];
    if (code[0] != 0xf3 || code[1] != 0xa4 || (regs[REG_EFL] & DIRECTION_FLAG))
        return false;
    for (size_t left = (size_t)regs[REG_RCX], size; left > 0; left -= size, to += size) {
        size = left < AROUND ? left : AROUND;
        memcpy(to, (const void *)regs[REG_RSI], size);
        regs[REG_RSI] += (greg_t)size;
        note(to);
    }
    regs[REG_RDI] = (greg_t)to;
    regs[REG_RCX] = 0;
    regs[REG_RIP] += 2;
    return true;
}

static void on_fault(int signal_number, siginfo_t *info, void *context) {
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint8_t *address = info->si_addr;
    if (address < watched.base || address >= watched.base + watched.size ||
        watched.address != NULL) { /* not a store that we asked for: a real crash */
        signal(signal_number, SIG_DFL);
        return;
    }
    protect(PROT_READ | PROT_WRITE);
    if (step_over_string_move(regs)) {
        protect(PROT_READ);
        return;
    }
    watched.address = address;
    regs[REG_EFL] |= TRAP_FLAG;
}

static void on_trap(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number, (void)info;
    note(watched.address);
    watched.address = NULL;
    protect(PROT_READ);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}

static void watch(fkv_table *table, recording *r, operation run, void *context) {
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, old_fault;
    struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO}, old_trap;
    watched.r = r;
    watched.base = table->base;
    watched.size = table->geometry.object_bytes;
    sigaction(SIGSEGV, &fault, &old_fault);
    sigaction(SIGTRAP, &trap, &old_trap);
    protect(PROT_READ);
    run(table, context);
    protect(PROT_READ | PROT_WRITE);
    sigaction(SIGSEGV, &old_fault, NULL);
    sigaction(SIGTRAP, &old_trap, NULL);
}
#else
static void watch(fkv_table *table, recording *r, operation run, void *context) {
    (void)r;
    run(table, context);
}
#endif

/* Copies what is not a hole. */
static void copy_object(const fkv_table *table, recording *r) {
    off_t end = (off_t)r->geometry.object_bytes, at = 0;
    while ((at = lseek(table->fd, at, SEEK_DATA)) >= 0 && at < end) {
        off_t hole = lseek(table->fd, at, SEEK_HOLE);
        memcpy(r->before + at, table->base + at, (size_t)(hole - at));
        for (; at < hole; at += FKV_KERNEL_PAGE)
            r->present[at / FKV_KERNEL_PAGE] = true;
    }
    memcpy(r->image, r->before, r->geometry.object_bytes);
}

recording *record(fkv_table *table, operation run, void *context) {
    recording *r = calloc(1, sizeof *r);
    r->geometry = table->geometry;
    r->image = calloc(1, r->geometry.object_bytes);
    r->before = calloc(1, r->geometry.object_bytes);
    r->present = calloc(1, r->geometry.object_bytes / FKV_KERNEL_PAGE);
    r->stores = malloc(STORES_MAX * sizeof *r->stores);
    copy_object(table, r);
    watch(table, r, run, context);
    for (size_t i = 0; i < r->count; i++)
        r->present[r->stores[i].offset / FKV_KERNEL_PAGE] =
            r->present[(r->stores[i].offset + AROUND - 1) / FKV_KERNEL_PAGE] = true;
    return r;
}

void free_recording(recording *r) {
    free(r->image);
    free(r->before);
    free(r->present);
    free(r->stores);
    free(r);
}

size_t store_count(const recording *r) {
    return r->count;
}

bool store_is_data(const recording *r, size_t n) {
    uint64_t offset = r->stores[n - 1].offset;
    return offset >= r->geometry.segments_off && offset < r->geometry.activity_off;
}

/* ---- replaying ------------------------------------------------------------------------------------ */

fkv_table *new_survivor(const fkv_table *table) {
    fkv_table *survivor = malloc(sizeof *survivor);
    struct flock alive = {.l_type = F_WRLCK, .l_start = FKV_LIVENESS_OFF + table->entry, .l_len = 1};
    uint64_t size = table->geometry.object_bytes;
    *survivor = *table;
    survivor->fd = new_object();
    CHECK(ftruncate(survivor->fd, (off_t)size) == 0);
    CHECK(fcntl(survivor->fd, F_OFD_SETLK, &alive) == 0);
    uint8_t *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, survivor->fd, 0);
    CHECK(base != MAP_FAILED);
    survivor->base = base;
    survivor->header = (fkv_header *)base;
    survivor->entries = (fkv_entry *)(base + ((uint8_t *)table->entries - table->base));
    survivor->partitions = (fkv_partition *)(base + ((uint8_t *)table->partitions - table->base));
    survivor->heads = (fkv_head *)(base + ((uint8_t *)table->heads - table->base));
    survivor->own = (fkv_activity *)(base + ((uint8_t *)table->own - table->base));
    pthread_mutex_init(&survivor->writers, NULL);
    return survivor;
}

static void advance(recording *r, size_t n) {
    if (n < r->applied) {
        memcpy(r->image, r->before, r->geometry.object_bytes);
        r->applied = 0;
    }
    for (; r->applied < n; r->applied++)
        memcpy(r->image + r->stores[r->applied].offset, r->stores[r->applied].bytes, AROUND);
}

void replay(fkv_table *survivor, recording *r, size_t n) {
    uint64_t pages = r->geometry.object_bytes / FKV_KERNEL_PAGE;
    advance(r, n);
    CHECK(fallocate(survivor->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                    (off_t)r->geometry.object_bytes) == 0);
    for (uint64_t first = 0, page = 0; page < pages; first = page) {
        while (page < pages && r->present[page])
            page++;
        off_t at = (off_t)(first * FKV_KERNEL_PAGE);
        size_t size = (page - first) * FKV_KERNEL_PAGE;
        CHECK(size == 0 || pwrite(survivor->fd, r->image + at, size, at) == (ssize_t)size);
        page += size == 0;
    }
    survivor->open_segment = survivor->left_segment = FKV_NO_SEGMENT;
    survivor->held_count = 0;
}

void keep_alive(const fkv_table *survivor, const fkv_table *other) {
    char path[32];
    struct flock alive = {.l_type = F_WRLCK, .l_start = FKV_LIVENESS_OFF + other->entry, .l_len = 1};
    snprintf(path, sizeof path, "/proc/self/fd/%d", survivor->fd);
    int fd = open(path, O_RDWR); /* stays open until the test ends */
    CHECK(fd >= 0 && fcntl(fd, F_OFD_SETLK, &alive) == 0);
}

void free_survivor(fkv_table *survivor) {
    munmap(survivor->base, survivor->geometry.object_bytes);
    close(survivor->fd);
    free(survivor);
}
