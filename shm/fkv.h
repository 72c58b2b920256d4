/* fkv.h -- the public face of the shared table, and its manual.
 *
 * A table is one POSIX shared-memory object that any number of processes map. Each process that has
 * it open is a *participant*. Keys and values are bytes; every operation below is atomic.
 *
 * Caveats, before the first prototype:
 *   - A handle may be used after fork(): the child becomes a participant of its own at its next
 *     call. It is an FKV_ATTACHED one, whatever the parent was, until it calls fkv_enroll().
 *   - A handle has a descriptor (close-on-exec), and the lock on it says that this process lives.
 *     Whoever closes descriptors that are not his must do so before he opens a table.
 *   - A handle may be shared by threads. Writers of one process take turns; readers do not wait.
 *   - A value is never changed in place. A process killed at any instruction leaves the old value
 *     or the new one, and whoever next needs what it held repairs it.
 *   - A lock is taken from a dead holder only. While a *stopped* process holds one, readers go on
 *     and writers to that partition get FKV_BUSY after the lock timeout. Whoever has waited for
 *     such a holder in vain does not wait again before it moves, but gets FKV_BUSY at once.
 *   - Expiry is wall-clock time (CLOCK_REALTIME, milliseconds); waiting uses CLOCK_MONOTONIC.
 *   - The object never uses more than its memory limit, and every byte of it is reserved
 *     (fallocate) before it is touched: a full /dev/shm is FKV_NO_SPACE, never SIGBUS.
 *
 * All functions return an fkv_status unless said otherwise. FKV_OK is 0. */
#ifndef FKV_H
#define FKV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FKV_DATABASES 16
#define FKV_ALL_DATABASES FKV_DATABASES
#define FKV_KEY_MAX 65535
#define FKV_PARTICIPANTS 512 /* entries; entry 0 is never a process's */
#define FKV_COMMANDS 96 /* rows of per-command counters a participant has */

typedef enum fkv_status {
    FKV_OK = 0,
    FKV_MISS,        /* no such key */
    FKV_UNMET,       /* a condition (NX, XX, GT, LT) did not hold; nothing changed */
    FKV_NOT_INTEGER, /* the value is not a 64-bit decimal integer */
    FKV_OVERFLOW,    /* the sum does not fit 64 bits */
    FKV_KEY_SIZE,    /* key empty or above FKV_KEY_MAX */
    FKV_TOO_BIG,     /* value above fkv_facts.value_max; nothing changed */
    FKV_FULL,        /* the memory limit is reached; nothing changed */
    FKV_NO_SPACE,    /* the file system behind /dev/shm is full; nothing changed */
    FKV_BUSY,        /* a living process holds the lock and did not move for the lock timeout */
    FKV_RETIRED,     /* the table was unlinked or replaced */
    FKV_CROWDED,     /* every participant entry is taken by a living process */
    FKV_EXISTS,      /* fkv_create: the object already holds a table */
    FKV_FOREIGN,     /* another layout, word size, libc, or not a forkkv table */
    FKV_HALF_MADE,   /* its creator died before it was complete */
    FKV_UNSAFE,      /* wrong owner, mode, or file type */
    FKV_INVALID,     /* an argument out of range */
    FKV_READ_ONLY,   /* the handle was opened by fkv_observe */
    FKV_SYSTEM,      /* a system call failed; errno tells */
    FKV_CUT_OFF,     /* a forked child has no descriptor of the table: none was free, or closed */
    FKV_CORRUPT      /* a bound was violated; run fkv_check */
} fkv_status;

/* Why an open failed, as a sentence that names the values and the next step. */
typedef struct fkv_fault {
    fkv_status status;
    char text[400];
} fkv_fault;

typedef enum fkv_role { FKV_MASTER = 1, FKV_WORKER, FKV_KEEPER, FKV_ATTACHED } fkv_role;

typedef struct fkv_table fkv_table; /* a handle: private to the process */

/* ---- counters: one array per participant, written by that process only -------------------- */

/* First the system calls forkkv makes (named as perf names them), then everything else. */
#define FKV_SYSCALL_COUNTERS(X) \
    X(read) X(write) X(accept4) X(close) X(connect) X(epoll_wait) X(epoll_ctl) X(futex) \
    X(setsockopt) X(fcntl) X(fallocate) X(fsync) X(fdatasync)
#define FKV_EVENT_COUNTERS(X) \
    X(connections) X(accepted) X(accept_empty) X(read_empty) X(write_partial) X(rejected) \
    X(commands) X(errors) X(protocol_errors) X(bytes_in) X(bytes_out) \
    X(query_limit_closed) X(reply_limit_closed) \
    X(hits) X(misses) X(sets) X(deletes) X(expired) X(evicted) X(ghost_hits) \
    X(read_retries) X(read_locked) \
    X(lock_waits) X(lock_wait_ns) X(lock_timeouts) X(takeovers) X(repairs) \
    X(segments_taken) X(segments_freed) X(bytes_copied) X(bytes_freed) X(growths) X(refused) \
    X(ticks) X(tick_ns)

enum fkv_counter {
#define FKV_COUNTER_ID(name) FKV_COUNT_##name,
    FKV_SYSCALL_COUNTERS(FKV_COUNTER_ID) FKV_SYSCALL_COUNTER_END,
    FKV_COUNT_before_events = FKV_SYSCALL_COUNTER_END - 1,
    FKV_EVENT_COUNTERS(FKV_COUNTER_ID)
#undef FKV_COUNTER_ID
    FKV_COUNTERS
};

typedef struct fkv_command_count {
    uint64_t calls, ns, failed;
} fkv_command_count;

/* What one process writes about itself. `counts` is indexed by enum fkv_counter, `commands` by
 * whatever table of commands the process runs (the server's hot table). */
typedef struct fkv_activity {
    uint64_t counts[64];
    fkv_command_count commands[FKV_COMMANDS];
    uint64_t heartbeat_ns; /* CLOCK_MONOTONIC of the last tick */
    char state[32];        /* a word or two for people: "serving", "draining" */
} fkv_activity;

/* ---- opening ------------------------------------------------------------------------------ */

/* What a write does when the memory limit is reached. */
typedef enum fkv_policy {
    FKV_NOEVICTION, /* FKV_FULL, and nothing changes */
    FKV_S3FIFO      /* keys that are little used go: the table is a cache */
} fkv_policy;

typedef struct fkv_config {
    uint64_t memory_bytes; /* the limit for everything in the object; FKV_MEMORY_MIN at least */
    uint64_t hash_key[2];  /* 0,0: drawn from getrandom */
    fkv_policy policy;
} fkv_config;
#define FKV_MEMORY_MIN (4u << 20)
#define FKV_MEMORY_MAX (UINT64_C(1) << 41) /* what a slot's offset reaches, index and all */

/* Formats the empty object behind `fd` (shm_open, O_RDWR, size 0) as a table and opens it. The
 * magic is stored last: a creator killed here leaves an object that attach calls half made, and
 * that fkv_create takes over. `fd` stays the caller's. */
fkv_status fkv_create(int fd, const fkv_config *config, fkv_role role, unsigned role_index,
                      fkv_table **ret, fkv_fault *fault);

/* Opens the table behind `fd`; registers this process as a participant with an OFD lock on a
 * descriptor of its own. Dead participants met on the way are repaired and freed. */
fkv_status fkv_attach(int fd, fkv_role role, unsigned role_index, fkv_table **ret,
                      fkv_fault *fault);

/* Opens the table only to look at it: facts, participants, what the departed counted, and reads
 * that no writer interferes with. Takes no entry and no lock, so it works when all entries are
 * taken and whatever a stopped process holds. FKV_READ_ONLY: all else. */
fkv_status fkv_observe(int fd, fkv_table **ret, fkv_fault *fault);

/* Gives this process's participant another role: a forked worker calls it first. */
fkv_status fkv_enroll(fkv_table *table, fkv_role role, unsigned role_index);

/* Gives the participant entry back, unmaps, frees the handle. */
void fkv_detach(fkv_table *table);

/* Marks the table retired: every other participant gets FKV_RETIRED at its next use. The caller
 * unlinks the object after this. */
void fkv_retire(fkv_table *table);

/* The same without becoming a participant, which needs room. FKV_FOREIGN: not a whole table. */
fkv_status fkv_retire_object(int fd);

/* Whether somebody has shortened the object since it was opened: whoever touches what is gone is
 * ended by SIGBUS. One system call, and no touch. */
bool fkv_is_truncated(const fkv_table *table);

void fkv_set_lock_timeout(fkv_table *table, unsigned timeout_ms); /* default 1000 */

/* Changes the policy for all who have the table open. Access counts start with FKV_S3FIFO. Returns
 * FKV_OK, FKV_INVALID, or what keeps this process from the list of segments. */
fkv_status fkv_set_policy(fkv_table *table, fkv_policy policy);
fkv_policy fkv_read_policy(const fkv_table *table);
const char *fkv_policy_name(unsigned policy); /* NULL past the end */

const char *fkv_status_text(fkv_status status);

/* After FKV_BUSY: a sentence that names the process that held the lock, and the next step. */
void fkv_busy_text(const fkv_table *table, char *text, size_t text_size);

/* ---- waiting ------------------------------------------------------------------------------ */

/* For a runtime whose threads own a lock of its own while they run, as Python's own the GIL: an
 * operation that must wait calls `before`, sleeps, and gives to `after` what `before` returned (not
 * NULL). No sink or visitor is called between the two, and no lock of the table is held at either.
 * Where nothing is waited for, nothing is called. Set right after the table is opened; `hooks` must
 * outlive the table. */
typedef struct fkv_wait_hooks {
    void *(*before)(void);
    void (*after)(void *begun);
} fkv_wait_hooks;
void fkv_set_wait_hooks(fkv_table *table, const fkv_wait_hooks *hooks);

/* Threads of this process that are between the two. For who owns the runtime's lock: if it is 0, no
 * other thread is inside an operation on this handle. */
unsigned fkv_waiting(const fkv_table *table);

/* ---- keys --------------------------------------------------------------------------------- */

/* A key made ready: hashed once, so that a batch can prefetch before it reads. */
typedef struct fkv_key {
    const void *data;
    uint32_t size;
    uint32_t database;
    uint64_t hash;
} fkv_key;

/* Hashes (SipHash-1-3 under the table's secret). `data` must outlive the key. Sizes are checked by
 * the operations, not here. */
fkv_key fkv_make_key(const fkv_table *table, unsigned database, const void *data, size_t size);

void fkv_prefetch_slot(const fkv_table *table, const fkv_key *key); /* brings the bucket in */
void fkv_prefetch_item(const fkv_table *table, const fkv_key *key); /* then the item; a hint */

/* Where a value goes. `room` returns a place for `size` bytes, or NULL to refuse (the operation
 * then returns FKV_SYSTEM). It may be called again for the same value when a read is retried;
 * only what the last call returned counts. It must not call back into the table. */
typedef struct fkv_sink {
    void *(*room)(struct fkv_sink *self, size_t size);
} fkv_sink;

/* ---- operations --------------------------------------------------------------------------- */

/* Copies the value into `sink`. FKV_OK or FKV_MISS (an expired key is a miss). No lock, no system
 * call, no write to shared lines unless a writer interferes eight times in a row. */
fkv_status fkv_get(fkv_table *table, const fkv_key *key, fkv_sink *sink);

/* Size in bytes of the value; FKV_MISS leaves 0. */
fkv_status fkv_size(fkv_table *table, const fkv_key *key, uint64_t *ret_size);

/* The time that decides what has expired, in milliseconds since the epoch: a key whose expiry is
 * this or less is gone. */
int64_t fkv_now_ms(void);

/* Expiry as milliseconds since the epoch, 0 when it has none. */
fkv_status fkv_expiry(fkv_table *table, const fkv_key *key, int64_t *ret_at_ms);

/* What the key takes of the memory limit: its item with head and padding, or its whole run of
 * segments, and its slot's share of the index at the present load. Bytes; FKV_MISS leaves 0. */
fkv_status fkv_usage(fkv_table *table, const fkv_key *key, uint64_t *ret_bytes);

/* How often the key was used lately, as eviction counts it: 0 to FKV_ACCESS_MAX. Counted only while
 * the policy evicts. FKV_MISS leaves 0. */
#define FKV_ACCESS_MAX 3
fkv_status fkv_frequency(fkv_table *table, const fkv_key *key, unsigned *ret_count);

enum fkv_set_flags {
    FKV_NX = 1,       /* only if absent */
    FKV_XX = 2,       /* only if present */
    FKV_KEEP_TTL = 4, /* keep the expiry of the value replaced; `expires_at_ms` is ignored */
    FKV_GT = 8,       /* fkv_expire only: later than now set; no expiry counts as infinite */
    FKV_LT = 16       /* fkv_expire only: earlier than now set */
};

/* Stores the value. `expires_at_ms` 0: never; in the past: the key is deleted, and that is a
 * success. `old`, if not NULL, receives the value replaced; *ret_existed (may be NULL) says whether
 * there was one, also when FKV_UNMET. */
fkv_status fkv_set(fkv_table *table, const fkv_key *key, const void *value, size_t value_size,
                   unsigned flags, int64_t expires_at_ms, fkv_sink *old, bool *ret_existed);

/* Removes the key; `old` (may be NULL) receives its value. FKV_OK or FKV_MISS. */
fkv_status fkv_delete(fkv_table *table, const fkv_key *key, fkv_sink *old);

/* Adds to a decimal integer (absent counts as 0), keeping the expiry. */
fkv_status fkv_add(fkv_table *table, const fkv_key *key, int64_t delta, int64_t *ret_sum);

/* Appends (absent counts as empty), keeping the expiry. */
fkv_status fkv_append(fkv_table *table, const fkv_key *key, const void *value, size_t value_size,
                      uint64_t *ret_size);

/* Sets the expiry; `at_ms` 0 removes it (persist; FKV_UNMET when there was none). In the past: the
 * key is deleted. Flags NX (has none), XX (has one), GT, LT. `value`, if not NULL, receives the
 * value, so that GETEX is one step. */
fkv_status fkv_expire(fkv_table *table, const fkv_key *key, int64_t at_ms, unsigned flags,
                      fkv_sink *value);

/* Reads many keys as of one moment. `sinks[i]` receives key i; `ret_found[i]` tells. */
fkv_status fkv_get_many(fkv_table *table, const fkv_key *keys, size_t count, fkv_sink **sinks,
                        bool *ret_found);

typedef struct fkv_pair {
    fkv_key key;
    const void *value;
    size_t value_size;
} fkv_pair;

/* Stores all or none, also under kill -9. The last of equal keys wins. FKV_NX: only if none of the
 * keys exists, else FKV_UNMET. Old expiries are dropped, `expires_at_ms` applies to all. */
fkv_status fkv_set_many(fkv_table *table, const fkv_pair *pairs, size_t count, unsigned flags,
                        int64_t expires_at_ms);

/* Gives value and expiry of `from` to `to`, whose own are dropped; `from` is gone. One step, also
 * under kill -9; the keys may be of two databases. FKV_MISS: there is no `from`. FKV_NX: only if
 * there is no `to`, else FKV_UNMET. To itself: nothing changes. */
fkv_status fkv_rename(fkv_table *table, const fkv_key *from, const fkv_key *to, unsigned flags);

/* The same, and `from` stays. */
fkv_status fkv_copy(fkv_table *table, const fkv_key *from, const fkv_key *to, unsigned flags);

/* Keys of a database (FKV_ALL_DATABASES: of all), and how many of them have an expiry. What has
 * expired does not count, whether it is removed yet or not. */
uint64_t fkv_count(fkv_table *table, unsigned database, uint64_t *ret_expiring);

/* The keys alone, in pieces that take about a millisecond at most: *at starts at 0 and is 0 again
 * at the end; the sum of what is returned is the count. */
uint64_t fkv_count_some(fkv_table *table, unsigned database, uint32_t *at);

/* Visits the keys of one database in pieces. *cursor starts at 0 and is 0 again at the end; every
 * key present during the whole iteration is visited at least once. Visits about `count` keys.
 * `visit` returns false to stop early (the cursor then points behind that bucket). */
typedef bool (*fkv_visit)(void *context, const void *key, size_t key_size);
fkv_status fkv_scan(fkv_table *table, unsigned database, uint64_t *cursor, size_t count,
                    fkv_visit visit, void *context);

/* Removes every key of a database, or of all, as one step. */
fkv_status fkv_clear(fkv_table *table, unsigned database);

/* ---- upkeep: any participant may call these; the keeper does --------------------------------- */

/* Removes what has expired from the next pages of the index that are due, `pages` at most (a page
 * has 448 slots), in an endless round. Returns how many keys it removed; *ret_more (or NULL): it
 * stopped before it had been round, so there may be more. Holds a lock for one page at a time. */
uint64_t fkv_sweep(fkv_table *table, unsigned pages, bool *ret_more);

/* Frees at most one segment if fewer than the low-water mark are free. Returns whether it did. */
bool fkv_reclaim_ahead(fkv_table *table);

/* One small piece of giving memory back to the kernel: empties a segment that is mostly garbage, or
 * punches holes where free segments are. Nothing is evicted for it. Returns whether there was
 * anything to do. For when little is written: the next writes have to reserve memory again. */
bool fkv_shrink(fkv_table *table);

/* Asks the keeper to do that soon, all of it, whatever is written. */
void fkv_purge(fkv_table *table);
bool fkv_purge_wanted(const fkv_table *table);

/* Looks for dead participants, takes over what they held, repairs, frees their entries. Returns
 * how many it freed. Also called by itself wherever a wait times out. */
unsigned fkv_repair(fkv_table *table);

/* Walks the whole object under all locks. FKV_OK, or FKV_CORRUPT with the first broken invariant
 * in `text`. */
fkv_status fkv_check(fkv_table *table, char *text, size_t text_size);

/* ---- facts -------------------------------------------------------------------------------- */

typedef struct fkv_facts {
    uint64_t memory_limit_bytes, memory_used_bytes; /* used: reserved from the kernel, all told */
    uint64_t live_bytes;                            /* items that the index reaches */
    uint64_t dead_bytes;                            /* garbage awaiting reclaim */
    uint64_t free_bytes;                            /* free segments and what is not yet reserved */
    uint64_t reserve_bytes; /* of free_bytes: kept for reclaim to copy to */
    uint64_t index_bytes, fixed_bytes, ghost_bytes;
    uint64_t segments_taken; /* since the table was made: stands still while little is written */
    uint64_t keys, expiring, value_max, repairs, created_ms, incarnation, object_bytes;
    uint32_t segments, segments_free, segments_open, segments_closed, segments_runs;
    uint32_t segment_bytes, partitions, participants, participants_max;
    fkv_policy policy;
    bool retired;
} fkv_facts;
void fkv_read_facts(fkv_table *table, fkv_facts *ret);

typedef struct fkv_participant_facts {
    uint32_t entry, role_index;
    fkv_role role;
    int32_t pid; /* in the PID namespace of that process */
    bool alive, own; /* own: it is the one that `table` is */
    uint64_t start_ticks; /* field 22 of /proc/PID/stat, against pid reuse */
    uint64_t generation;
} fkv_participant_facts;

/* Copies what entry `entry` (0 .. participants_max-1) says of itself. False: the entry is free. */
bool fkv_read_participant(fkv_table *table, unsigned entry, fkv_participant_facts *ret,
                          fkv_activity *ret_activity);

/* What accepting fairly needs to know of a worker; no system call. False: entry `entry` is no
 * worker's. */
typedef struct fkv_load {
    uint32_t role_index;
    int32_t pid;
    uint64_t connections, heartbeat_ns;
    char state[32];
} fkv_load;
bool fkv_read_load(const fkv_table *table, unsigned entry, fkv_load *ret);

/* The sum of what departed participants had counted: with the living ones' it makes totals. */
void fkv_read_departed(const fkv_table *table, fkv_activity *ret);

/* This process's own activity, to write into. Valid until detach, fork or enroll. */
fkv_activity *fkv_own_activity(fkv_table *table);

static inline void fkv_count_up(fkv_activity *activity, enum fkv_counter counter, uint64_t n) {
    uint64_t *cell = &activity->counts[counter];
    __atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

const char *fkv_counter_name(unsigned counter); /* NULL past the end; syscalls come first */

#endif
