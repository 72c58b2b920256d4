/* internal.h -- what the files of shm/ share with each other and with nobody else.
 *
 * Who may call whom: table, scan, sweep -> reclaim, commit -> segment, index -> lock, participant
 * -> layout. A name that ends in _locked wants the partition's lock held by the caller. */
#ifndef FKV_INTERNAL_H
#define FKV_INTERNAL_H

#include <pthread.h>
#include <string.h>
#include <sys/types.h>

#include "layout.h"

#define FKV_READ_TRIES 8
#define FKV_HELD_MAX 1024 /* segments one commit of several keys may fill */

/* Who held a lock. pid 0: nobody knows. */
typedef struct fkv_holder {
    int32_t pid;
    unsigned role, role_index;
} fkv_holder;

/* A segment on its way to be freed, and what becomes of its items. */
typedef struct fkv_emptying {
    uint32_t segment;
    bool evict;            /* what is little used goes; else all that lives is copied */
    enum fkv_queue queue;  /* evict: which one it is the end of; else: where the copies go */
    uint64_t generation, copied_bytes, copy_most;
} fkv_emptying;

typedef struct fkv_fate {
    bool keep, expired, ghost;
    enum fkv_queue queue; /* of what is kept */
    uint8_t access;
} fkv_fate;

struct fkv_table {
    uint8_t *base;
    fkv_header *header;
    fkv_entry *entries;
    fkv_partition *partitions;
    fkv_head *heads;
    fkv_activity *own; /* this participant's page; `nowhere` until registered */

    fkv_geometry geometry; /* as checked when the table was opened */
    uint64_t hash_key[2];
    uint64_t segment_bytes;
    unsigned segment_shift; /* log2 of segment_bytes */
    uint64_t lock_word; /* what this participant writes into fkv_lock.owner */
    uint32_t entry;     /* index of this participant's entry */
    uint32_t tail[FKV_QUEUES]; /* the segments it appends to, or FKV_NO_SEGMENT; they are ours */
    bool opened[FKV_QUEUES];   /* during an operation, and in between anybody's */
    fkv_emptying emptying;     /* the victim of the last step, if it is not empty yet */
    uint32_t sweep_page;       /* where the last sweep stopped, within the partition */
    uint64_t copy_credit;      /* bytes that evictions may copy beyond what they must free */
    uint32_t steps_skipped;
    uint64_t walk_owed;        /* bytes to be walked for what was written: see reclaim.c */
    uint64_t appended_bytes;   /* in this operation */
    bool holds_items;          /* what is open may hold items that are not published yet */
    int fd;             /* a description of its own: it carries the OFD lock */
    dev_t device;       /* with inode: what fd must be open on */
    ino_t inode;
    unsigned lock_timeout_ms, role, role_index;
    _Atomic uint32_t forks;    /* fkv_fork_count when it registered; behind: register anew */
    pthread_mutex_t writers;   /* the turn: threads of one process write one at a time */
    const fkv_wait_hooks *wait_hooks;
    _Atomic unsigned waiting;  /* threads between the hooks */
    uint32_t held[FKV_HELD_MAX + 1]; /* segments to keep until what is in them is published */
    uint32_t held_count;
    bool spin;                 /* more than one CPU */
    sem_t semaphore;           /* what a whole one looks like */
    bool observer;             /* no participant: it has no entry, and takes no lock */
    fkv_holder holder;         /* who held the lock when a wait last ended with FKV_BUSY */
    uint64_t standing[FKV_ENTRIES]; /* by entry: the hold that was waited for in vain, see lock.c */
    struct fkv_table *next;    /* all handles of the process, for the fork handler */
    fkv_activity nowhere;
};

#define FKV_NO_SEGMENT UINT32_MAX

/* ---- bytes that another process may be changing (racy.c) ---------------------------------- */

#if defined(__SANITIZE_THREAD__)
#define FKV_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FKV_THREAD_SANITIZER
#endif
#endif
#ifdef FKV_THREAD_SANITIZER
#define FKV_RACY __attribute__((noinline, no_sanitize("thread")))
#define FKV_RACY_INLINE static FKV_RACY __attribute__((unused))
#else
#define FKV_RACY __attribute__((noinline))
#define FKV_RACY_INLINE static inline
#endif

void fkv_racy_copy(void *to, const void *from, size_t size);
bool fkv_racy_equal(const void *shared, const void *own, size_t size);
FKV_RACY_INLINE uint64_t fkv_racy_word(const void *at) {
    return *(const volatile uint64_t *)at;
}

/* ---- hash.c ------------------------------------------------------------------------------- */

uint64_t fkv_siphash13(const uint64_t key[2], const void *data, size_t size);

/* ---- object.c, participant.c --------------------------------------------------------------- */

extern _Atomic uint32_t fkv_fork_count; /* forks this process is away from its first ancestor */

fkv_status fkv_fail(fkv_fault *fault, fkv_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline uint64_t fkv_lock_word(unsigned entry, uint32_t generation) {
    return (uint64_t)(entry + 1) << 32 | generation;
}
void fkv_watch_forks(fkv_table *table);
void fkv_unwatch_forks(fkv_table *table);
bool fkv_open_own(fkv_table *table, int fd);
void fkv_close_own(fkv_table *table);
fkv_status fkv_register(fkv_table *table, fkv_fault *fault);
void fkv_unregister(fkv_table *table);
static inline unsigned fkv_entry_of(uint64_t lock_word) {
    return (unsigned)((lock_word & ~FKV_LOCK_WAITERS) >> 32) - 1;
}
bool fkv_owner_alive(fkv_table *table, uint64_t lock_word);
bool fkv_entry_alive(fkv_table *table, unsigned entry);
fkv_status fkv_ready_slow(fkv_table *table);

/* First line of every operation: registers after a fork, refuses a retired table. */
static inline fkv_status fkv_ready(fkv_table *table) {
    if (__builtin_expect(atomic_load_explicit(&table->forks, memory_order_acquire) !=
                             atomic_load_explicit(&fkv_fork_count, memory_order_relaxed) ||
                         atomic_load_explicit(&table->header->retired, memory_order_relaxed), 0))
        return fkv_ready_slow(table);
    return FKV_OK;
}

/* Writers of one process take turns; `begin` is fkv_ready plus the turn. */
fkv_status fkv_write_begin(fkv_table *table);
void fkv_write_end(fkv_table *table);

/* ---- wait.c ------------------------------------------------------------------------------- */

void *fkv_wait_begin(fkv_table *table);
void fkv_wait_end(fkv_table *table, void *begun);
void fkv_nap(fkv_table *table, unsigned microseconds);
void fkv_await_turn(fkv_table *table);
static inline void fkv_take_turn(fkv_table *table) {
    if (__builtin_expect(pthread_mutex_trylock(&table->writers) != 0, 0))
        fkv_await_turn(table);
}
static inline void fkv_give_turn(fkv_table *table) {
    pthread_mutex_unlock(&table->writers);
}
fkv_status fkv_pass_partition(fkv_table *table, fkv_partition *partition);
fkv_status fkv_await_all(fkv_table *table);

/* ---- lock.c ------------------------------------------------------------------------------- */

extern _Thread_local unsigned fkv_holding __attribute__((tls_model("initial-exec")));

/* Who calls after a takeover, to mend what the lock guards. Runs with the lock held. */
typedef void (*fkv_mend)(fkv_table *table, fkv_lock *lock, uint64_t dead);

fkv_status fkv_lock_init(fkv_lock *lock);
void fkv_note_semaphore(fkv_table *table);
fkv_status fkv_lock_take(fkv_table *table, fkv_lock *lock, fkv_mend mend);
void fkv_lock_release(fkv_table *table, fkv_lock *lock);
bool fkv_lock_take_over(fkv_table *table, fkv_lock *lock, uint64_t dead, fkv_mend mend);
bool fkv_lock_is_mine(fkv_table *table, fkv_lock *lock);
void fkv_note_standing(fkv_table *table, unsigned entry);
bool fkv_stands_still(const fkv_table *table, unsigned entry);

/* Returns once the lock is nobody's. Called without the turn: while a stopped process holds a lock,
 * only those threads wait that need this partition. */
static inline fkv_status fkv_await_partition(fkv_table *table, fkv_partition *partition) {
    uint64_t owner = atomic_load_explicit(&partition->lock.owner, memory_order_relaxed);
    return __builtin_expect(owner == 0, 1) ? FKV_OK : fkv_pass_partition(table, partition);
}
static inline fkv_status fkv_write_begin_at(fkv_table *table, fkv_partition *partition) {
    fkv_status status = fkv_await_partition(table, partition);
    return status == FKV_OK ? fkv_write_begin(table) : status;
}
fkv_status fkv_partition_lock(fkv_table *table, fkv_partition *partition);
void fkv_partition_unlock(fkv_table *table, fkv_partition *partition);
fkv_status fkv_partition_settle(fkv_table *table, fkv_partition *partition);
fkv_status fkv_list_lock(fkv_table *table);
void fkv_list_unlock(fkv_table *table);

/* ---- index.c ------------------------------------------------------------------------------ */

static inline fkv_partition *fkv_partition_of(const fkv_table *table, uint64_t hash) {
    /* Shares that differ by up to two, spread evenly on a log scale, so that at any size about the
     * same number of partitions is close to doubling: they never double together, and the mean
     * load of the index does not swing with the number of keys. The density 2^x has the inverse
     * log2(1 + x), here by its quadratic x (1.3431 - 0.3431 x). */
    uint64_t x = FKV_HASH_SHARE(hash); /* 22 bits */
    uint64_t y = x * (UINT64_C(5633360) - (x * 1439056 >> 22)) >> 22;
    return &table->partitions[y * table->geometry.partition_count >> 22];
}

static inline uint64_t fkv_slot_match(const fkv_key *key) {
    return (key->hash & 0xffff) << 40 | (uint64_t)key->database << 56;
}

static inline uint64_t fkv_slot_offset(uint64_t slot) {
    return (slot & FKV_SLOT_OFFSET_MASK) << 3;
}

static inline fkv_page *fkv_index_page(const fkv_table *table, const fkv_partition *partition,
                                       uint32_t page) {
    uint64_t range = (uint64_t)(partition - table->partitions) * table->geometry.index_range_bytes;
    return (fkv_page *)(table->base + table->geometry.index_off + range) + page;
}

/* log2 of the pages in use; never more than the range holds, whatever the shape says. */
static inline unsigned fkv_page_bits(const fkv_table *table, uint64_t shape) {
    unsigned bits = FKV_SHAPE_BITS(shape), most = table->geometry.page_bits_max;
    return bits < most ? bits : most;
}

static inline uint32_t fkv_page_count(const fkv_table *table, uint64_t shape) {
    return UINT32_C(1) << fkv_page_bits(table, shape);
}

static inline fkv_page *fkv_home_page(const fkv_table *table, const fkv_partition *partition,
                                      uint64_t shape, uint64_t hash) {
    return fkv_index_page(table, partition,
                          FKV_HASH_PAGE(hash) & (fkv_page_count(table, shape) - 1));
}

/* An item as found: `slot_at` holds `slot`, which names `item` in segment `segment`. */
typedef struct fkv_found {
    fkv_partition *partition;
    _Atomic uint64_t *slot_at;
    const fkv_item *item;
    const char *value;
    uint64_t slot, shape, generation;
    int64_t expires_at_ms;
    uint32_t segment, value_size;
} fkv_found;

/* What the lock-free search says. */
enum fkv_search { FKV_SEARCH_HIT, FKV_SEARCH_MISS, FKV_SEARCH_RETRY };

enum fkv_search fkv_search_racy(const fkv_table *table, const fkv_key *key, fkv_found *found);
enum fkv_search fkv_search_slot(const fkv_table *table, const fkv_key *key, uint64_t offset,
                                _Atomic uint64_t **ret_slot_at);
bool fkv_still_valid(const fkv_table *table, const fkv_found *found);
bool fkv_confirm_hit(const fkv_table *table, const fkv_found *found);
bool fkv_search_locked(const fkv_table *table, const fkv_key *key, fkv_found *found);
_Atomic uint64_t *fkv_place_locked(fkv_table *table, const fkv_key *key, fkv_partition *partition,
                                   fkv_status *ret_status);
void fkv_slot_store_locked(fkv_table *table, fkv_partition *partition, _Atomic uint64_t *slot_at,
                           uint64_t slot, uint64_t hash);
void fkv_unpass_locked(_Atomic uint64_t *slot_at, uint64_t hash);
fkv_status fkv_grow_locked(fkv_table *table, fkv_partition *partition);
bool fkv_wants_growth_locked(const fkv_table *table, const fkv_partition *partition);
void fkv_recount_locked(fkv_table *table, fkv_partition *partition);
fkv_key fkv_key_of(const fkv_table *table, const fkv_item *item);
bool fkv_find_item_locked(const fkv_table *table, const fkv_key *key, const fkv_item *item,
                          fkv_found *found);
uint64_t fkv_moved_slot(const fkv_table *table, uint64_t slot, const fkv_item *to);

/* Buckets and pages lie at multiples of their sizes: a slot's place tells its bucket and page. */
static inline fkv_bucket *fkv_bucket_of(const _Atomic uint64_t *slot_at) {
    return (fkv_bucket *)((uintptr_t)slot_at & ~(uintptr_t)(sizeof(fkv_bucket) - 1));
}
static inline fkv_page *fkv_page_of(const _Atomic uint64_t *slot_at) {
    return (fkv_page *)((uintptr_t)slot_at & ~(uintptr_t)(sizeof(fkv_page) - 1));
}
static inline _Atomic uint8_t *fkv_access_of(const _Atomic uint64_t *slot_at) {
    fkv_bucket *bucket = fkv_bucket_of(slot_at);
    return &bucket->access[slot_at - bucket->slots];
}
static inline _Atomic uint64_t *fkv_slot_at(fkv_page *page, unsigned i) {
    return &page->buckets[i / FKV_BUCKET_SLOTS].slots[i % FKV_BUCKET_SLOTS];
}

static inline const char *fkv_item_key(const fkv_item *item) {
    return (const char *)(item + 1) + (item->flags & FKV_ITEM_EXPIRES ? 8 : 0);
}
static inline const char *fkv_item_value(const fkv_item *item) {
    return fkv_item_key(item) + item->key_size;
}
static inline uint64_t fkv_item_bytes(uint64_t key_size, uint64_t value_size, bool expires) {
    return (sizeof(fkv_item) + (expires ? 8 : 0) + key_size + value_size + 7) & ~UINT64_C(7);
}
static inline uint64_t fkv_item_size(const fkv_item *item) {
    return fkv_item_bytes(item->key_size, item->value_size, item->flags & FKV_ITEM_EXPIRES);
}
static inline int64_t fkv_item_expiry(const fkv_item *item) { /* 0: never */
    int64_t expires_at_ms = 0;
    if (item->flags & FKV_ITEM_EXPIRES)
        memcpy(&expires_at_ms, item + 1, sizeof expires_at_ms);
    return expires_at_ms;
}
static inline bool fkv_expired(int64_t expires_at_ms) {
    return expires_at_ms != 0 && expires_at_ms <= fkv_now_ms();
}

#include "memory.h"

/* ---- read.c, write.c, revise.c -------------------------------------------------------------- */

/* A FKV_SET on its way: what to store under which conditions, and whether the key was there. */
typedef struct fkv_set_request {
    const fkv_key *key;
    const fkv_item *item; /* NULL: the expiry given has passed, so remove */
    unsigned flags;
    fkv_sink *old;
    bool existed;
} fkv_set_request;

fkv_status fkv_check_key(const fkv_key *key);
void fkv_copy_value(const fkv_table *table, const fkv_found *found, void *to, size_t size);
bool fkv_take_value(const fkv_table *table, const fkv_found *found, void *sink);
uint64_t fkv_value_max(const fkv_table *table);
uint64_t fkv_item_slot(const fkv_table *table, const fkv_item *item, const fkv_key *key);

/* Writes head, expiry and key of an item to come, in a private place. The value is the caller's to
 * write; then fkv_append_done. */
fkv_item *fkv_compose(fkv_table *table, const fkv_key *key, uint64_t value_size,
                      int64_t expires_at_ms, enum fkv_room kind, fkv_status *ret_status);
fkv_item *fkv_compose_any(fkv_table *table, const fkv_key *key, uint64_t value_size,
                          int64_t expires_at_ms, fkv_status *ret_status);
fkv_status fkv_publish_locked(fkv_table *table, const fkv_key *key, const fkv_found *found,
                              bool there, const fkv_item *item);
void fkv_remove_locked(fkv_table *table, const fkv_key *key, const fkv_found *found);
fkv_status fkv_set_keeping_ttl(fkv_table *table, fkv_set_request *request, const void *value,
                               size_t value_size);

/* ---- commit.c, clear.c, lock_many.c, repair.c ------------------------------------------------ */

/* One slot of a commit: what it is to hold. */
typedef struct fkv_planned {
    const fkv_key *key;
    const fkv_item *item; /* NULL: the key goes */
    fkv_partition *partition;
    _Atomic uint64_t *slot_at; /* by fkv_place_all_locked */
    bool fresh;                /* the slot was empty, and is claimed */
} fkv_planned;

/* Those of one partition are neighbours in `planned`; `partitions` are what fkv_lock_many locks. */
typedef struct fkv_commit {
    fkv_planned *planned;
    fkv_partition **partitions;
    fkv_intent *intent;
    size_t count, partition_count;
} fkv_commit;

fkv_intent *fkv_compose_intent(fkv_table *table, size_t count, enum fkv_room kind,
                               fkv_status *ret_status);
/* FKV_UNMET: FKV_NX, and one of the keys is there. FKV_MISS: one that should go is not. */
fkv_status fkv_place_all_locked(fkv_table *table, fkv_commit *commit, unsigned flags);
void fkv_commit_all_locked(fkv_table *table, fkv_commit *commit);
void fkv_flag_locked(fkv_table *table, fkv_partition *partition);
void fkv_unflag_locked(fkv_partition *partition);
void fkv_set_intent(fkv_table *table, const fkv_intent *intent);
void fkv_clear_partition_locked(fkv_table *table, fkv_partition *partition, unsigned database);
static inline bool fkv_same_key(const fkv_key *a, const fkv_key *b) {
    return a->hash == b->hash && a->size == b->size && a->database == b->database &&
           memcmp(a->data, b->data, a->size) == 0;
}

void fkv_finish_commit_locked(fkv_table *table, fkv_partition *partition);
fkv_status fkv_lock_many(fkv_table *table, fkv_partition **partitions, size_t *count);
void fkv_unlock_many(fkv_table *table, fkv_partition **partitions, size_t count);
fkv_status fkv_lock_all(fkv_table *table);
void fkv_unlock_all(fkv_table *table);

void fkv_mend_partition(fkv_table *table, fkv_lock *lock, uint64_t dead);
void fkv_mend_list(fkv_table *table, fkv_lock *lock, uint64_t dead);
unsigned fkv_repair_dead(fkv_table *table);
void fkv_add_departed_listed(fkv_table *table, unsigned entry);

#endif
