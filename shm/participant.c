/* participant.c -- who has the table open, who of them lives, and what fork() does to a handle.
 *
 * Each process takes an entry and holds the OFD lock on that entry's byte through a descriptor of
 * its own. The kernel drops the lock at the process's death, whatever killed it and whatever PID
 * namespace it is in; so "is it alive" is a question to the kernel, asked only on slow paths.
 *
 * A forked child shares its parent's descriptor, and would keep the dead parent's lock alive. The
 * fork handler therefore swaps it for a description of the child's own at once, and the child
 * registers anew at its next use of the table. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define PAGE_TRIES 64 /* near the limit reclaim gives back a sixteenth of a segment at a time */

_Atomic uint32_t fkv_fork_count;

static pthread_mutex_t handles_lock = PTHREAD_MUTEX_INITIALIZER;
static fkv_table *handles;
static pthread_once_t handlers_installed = PTHREAD_ONCE_INIT;

/* ---- fork --------------------------------------------------------------------------------- */

static void before_fork(void) {
    pthread_mutex_lock(&handles_lock);
}

static void after_fork_in_parent(void) {
    pthread_mutex_unlock(&handles_lock);
}

/* A description of the same object that shares no lock with `fd`. Async-signal-safe: it also runs
 * in the fork handler. Through /proc it works for unlinked objects too. */
static int reopen(int fd) {
    char path[32] = "/proc/self/fd/", digits[12];
    int n = 0, at = 14;
    do
        digits[n++] = (char)('0' + fd % 10);
    while ((fd /= 10) != 0);
    while (n > 0)
        path[at++] = digits[--n];
    return open(path, O_RDWR | O_CLOEXEC);
}

/* Gives a handle a description of its own of the object behind `fd`: OFD locks belong to it. Not
 * while another thread forks, whose child would keep it open unseen. */
bool fkv_open_own(fkv_table *table, int fd) {
    struct stat facts = {0};
    pthread_mutex_lock(&handles_lock);
    table->fd = reopen(fd);
    if (table->fd >= 0 && fstat(table->fd, &facts) == 0) {
        table->device = facts.st_dev;
        table->inode = facts.st_ino;
    }
    pthread_mutex_unlock(&handles_lock);
    return table->fd >= 0;
}

/* Daemons close every descriptor they find, and the number may be another file's by now. */
static bool has_own(const fkv_table *table) {
    struct stat facts;
    return table->fd >= 0 && fstat(table->fd, &facts) == 0 && facts.st_dev == table->device &&
           facts.st_ino == table->inode;
}

void fkv_close_own(fkv_table *table) {
    if (has_own(table))
        close(table->fd);
}

static void after_fork_in_child(void) {
    for (fkv_table *table = handles; table != NULL; table = table->next) {
        int own = has_own(table) ? reopen(table->fd) : -1;
        fkv_close_own(table);
        table->fd = own;
        table->own = &table->nowhere; /* the page, and the segments, stay the parent's */
        fkv_append_forget(table);
        table->lock_word = 0;
        pthread_mutex_init(&table->writers, NULL); /* a thread that is not here may hold it */
        atomic_store(&table->waiting, 0);
    }
    fkv_holding = 0;
    pthread_mutex_init(&handles_lock, NULL);
    atomic_fetch_add(&fkv_fork_count, 1);
}

static void install_handlers(void) {
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* Puts a handle under the care of the fork handler. */
void fkv_watch_forks(fkv_table *table) {
    pthread_once(&handlers_installed, install_handlers);
    pthread_mutex_lock(&handles_lock);
    table->next = handles;
    handles = table;
    pthread_mutex_unlock(&handles_lock);
}

void fkv_unwatch_forks(fkv_table *table) {
    pthread_mutex_lock(&handles_lock);
    for (fkv_table **at = &handles; *at != NULL; at = &(*at)->next)
        if (*at == table) {
            *at = table->next;
            break;
        }
    pthread_mutex_unlock(&handles_lock);
}

/* ---- liveness ----------------------------------------------------------------------------- */

static struct flock byte_lock(off_t at, short type) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
}

static bool try_byte(fkv_table *table, off_t at, short type) {
    struct flock lock = byte_lock(at, type);
    fkv_count_up(table->own, FKV_COUNT_fcntl, 1);
    return fcntl(table->fd, F_OFD_SETLK, &lock) == 0;
}

/* Whether the process of this entry lives. In doubt (the kernel would not say): yes. */
bool fkv_entry_alive(fkv_table *table, unsigned entry) {
    if (entry == table->entry && table->lock_word != 0)
        return true;
    struct flock lock = byte_lock(FKV_LIVENESS_OFF + entry, F_WRLCK);
    fkv_count_up(table->own, FKV_COUNT_fcntl, 1);
    return fcntl(table->fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

/* Whether the participant that wrote this lock word lives. An entry that was given to another
 * process since has a later generation, so the writer is dead. */
bool fkv_owner_alive(fkv_table *table, uint64_t word) {
    unsigned entry = fkv_entry_of(word);
    if (entry >= FKV_ENTRIES)
        return false; /* no participant writes such a word */
    uint64_t identity = atomic_load_explicit(&table->entries[entry].identity, memory_order_acquire);
    return FKV_IDENTITY_ROLE(identity) != 0 &&
           FKV_IDENTITY_GENERATION(identity) == (uint32_t)word && fkv_entry_alive(table, entry);
}

/* ---- taking and giving back an entry ------------------------------------------------------- */

static uint64_t process_start_ticks(void) {
    char text[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[size] = 0;
    char *at = strrchr(text, ')'); /* the command name may hold anything, also blanks */
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

static bool lock_creation(fkv_table *table) {
    for (int tries = 0; tries < 10000; tries++) {
        if (try_byte(table, FKV_CREATION_OFF, F_WRLCK))
            return true;
        fkv_nap(table, 1000);
    }
    return false;
}

static void unlock_creation(fkv_table *table) {
    try_byte(table, FKV_CREATION_OFF, F_UNLCK);
}

static bool is_free(const fkv_table *table, unsigned entry, uint64_t *ret_identity) {
    *ret_identity = atomic_load_explicit(&table->entries[entry].identity, memory_order_acquire);
    return FKV_IDENTITY_ROLE(*ret_identity) == 0;
}

/* Makes entry `entry` ours if it is free. Its byte is the lock that it is taken under, so that a
 * used entry always has its byte held; who had the byte before us may have used the entry, too. */
static bool take_entry(fkv_table *table, unsigned entry) {
    fkv_entry *e = &table->entries[entry];
    uint64_t identity;
    if (!is_free(table, entry, &identity) || !try_byte(table, FKV_LIVENESS_OFF + entry, F_WRLCK))
        return false;
    if (!is_free(table, entry, &identity)) {
        try_byte(table, FKV_LIVENESS_OFF + entry, F_UNLCK);
        return false;
    }
    uint32_t generation = FKV_IDENTITY_GENERATION(identity) + 1;
    e->pid = getpid();
    e->start_ticks = process_start_ticks();
    atomic_store_explicit(&e->intent, 0, memory_order_relaxed);
    table->entry = entry;
    table->lock_word = fkv_lock_word(entry, generation);
    fkv_append_forget(table);
    atomic_store_explicit(&e->identity, FKV_IDENTITY(generation, table->role, table->role_index),
                          memory_order_release);
    atomic_thread_fence(memory_order_release); /* before any lock's word names it: who finds an
                                                * older identity would take us for dead */
    return true;
}

static void free_entry(fkv_table *table) {
    fkv_entry *e = &table->entries[table->entry];
    uint64_t identity = atomic_load_explicit(&e->identity, memory_order_relaxed);
    table->own = &table->nowhere;
    table->lock_word = 0;
    atomic_store_explicit(&e->identity, FKV_IDENTITY(FKV_IDENTITY_GENERATION(identity), 0, 0),
                          memory_order_release);
    try_byte(table, FKV_LIVENESS_OFF + table->entry, F_UNLCK);
}

static bool take_free_entry(fkv_table *table) {
    for (unsigned entry = 1; entry < FKV_ENTRIES; entry++)
        if (take_entry(table, entry))
            return true;
    return false;
}

/* Entry 0 is nobody's for long: whoever finds no free entry takes it, under the creation lock, to
 * repair the dead, which needs an owner word, and then has theirs to choose from. */
static void free_dead_entries(fkv_table *table) {
    uint64_t left;
    if (!is_free(table, 0, &left)) /* its holder died: we hold the creation lock */
        atomic_store_explicit(&table->entries[0].identity,
                              FKV_IDENTITY(FKV_IDENTITY_GENERATION(left), 0, 0),
                              memory_order_release);
    if (take_entry(table, 0)) {
        fkv_repair_dead(table);
        free_entry(table);
    }
}

static fkv_status reserve_activity_once(fkv_table *table, uint64_t at) {
    fkv_entry *e = &table->entries[table->entry];
    if (atomic_load_explicit(&e->page_reserved, memory_order_relaxed))
        return FKV_OK; /* by an earlier user of the entry */
    fkv_status status = fkv_list_lock(table);
    if (status != FKV_OK)
        return status;
    status = fkv_reserve_listed(table, at, FKV_ACTIVITY_SIZE);
    if (status == FKV_OK)
        atomic_store_explicit(&e->page_reserved, 1, memory_order_release);
    fkv_list_unlock(table);
    return status;
}

/* A full table can still be opened, if only to see what is in it: some garbage makes way. */
static fkv_status reserve_activity(fkv_table *table) {
    uint64_t at = table->geometry.activity_off + (uint64_t)table->entry * FKV_ACTIVITY_SIZE;
    fkv_status status = reserve_activity_once(table, at);
    for (int tries = 0; status == FKV_FULL && tries < PAGE_TRIES; tries++) {
        if (fkv_reclaim_one(table) != FKV_OK)
            fkv_nap(table, 200); /* others are at it, or have what it would be copied to */
        fkv_append_close(table);
        status = reserve_activity_once(table, at);
    }
    fkv_append_settle(table);
    if (status == FKV_OK) {
        table->own = (fkv_activity *)(table->base + at);
        memset(table->own, 0, sizeof *table->own);
    }
    return status;
}

/* A free entry, or one of the dead. */
static fkv_status take_any_entry(fkv_table *table, fkv_fault *fault) {
    if (take_free_entry(table))
        return FKV_OK;
    if (!lock_creation(table))
        return fkv_fail(fault, FKV_BUSY, "another process holds the table's creation lock for 10 "
                        "seconds; it may be stopped (look for state T in ps)");
    free_dead_entries(table);
    unlock_creation(table);
    if (take_free_entry(table))
        return FKV_OK;
    return fkv_fail(fault, FKV_CROWDED, "all %d participant entries are taken by living "
                    "processes; close a few attached ones", FKV_ENTRIES - 1);
}

static fkv_status become_participant(fkv_table *table, fkv_fault *fault) {
    char text[200];
    fkv_status status = take_any_entry(table, fault);
    if (status != FKV_OK)
        return status;
    status = reserve_activity(table);
    if (status == FKV_OK)
        return FKV_OK;
    fkv_busy_text(table, text, sizeof text);
    fkv_append_close(table);
    free_entry(table);
    return fkv_fail(fault, status, "no room for this process's page of counters: %s",
                    status == FKV_BUSY ? text : fkv_status_text(status));
}

/* Makes this process a participant, unless the handle is an observer's. */
fkv_status fkv_register(fkv_table *table, fkv_fault *fault) {
    uint32_t forks = atomic_load(&fkv_fork_count);
    if (!has_own(table))
        return fkv_fail(fault, FKV_CUT_OFF, "%s", fkv_status_text(FKV_CUT_OFF));
    fkv_status status = table->observer ? FKV_OK : become_participant(table, fault);
    if (status == FKV_OK)
        atomic_store_explicit(&table->forks, forks, memory_order_release);
    return status;
}

/* Gives the entry back. What is half filled goes to whoever needs a segment next. */
void fkv_unregister(fkv_table *table) {
    bool registered = table->lock_word != 0 &&
                      atomic_load(&table->forks) == atomic_load(&fkv_fork_count) && has_own(table);
    if (!registered || fkv_is_truncated(table))
        return;
    if (fkv_list_lock(table) == FKV_OK) {
        fkv_add_departed_listed(table, table->entry);
        fkv_list_unlock(table);
    }
    fkv_append_close(table);
    free_entry(table);
}

fkv_status fkv_enroll(fkv_table *table, fkv_role role, unsigned role_index) {
    if (role < FKV_MASTER || role > FKV_ATTACHED || role_index > 0xffffff)
        return FKV_INVALID;
    if (table->observer)
        return FKV_READ_ONLY;
    fkv_take_turn(table);
    table->role = role;
    table->role_index = role_index;
    fkv_status status = FKV_OK;
    if (atomic_load(&table->forks) != atomic_load(&fkv_fork_count)) {
        status = fkv_register(table, NULL);
    } else {
        fkv_entry *e = &table->entries[table->entry];
        uint32_t generation = FKV_IDENTITY_GENERATION(atomic_load(&e->identity));
        atomic_store_explicit(&e->identity, FKV_IDENTITY(generation, role, role_index),
                              memory_order_release);
    }
    fkv_give_turn(table);
    return status;
}

/* ---- the start of every operation ---------------------------------------------------------- */

static fkv_status ready_locked(fkv_table *table) {
    if (atomic_load(&table->forks) != atomic_load(&fkv_fork_count)) {
        table->role = FKV_ATTACHED;
        table->role_index = 0;
        fkv_status status = fkv_register(table, NULL);
        if (status != FKV_OK)
            return status;
    }
    return atomic_load(&table->header->retired) ? FKV_RETIRED : FKV_OK;
}

fkv_status fkv_ready_slow(fkv_table *table) {
    fkv_take_turn(table);
    fkv_status status = ready_locked(table);
    fkv_give_turn(table);
    return status;
}

fkv_status fkv_write_begin(fkv_table *table) {
    fkv_take_turn(table);
    fkv_status status = table->observer ? FKV_READ_ONLY : ready_locked(table);
    if (status != FKV_OK)
        fkv_give_turn(table);
    return status;
}

void fkv_write_end(fkv_table *table) {
    fkv_give_turn(table);
}
