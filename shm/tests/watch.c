/* watch.c -- recording the steps of an operation, and putting a copy into the state after each.
 *
 * The operation runs with its mapping write-protected. Each store faults; the handler lets just that
 * one instruction through (trap flag), notes the bytes around it, and protects again. The system calls
 * that change the object are wrapped by the linker (see the Makefile) and noted as well. */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

#define AROUND 64 /* bytes noted from a store's address on: no instruction stores more */
#define TRAP_FLAG 0x100
#define DIRECTION_FLAG 0x400
#define STEPS_MAX 400000

enum step_kind { STORE, RESERVE, GIVE_BACK, RESIZE };

typedef struct step {
    enum step_kind kind;
    uint64_t offset, size; /* RESIZE: the object's new size */
    uint8_t bytes[AROUND]; /* STORE */
} step;

/* The object as bytes, and which of its pages have memory. */
typedef struct image {
    uint64_t size;
    uint8_t *bytes;
    bool *present;
} image;

struct recording {
    uint64_t object_bytes, segments_off, activity_off;
    image before, now; /* `now` is the state after `applied` steps */
    step *steps;
    size_t count, applied;
};

/* ---- noting ------------------------------------------------------------------------------------- */

static struct {
    recording *r;     /* NULL: nothing is being recorded */
    uint8_t *base;    /* of the mapping, or NULL until it is made */
    uint8_t *address; /* of the store that is being let through */
} watched;

static step *next_step(enum step_kind kind, uint64_t offset, uint64_t size) {
    recording *r = watched.r;
    if (r->count == STEPS_MAX)
        _exit(4);
    r->steps[r->count] = (step){.kind = kind, .offset = offset, .size = size};
    return &r->steps[r->count++];
}

static void protect(int how) {
    if (WATCH_WORKS && watched.base != NULL &&
        mprotect(watched.base, watched.r->object_bytes, how) != 0)
        _exit(3);
}

/* ---- stores --------------------------------------------------------------------------------------- */

#if WATCH_WORKS
static void note_store(const uint8_t *address) {
    uint64_t offset = (uint64_t)(address - watched.base);
    if (offset > watched.r->object_bytes - AROUND)
        offset = watched.r->object_bytes - AROUND;
    memcpy(next_step(STORE, offset, AROUND)->bytes, watched.base + offset, AROUND);
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
        note_store(to);
    }
    regs[REG_RDI] = (greg_t)to;
    regs[REG_RCX] = 0;
    regs[REG_RIP] += 2;
    return true;
}

static void on_fault(int signal_number, siginfo_t *info, void *context) {
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint8_t *address = info->si_addr;
    if (watched.base == NULL || address < watched.base ||
        address >= watched.base + watched.r->object_bytes || watched.address != NULL) {
        signal(signal_number, SIG_DFL); /* not a store that we asked for: a real crash */
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
    note_store(watched.address);
    watched.address = NULL;
    protect(PROT_READ);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}
#endif

/* ---- system calls ----------------------------------------------------------------------------------- */

int __real_fallocate(int fd, int mode, off_t offset, off_t size);
int __real_posix_fallocate(int fd, off_t offset, off_t size);
int __real_ftruncate(int fd, off_t size);
void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t size);
int __wrap_posix_fallocate(int fd, off_t offset, off_t size);
int __wrap_ftruncate(int fd, off_t size);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t size);
int __wrap_munmap(void *address, size_t size);

int __wrap_fallocate(int fd, int mode, off_t offset, off_t size) {
    int result = __real_fallocate(fd, mode, offset, size);
    if (watched.r != NULL && result == 0)
        next_step(mode & FALLOC_FL_PUNCH_HOLE ? GIVE_BACK : RESERVE, (uint64_t)offset, (uint64_t)size);
    return result;
}

int __wrap_posix_fallocate(int fd, off_t offset, off_t size) {
    int result = __real_posix_fallocate(fd, offset, size);
    if (watched.r != NULL && result == 0)
        next_step(RESERVE, (uint64_t)offset, (uint64_t)size);
    return result;
}

int __wrap_ftruncate(int fd, off_t size) {
    int result = __real_ftruncate(fd, size);
    if (watched.r != NULL && result == 0)
        next_step(RESIZE, 0, (uint64_t)size);
    return result;
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
    uint8_t *base = __real_mmap(address, size, protection, flags, fd, offset);
    if (watched.r != NULL && watched.base == NULL && fd >= 0 && base != MAP_FAILED &&
        size == watched.r->object_bytes) {
        watched.base = base;
        protect(PROT_READ);
    }
    return base;
}

int __wrap_munmap(void *address, size_t size) {
    if (address == watched.base)
        watched.base = NULL;
    return __real_munmap(address, size);
}

/* ---- recording ---------------------------------------------------------------------------------- */

static void watch(recording *r, fkv_table *table, operation run, void *context) {
    watched.r = r;
    watched.base = table != NULL ? table->base : NULL;
#if WATCH_WORKS
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, old_fault;
    struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO}, old_trap;
    sigaction(SIGSEGV, &fault, &old_fault);
    sigaction(SIGTRAP, &trap, &old_trap);
#endif
    protect(PROT_READ);
    run(table, context);
    protect(PROT_READ | PROT_WRITE);
#if WATCH_WORKS
    sigaction(SIGSEGV, &old_fault, NULL);
    sigaction(SIGTRAP, &old_trap, NULL);
#endif
    watched.r = NULL;
}

static void set_present(image *i, uint64_t offset, uint64_t size, bool present) {
    for (uint64_t page = offset / FKV_KERNEL_PAGE; page * FKV_KERNEL_PAGE < offset + size; page++)
        i->present[page] = present;
}

/* What a table at rest says is reserved, whether it was written to or not. */
static void mark_reserved(const fkv_table *table, image *i) {
    const fkv_geometry *g = &table->geometry;
    set_present(i, 0, g->index_off, true);
    for (uint32_t p = 0; p < g->partition_count; p++)
        set_present(i, g->index_off + p * g->index_range_bytes,
                    atomic_load(&table->partitions[p].index_bytes), true);
    for (uint32_t s = 0; s < g->segment_count; s++)
        if (FKV_STATE_KIND(fkv_state_of(table, s)) != FKV_SEGMENT_ABSENT)
            set_present(i, fkv_segment_offset(table, s), table->segment_bytes, true);
    for (uint32_t e = 0; e < FKV_ENTRIES; e++)
        if (atomic_load(&table->entries[e].page_reserved))
            set_present(i, g->activity_off + e * FKV_ACTIVITY_SIZE, FKV_ACTIVITY_SIZE, true);
    if (atomic_load(&table->header->ghosts_reserved))
        set_present(i, g->ghosts_off, g->ghost_bytes, true);
}

static image new_image(uint64_t object_bytes) {
    return (image){.bytes = calloc(1, object_bytes),
                   .present = calloc(object_bytes / FKV_KERNEL_PAGE, sizeof(bool))};
}

static void copy_image(const recording *r, image *to, const image *from) {
    to->size = from->size;
    memcpy(to->bytes, from->bytes, r->object_bytes);
    memcpy(to->present, from->present, r->object_bytes / FKV_KERNEL_PAGE * sizeof(bool));
}

static recording *new_recording(int fd, const fkv_table *like) {
    recording *r = calloc(1, sizeof *r);
    struct stat facts;
    CHECK(fstat(fd, &facts) == 0);
    r->object_bytes = like->geometry.object_bytes;
    r->segments_off = like->geometry.segments_off;
    r->activity_off = like->geometry.activity_off;
    r->before = new_image(r->object_bytes);
    r->now = new_image(r->object_bytes);
    r->steps = malloc(STEPS_MAX * sizeof *r->steps);
    r->before.size = (uint64_t)facts.st_size;
    return r;
}

static void read_object(image *i, int fd) {
    off_t end = (off_t)i->size, at = 0;
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < end) {
        off_t hole = lseek(fd, at, SEEK_HOLE);
        CHECK(pread(fd, i->bytes + at, (size_t)(hole - at), at) == hole - at);
        at = hole;
    }
}

recording *record(fkv_table *table, operation run, void *context) {
    recording *r = new_recording(table->fd, table);
    read_object(&r->before, table->fd);
    mark_reserved(table, &r->before);
    copy_image(r, &r->now, &r->before);
    watch(r, table, run, context);
    return r;
}

recording *record_opening(int fd, const fkv_table *like, operation run, void *context) {
    recording *r = new_recording(fd, like);
    read_object(&r->before, fd);
    if (r->before.size > 0) /* it is the table of `like` */
        mark_reserved(like, &r->before);
    copy_image(r, &r->now, &r->before);
    watch(r, NULL, run, context);
    return r;
}

static void free_image(image *i) {
    free(i->bytes);
    free(i->present);
}

void free_recording(recording *r) {
    free_image(&r->before);
    free_image(&r->now);
    free(r->steps);
    free(r);
}

size_t step_count(const recording *r) {
    return r->count;
}

bool step_is_data(const recording *r, size_t n) {
    const step *s = &r->steps[n - 1];
    return s->kind == STORE && s->offset >= r->segments_off && s->offset < r->activity_off;
}

bool step_is_call(const recording *r, size_t n) {
    return r->steps[n - 1].kind != STORE;
}

/* ---- replaying ------------------------------------------------------------------------------------ */

static void store(image *i, const step *s) {
    for (uint64_t at = 0; at < s->size; at++)
        if (i->bytes[s->offset + at] != s->bytes[at])
            CHECK(i->present[(s->offset + at) / FKV_KERNEL_PAGE]); /* reserved before the first touch */
    memcpy(i->bytes + s->offset, s->bytes, s->size);
}

static void apply(recording *r, const step *s) {
    image *i = &r->now;
    switch (s->kind) {
    case STORE:
        store(i, s);
        break;
    case RESERVE:
        set_present(i, s->offset, s->size, true);
        break;
    case GIVE_BACK:
        set_present(i, s->offset, s->size, false);
        memset(i->bytes + s->offset, 0, s->size);
        break;
    case RESIZE:
        CHECK(s->size == 0 || i->size == 0);
        i->size = s->size;
        set_present(i, 0, r->object_bytes, false);
        memset(i->bytes, 0, r->object_bytes);
    }
}

static void advance(recording *r, size_t n) {
    if (n < r->applied) {
        copy_image(r, &r->now, &r->before);
        r->applied = 0;
    }
    while (r->applied < n)
        apply(r, &r->steps[r->applied++]);
}

void put_state(recording *r, size_t n, int fd) {
    uint64_t pages = r->object_bytes / FKV_KERNEL_PAGE;
    advance(r, n);
    CHECK(ftruncate(fd, (off_t)r->now.size) == 0);
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)r->object_bytes) == 0);
    for (uint64_t first = 0, page = 0; page < pages; first = page) {
        while (page < pages && r->now.present[page])
            page++;
        off_t at = (off_t)(first * FKV_KERNEL_PAGE);
        size_t size = (page - first) * FKV_KERNEL_PAGE;
        CHECK(size == 0 || pwrite(fd, r->now.bytes + at, size, at) == (ssize_t)size);
        page += size == 0;
    }
}

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

void replay(fkv_table *survivor, recording *r, size_t n) {
    put_state(r, n, survivor->fd);
    fkv_append_forget(survivor);
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
