/* object.c -- making, opening and closing the shared-memory object as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

fkv_status fkv_fail(fkv_fault *fault, fkv_status status, const char *format, ...) {
    if (fault != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(fault->text, sizeof fault->text, format, args);
        va_end(args);
        fault->status = status;
    }
    return status;
}

const char *fkv_status_text(fkv_status status) {
    static const char *const texts[] = {
        [FKV_OK] = "ok",
        [FKV_MISS] = "no such key",
        [FKV_UNMET] = "a condition did not hold",
        [FKV_NOT_INTEGER] = "value is not an integer or out of range",
        [FKV_OVERFLOW] = "increment or decrement would overflow",
        [FKV_KEY_SIZE] = "a key must have 1 to 65535 bytes",
        [FKV_TOO_BIG] = "the value is larger than the table can hold",
        [FKV_FULL] = "the table is full",
        [FKV_NO_SPACE] = "the file system behind /dev/shm is full",
        [FKV_BUSY] = "another process holds a lock and does not move; it may be stopped",
        [FKV_RETIRED] = "the table was unlinked or replaced; attach again",
        [FKV_CROWDED] = "too many processes have the table open",
        [FKV_EXISTS] = "the table exists already",
        [FKV_FOREIGN] = "not a forkkv table of this build",
        [FKV_HALF_MADE] = "the process that made the table died before it was complete",
        [FKV_UNSAFE] = "the object's owner, mode or type is not safe",
        [FKV_INVALID] = "an argument is out of range",
        [FKV_READ_ONLY] = "the table was opened only to look at it",
        [FKV_SYSTEM] = "a system call failed",
        [FKV_CUT_OFF] = "this process was forked, and has no descriptor of the table any more: all "
                        "were in use (raise ulimit -n), or it was closed with all others; attach "
                        "again in the child",
        [FKV_CORRUPT] = "the table is corrupt",
    };
    return (unsigned)status < sizeof texts / sizeof *texts ? texts[status] : "unknown status";
}

const char *fkv_counter_name(unsigned counter) {
    static const char *const names[] = {
#define NAME(name) [FKV_COUNT_##name] = #name,
        FKV_SYSCALL_COUNTERS(NAME) FKV_EVENT_COUNTERS(NAME)
#undef NAME
    };
    return counter < FKV_COUNTERS ? names[counter] : NULL;
}

uint64_t fkv_layout_signature(void) {
    const uint64_t facts[] = {
        FKV_LAYOUT_VERSION, sizeof(void *),       sizeof(sem_t),      _Alignof(sem_t),
        sizeof(fkv_header), sizeof(fkv_activity), sizeof(fkv_entry),  sizeof(fkv_partition),
        sizeof(fkv_head),   FKV_COUNTERS,         FKV_ENTRIES,        __BYTE_ORDER__,
        sizeof(fkv_item),   offsetof(fkv_header, list_lock), sizeof(fkv_ghost_line),
    };
    const uint64_t key[2] = {FKV_MAGIC, 0};
    const char *libc = gnu_get_libc_version(); /* sem_t is its private matter */
    return fkv_siphash13(key, facts, sizeof facts) ^ fkv_siphash13(key, libc, strlen(libc));
}

int64_t fkv_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- geometry ------------------------------------------------------------------------------ */

static uint64_t power_of_two(uint64_t at_least, uint64_t low, uint64_t high) {
    uint64_t n = low;
    while (n < at_least && n < high)
        n *= 2;
    return n;
}

static uint64_t round_up(uint64_t n, uint64_t unit) {
    return (n + unit - 1) / unit * unit;
}

/* One partition per 256 KiB, so that the smallest index (a page each) is 1/64 of the memory; one
 * segment per 1/1024 of it, so that what lies in half-filled ones is little, and places for twice
 * as many as there is memory for, so that runs find neighbours; ghosts for as many keys as fit in
 * items of 128 bytes. */
static fkv_geometry lay_out(uint64_t memory_bytes) {
    fkv_geometry g = {.memory_bytes = memory_bytes};
    g.partition_count = (uint32_t)power_of_two(memory_bytes >> 18, 64, 4096);
    g.segment_bytes = power_of_two(memory_bytes >> 10, 64 << 10, 1 << 20);
    uint32_t segments = (uint32_t)(memory_bytes / g.segment_bytes);
    g.segment_count = FKV_PLACES * segments;
    g.reserve_segments = 2 + segments / 64;
    g.index_range_bytes = power_of_two(memory_bytes / g.partition_count, 64 << 10,
                                       (uint64_t)FKV_KERNEL_PAGE << FKV_PAGE_BITS_MAX);
    g.page_bits_max = (uint32_t)__builtin_ctzll(g.index_range_bytes / FKV_KERNEL_PAGE);
    g.partitions_off = FKV_KERNEL_PAGE + FKV_ENTRIES * sizeof(fkv_entry);
    g.heads_off = g.partitions_off + g.partition_count * sizeof(fkv_partition);
    g.due_off = g.heads_off + g.segment_count * sizeof(fkv_head);
    uint64_t due_bytes = g.partition_count * sizeof(fkv_due) << g.page_bits_max;
    g.index_off = round_up(g.due_off + due_bytes, FKV_KERNEL_PAGE);
    g.segments_off = g.index_off + g.partition_count * g.index_range_bytes;
    g.activity_off = g.segments_off + g.segment_count * g.segment_bytes;
    g.ghosts_off = g.activity_off + FKV_ENTRIES * FKV_ACTIVITY_SIZE;
    g.ghost_bytes = round_up(memory_bytes / 64, FKV_KERNEL_PAGE);
    g.object_bytes = g.ghosts_off + g.ghost_bytes;
    return g;
}

/* ---- handle -------------------------------------------------------------------------------- */

static fkv_table *new_handle(fkv_role role, unsigned role_index) {
    fkv_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    table->own = &table->nowhere;
    table->fd = -1;
    table->role = role;
    table->role_index = role_index;
    fkv_append_forget(table);
    table->lock_timeout_ms = 1000;
    table->spin = sysconf(_SC_NPROCESSORS_ONLN) > 1;
    fkv_note_semaphore(table);
    pthread_mutex_init(&table->writers, NULL);
    fkv_watch_forks(table);
    return table;
}

static fkv_status free_handle(fkv_table *table, fkv_status status) {
    fkv_unwatch_forks(table);
    if (table->base != NULL)
        munmap(table->base, table->geometry.object_bytes);
    fkv_close_own(table);
    pthread_mutex_destroy(&table->writers);
    free(table);
    return status;
}

/* Through the caller's descriptor: a mapping keeps its file description alive, a forked child keeps
 * the mapping, and the description that carries our OFD lock must go when we do. */
static fkv_status map(fkv_table *table, int fd, const fkv_geometry *geometry, fkv_fault *fault) {
    void *base = mmap(NULL, geometry->object_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return fkv_fail(fault, FKV_SYSTEM, "cannot map %llu bytes: %s",
                        (unsigned long long)geometry->object_bytes, strerror(errno));
    table->base = base;
    table->geometry = *geometry;
    table->header = base;
    table->entries = (fkv_entry *)(table->base + FKV_KERNEL_PAGE);
    table->partitions = (fkv_partition *)(table->base + geometry->partitions_off);
    table->heads = (fkv_head *)(table->base + geometry->heads_off);
    table->segment_bytes = geometry->segment_bytes;
    table->segment_shift = (unsigned)__builtin_ctzll(geometry->segment_bytes);
    return FKV_OK;
}

static fkv_status open_own(fkv_table *table, int fd, fkv_fault *fault) {
    if (!fkv_open_own(table, fd))
        return fkv_fail(fault, FKV_SYSTEM, "cannot open /proc/self/fd/%d: %s; is /proc mounted?",
                        fd, strerror(errno));
    return FKV_OK;
}

/* Whether nobody else can write to what is behind `fd`. Root may look at anybody's table; `own`
 * asks for more, for who makes or serves a table in an object trusts whoever owns it. */
static fkv_status check_safe(int fd, bool own, struct stat *ret, fkv_fault *fault) {
    if (fstat(fd, ret) != 0)
        return fkv_fail(fault, FKV_SYSTEM, "fstat: %s", strerror(errno));
    if (!S_ISREG(ret->st_mode))
        return fkv_fail(fault, FKV_UNSAFE, "the object is not a regular shared-memory object; "
                        "remove it from /dev/shm and start again");
    if (ret->st_nlink > 1)
        return fkv_fail(fault, FKV_UNSAFE, "the object has %lu names (hard links), so it may be "
                        "something else's: remove this one with `forkkv unlink`",
                        (unsigned long)ret->st_nlink);
    if (ret->st_uid != geteuid() && (own || geteuid() != 0))
        return fkv_fail(fault, FKV_UNSAFE, "the object belongs to user %u, not to you (%u); run as "
                        "that user, choose another name, or remove it with `forkkv unlink`",
                        ret->st_uid, geteuid());
    if (ret->st_mode & (S_IRWXG | S_IRWXO))
        return fkv_fail(fault, FKV_UNSAFE, "the object's mode %04o lets other users in; it must be "
                        "0600: remove it, or chmod 600 it if you trust what is in it",
                        ret->st_mode & 07777);
    return FKV_OK;
}

/* ---- create -------------------------------------------------------------------------------- */

static fkv_status reserve_first(fkv_table *table, fkv_fault *fault) {
    const fkv_geometry *g = &table->geometry;
    int error = posix_fallocate(table->fd, 0, (off_t)g->index_off);
    for (uint32_t i = 0; error == 0 && i < g->partition_count; i++)
        error = posix_fallocate(table->fd, (off_t)(g->index_off + i * g->index_range_bytes),
                                FKV_KERNEL_PAGE);
    if (error == 0) /* what reclaim copies to when all else is taken */
        error = posix_fallocate(table->fd, (off_t)g->segments_off,
                                (off_t)(g->reserve_segments * g->segment_bytes));
    if (error == 0) /* the pages of the departed, and of the creator: who makes it can use it */
        error = posix_fallocate(table->fd, (off_t)g->activity_off, 2 * FKV_ACTIVITY_SIZE);
    if (error == 0 && table->header->policy != FKV_NOEVICTION)
        error = posix_fallocate(table->fd, (off_t)g->ghosts_off, (off_t)g->ghost_bytes);
    if (error == 0)
        return FKV_OK;
    return fkv_fail(fault, error == ENOSPC ? FKV_NO_SPACE : FKV_SYSTEM,
                    "cannot reserve memory for the table in /dev/shm: %s; free some (df /dev/shm) "
                    "or give the container more (--shm-size)", strerror(error));
}

static fkv_status draw_secrets(fkv_header *h, const fkv_config *config) {
    uint64_t drawn[3];
    if (getrandom(drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn)
        return FKV_SYSTEM;
    bool given = config->hash_key[0] != 0 || config->hash_key[1] != 0;
    memcpy(h->hash_key, given ? config->hash_key : drawn, sizeof h->hash_key);
    h->incarnation = drawn[2];
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file != NULL) {
        if (fgets(h->boot_id, sizeof h->boot_id, file) != NULL)
            h->boot_id[strcspn(h->boot_id, "\n")] = 0;
        fclose(file);
    }
    return FKV_OK;
}

static fkv_status init_regions(fkv_table *table) {
    fkv_header *h = table->header;
    const fkv_geometry *g = &table->geometry;
    fkv_status status = fkv_lock_init(&h->list_lock);
    for (uint32_t i = 0; status == FKV_OK && i < g->partition_count; i++) {
        status = fkv_lock_init(&table->partitions[i].lock);
        table->partitions[i].index_bytes = FKV_KERNEL_PAGE;
    }
    for (uint32_t i = 0; i < g->reserve_segments; i++)
        table->heads[i].state = FKV_STATE(FKV_SEGMENT_FREE, 0, 0);
    h->free_segments = g->reserve_segments;
    h->reserved_bytes = g->index_off + (uint64_t)g->partition_count * FKV_KERNEL_PAGE +
                        g->reserve_segments * g->segment_bytes + 2 * FKV_ACTIVITY_SIZE;
    if (h->policy != FKV_NOEVICTION) {
        h->ghosts_reserved = 1;
        h->reserved_bytes += g->ghost_bytes;
    }
    table->entries[0].page_reserved = table->entries[1].page_reserved = 1;
    return status;
}

/* Formats a zeroed object. Nobody else looks at it before the magic is there. */
static fkv_status format(fkv_table *table, int fd, const fkv_config *config, fkv_fault *fault) {
    fkv_geometry geometry = lay_out(config->memory_bytes);
    if (ftruncate(table->fd, 0) != 0 || ftruncate(table->fd, (off_t)geometry.object_bytes) != 0)
        return fkv_fail(fault, FKV_SYSTEM, "ftruncate to %llu bytes: %s",
                        (unsigned long long)geometry.object_bytes, strerror(errno));
    fkv_status status = map(table, fd, &geometry, fault);
    if (status != FKV_OK)
        return status;
    int error = posix_fallocate(table->fd, 0, FKV_KERNEL_PAGE);
    if (error != 0)
        return fkv_fail(fault, FKV_NO_SPACE, "cannot reserve one page in /dev/shm: %s",
                        strerror(error));
    fkv_header *h = table->header;
    h->geometry = geometry;
    h->signature = fkv_layout_signature();
    h->created_ms = (uint64_t)fkv_now_ms();
    h->policy = config->policy;
    if (draw_secrets(h, config) != FKV_OK)
        return fkv_fail(fault, FKV_SYSTEM, "getrandom: %s", strerror(errno));
    memcpy(table->hash_key, h->hash_key, sizeof table->hash_key);
    status = reserve_first(table, fault);
    return status == FKV_OK ? init_regions(table) : status;
}

static bool has_magic(int fd) {
    uint64_t magic = 0;
    return pread(fd, &magic, sizeof magic, 0) == (ssize_t)sizeof magic && magic == FKV_MAGIC;
}

/* Whether there is nothing to lose behind `fd`: no bytes, or what a creator that died has left. */
static bool is_half_made(int fd) {
    uint64_t words[2] = {0, 0}; /* magic, signature */
    ssize_t size = pread(fd, words, sizeof words, 0);
    return size == 0 || (size == (ssize_t)sizeof words && words[0] == 0 &&
                         (words[1] == 0 || words[1] == fkv_layout_signature()));
}

/* Holds the creation lock of `fd` while it formats: a second creator finds the magic. */
static fkv_status create_locked(fkv_table *table, int fd, const fkv_config *config,
                                fkv_fault *fault) {
    struct flock lock = {.l_type = F_WRLCK, .l_start = FKV_CREATION_OFF, .l_len = 1};
    if (fcntl(table->fd, F_OFD_SETLK, &lock) != 0)
        return fkv_fail(fault, FKV_EXISTS, "another process is making this table right now");
    fkv_status status = FKV_OK;
    if (has_magic(table->fd))
        status = fkv_fail(fault, FKV_EXISTS, "the table exists already");
    else if (!is_half_made(table->fd))
        status = fkv_fail(fault, FKV_FOREIGN, "the object is no table of forkkv's, or a damaged "
                          "one; remove it with `forkkv unlink`, or choose another name");
    else if ((status = format(table, fd, config, fault)) == FKV_OK)
        atomic_store_explicit(&table->header->magic, FKV_MAGIC, memory_order_release);
    else if (ftruncate(table->fd, 0) != 0)
        status = FKV_SYSTEM; /* nothing to add: an empty object is half made too */
    lock.l_type = F_UNLCK;
    fcntl(table->fd, F_OFD_SETLK, &lock);
    return status;
}

fkv_status fkv_create(int fd, const fkv_config *config, fkv_role role, unsigned role_index,
                      fkv_table **ret, fkv_fault *fault) {
    struct stat facts;
    if (config->memory_bytes < FKV_MEMORY_MIN || config->memory_bytes > FKV_MEMORY_MAX)
        return fkv_fail(fault, FKV_INVALID, "a table needs at least %u MiB and at most 2 TiB of "
                        "memory", FKV_MEMORY_MIN >> 20);
    if (fkv_policy_name(config->policy) == NULL)
        return fkv_fail(fault, FKV_INVALID, "there is no policy %u", (unsigned)config->policy);
    fkv_status status = check_safe(fd, true, &facts, fault);
    if (status != FKV_OK)
        return status;
    fkv_table *table = new_handle(role, role_index);
    if (table == NULL)
        return fkv_fail(fault, FKV_SYSTEM, "out of memory");
    status = open_own(table, fd, fault);
    if (status == FKV_OK)
        status = create_locked(table, fd, config, fault);
    if (status == FKV_OK)
        status = fkv_register(table, fault);
    if (status != FKV_OK)
        return free_handle(table, status);
    *ret = table;
    return FKV_OK;
}

/* ---- attach -------------------------------------------------------------------------------- */

/* No magic: somebody is making the table, or died at it. Its creation lock tells which. */
static fkv_status wait_for_magic(fkv_table *table, fkv_fault *fault) {
    struct flock lock = {.l_type = F_WRLCK, .l_start = FKV_CREATION_OFF, .l_len = 1};
    for (int tries = 0, unlocked = 0; tries < 5000 && unlocked < 100; tries++) {
        if (has_magic(table->fd))
            return FKV_OK;
        lock.l_type = F_WRLCK;
        if (fcntl(table->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK)
            unlocked++; /* a creator may be between shm_open and its lock: ask some more */
        fkv_nap(table, 2000);
    }
    return fkv_fail(fault, FKV_HALF_MADE, "the object is not a complete table: its creator died, "
                    "or it is not forkkv's; remove it with `forkkv unlink` and start again");
}

static fkv_status read_geometry(int fd, uint64_t size, fkv_geometry *ret, fkv_fault *fault) {
    fkv_header h;
    if (size < FKV_KERNEL_PAGE || pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h)
        return fkv_fail(fault, FKV_FOREIGN, "the object has %llu bytes, too few for a table; "
                        "remove it with `forkkv unlink`", (unsigned long long)size);
    if (h.signature != fkv_layout_signature())
        return fkv_fail(fault, FKV_FOREIGN, "the table's layout signature is %016llx, this build's "
                        "is %016llx: it was made by another version, libc or word size; use that "
                        "one, or remove the table with `forkkv unlink`",
                        (unsigned long long)h.signature,
                        (unsigned long long)fkv_layout_signature());
    *ret = lay_out(h.geometry.memory_bytes);
    if (memcmp(ret, &h.geometry, sizeof *ret) != 0 || size != ret->object_bytes)
        return fkv_fail(fault, FKV_CORRUPT, "the table's header does not fit its object of %llu "
                        "bytes: it was truncated or overwritten; remove it with `forkkv unlink`",
                        (unsigned long long)size);
    return FKV_OK;
}

static fkv_status open_existing(fkv_table *table, int fd, fkv_fault *fault) {
    struct stat facts;
    fkv_geometry geometry;
    fkv_status status = open_own(table, fd, fault);
    if (status == FKV_OK)
        status = wait_for_magic(table, fault);
    if (status == FKV_OK)
        status = check_safe(fd, table->role == FKV_MASTER, &facts, fault);
    if (status == FKV_OK)
        status = read_geometry(table->fd, (uint64_t)facts.st_size, &geometry, fault);
    if (status == FKV_OK)
        status = map(table, fd, &geometry, fault);
    if (status != FKV_OK)
        return status;
    memcpy(table->hash_key, table->header->hash_key, sizeof table->hash_key);
    if (atomic_load(&table->header->retired))
        return fkv_fail(fault, FKV_RETIRED, "%s", fkv_status_text(FKV_RETIRED));
    return fkv_register(table, fault);
}

static fkv_status open_as(fkv_role role, unsigned role_index, bool observer, int fd,
                          fkv_table **ret, fkv_fault *fault) {
    struct stat facts;
    fkv_status status = check_safe(fd, role == FKV_MASTER, &facts, fault);
    if (status != FKV_OK)
        return status;
    fkv_table *table = new_handle(role, role_index);
    if (table == NULL)
        return fkv_fail(fault, FKV_SYSTEM, "out of memory");
    table->observer = observer;
    status = open_existing(table, fd, fault);
    if (status != FKV_OK)
        return free_handle(table, status);
    *ret = table;
    return FKV_OK;
}

fkv_status fkv_attach(int fd, fkv_role role, unsigned role_index, fkv_table **ret,
                      fkv_fault *fault) {
    fkv_status status = open_as(role, role_index, false, fd, ret, fault);
    if (status == FKV_OK)
        fkv_repair(*ret);
    return status;
}

fkv_status fkv_observe(int fd, fkv_table **ret, fkv_fault *fault) {
    return open_as(FKV_ATTACHED, 0, true, fd, ret, fault);
}

void fkv_detach(fkv_table *table) {
    fkv_unregister(table);
    free_handle(table, FKV_OK);
}

bool fkv_is_truncated(const fkv_table *table) {
    struct stat facts;
    return fstat(table->fd, &facts) == 0 && (uint64_t)facts.st_size < table->geometry.object_bytes;
}

void fkv_retire(fkv_table *table) {
    atomic_store(&table->header->retired, 1);
}

fkv_status fkv_retire_object(int fd) {
    struct stat facts;
    fkv_geometry geometry;
    if (check_safe(fd, false, &facts, NULL) != FKV_OK || !has_magic(fd) ||
        read_geometry(fd, (uint64_t)facts.st_size, &geometry, NULL) != FKV_OK)
        return FKV_FOREIGN;
    fkv_header *h = mmap(NULL, FKV_KERNEL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (h == MAP_FAILED)
        return FKV_SYSTEM;
    atomic_store(&h->retired, 1);
    munmap(h, FKV_KERNEL_PAGE);
    return FKV_OK;
}

void fkv_set_lock_timeout(fkv_table *table, unsigned timeout_ms) {
    table->lock_timeout_ms = timeout_ms;
}
