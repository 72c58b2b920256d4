/* lock.c -- a semaphore that knows its owner, and can be taken over from a dead one.
 *
 * The owner word is the lock; the semaphore beside it is only where waiters sleep. A waiter sets
 * FKV_LOCK_WAITERS before it sleeps and takes the word with the bit set, so a release never forgets
 * a sleeper; a stale bit or post costs one wake-up. No sleep is without a timeout: whoever was
 * killed between giving up the word and the post, the next timeout mends.
 *
 * From a living owner the word is never taken, even if it is stopped: it may go on any moment and
 * write. A waiter gives up on an owner that gave back no lock, this or another, for the whole lock
 * timeout, and does not wait for it again before it has moved.
 *
 * Source: the owner word with a semaphore to park on is nginx's shared-memory mutex; the waiters
 * bit is U. Drepper, "Futexes Are Tricky". The takeover is ours. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "internal.h"

#define SPINS 100
#define SLEEPING_OFF 4 /* in a sem_t: how many sleep */
#define SHARING_OFF 8  /* in a sem_t, behind the value and the number of sleepers */
#define NAP_MIN_NS 1000000   /* first sleep before asking whether the owner lives */
#define NAP_MAX_NS 20000000

_Thread_local unsigned fkv_holding; /* locks that this thread holds */

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

fkv_status fkv_lock_init(fkv_lock *lock) {
    atomic_store_explicit(&lock->owner, 0, memory_order_relaxed);
    return sem_init(&lock->sleepers, 1, 0) == 0 ? FKV_OK : FKV_SYSTEM;
}

static inline bool change(fkv_lock *lock, uint64_t from, uint64_t to) {
    return atomic_compare_exchange_strong_explicit(&lock->owner, &from, to, memory_order_acquire,
                                                   memory_order_relaxed);
}

/* Keeps what a whole semaphore looks like. */
void fkv_note_semaphore(fkv_table *table) {
    sem_init(&table->semaphore, 1, 0);
}

/* The C library ends the process over a semaphore that is not one. What says how it is shared lies
 * behind the words that change, and is the same in all of them. */
static bool is_whole(const fkv_table *table, const fkv_lock *lock) {
    const char *own = (const char *)&table->semaphore, *shared = (const char *)&lock->sleepers;
    return memcmp(own + SHARING_OFF, shared + SHARING_OFF, sizeof(int)) == 0;
}

/* Whether a post makes a system call: the C library makes none when nobody sleeps. Only for the
 * counter, which may be one off when a sleeper comes or goes meanwhile. */
static bool anybody_sleeps(const fkv_lock *lock) {
    uint32_t sleeping;
    memcpy(&sleeping, (const char *)&lock->sleepers + SLEEPING_OFF, sizeof sleeping);
    return sleeping != 0;
}

static inline bool acquire(fkv_table *table, fkv_lock *lock, uint64_t from, uint64_t waiters) {
    bool acquired = change(lock, from, table->lock_word | waiters);
    fkv_holding += acquired;
    return acquired;
}

/* Sleeps until a post or for `nap_ns`. True: somebody posted. */
static bool sleep_on(fkv_table *table, fkv_lock *lock, uint64_t nap_ns) {
    if (!is_whole(table, lock)) {
        fkv_nap(table, (unsigned)(nap_ns / 1000));
        return false;
    }
    if (sem_trywait(&lock->sleepers) == 0)
        return true;
    uint64_t until = now_ns() + nap_ns;
    struct timespec at = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
    fkv_count_up(table->own, FKV_COUNT_futex, 1);
    void *begun = fkv_wait_begin(table);
    bool posted = sem_clockwait(&lock->sleepers, CLOCK_MONOTONIC, &at) == 0;
    fkv_wait_end(table, begun);
    return posted;
}

/* Takes the lock from the dead owner `dead` and mends what it guards, holding it. False: somebody
 * else was faster. Killed in here: the word names us, and the next waiter does the same again. */
bool fkv_lock_take_over(fkv_table *table, fkv_lock *lock, uint64_t dead, fkv_mend mend) {
    if (!acquire(table, lock, dead, FKV_LOCK_WAITERS))
        return false;
    fkv_count_up(table->own, FKV_COUNT_takeovers, 1);
    mend(table, lock, dead & ~FKV_LOCK_WAITERS);
    return true;
}

/* One attempt of a waiter: free, then marked as waited for. True: taken. */
static bool try_or_announce(fkv_table *table, fkv_lock *lock) {
    uint64_t owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);
    if (owner == 0)
        return acquire(table, lock, 0, FKV_LOCK_WAITERS);
    if (!(owner & FKV_LOCK_WAITERS))
        change(lock, owner, owner | FKV_LOCK_WAITERS);
    return false;
}

/* ---- owners that stand still ---------------------------------------------------------------- */

/* What the participant of an entry is at, never 0: another number once it has given back any lock,
 * or once the entry is another's. */
static uint64_t hold_of(const fkv_table *table, unsigned entry) {
    const fkv_entry *e = &table->entries[entry];
    uint64_t identity = atomic_load_explicit(&e->identity, memory_order_acquire);
    return (uint64_t)FKV_IDENTITY_GENERATION(identity) << 32 |
           atomic_load_explicit(&e->releases, memory_order_relaxed);
}

/* That participant was waited for in vain. */
void fkv_note_standing(fkv_table *table, unsigned entry) {
    table->standing[entry] = hold_of(table, entry);
}

/* Whether it has not moved since. To wait for it again would only stop us, too: a worker, and with
 * it all its connections, as often as one of them asks for what the stopped process holds. */
bool fkv_stands_still(const fkv_table *table, unsigned entry) {
    return table->standing[entry] == hold_of(table, entry);
}

static bool owner_stands_still(fkv_table *table, uint64_t owner) {
    unsigned entry = fkv_entry_of(owner);
    return entry < FKV_ENTRIES && fkv_stands_still(table, entry) && fkv_owner_alive(table, owner);
}

static fkv_status give_up(fkv_table *table, uint64_t owner) {
    const fkv_entry *e = &table->entries[fkv_entry_of(owner)];
    uint64_t identity = atomic_load_explicit(&e->identity, memory_order_acquire);
    fkv_note_standing(table, fkv_entry_of(owner));
    table->holder = (fkv_holder){e->pid, FKV_IDENTITY_ROLE(identity), FKV_IDENTITY_INDEX(identity)};
    fkv_count_up(table->own, FKV_COUNT_lock_timeouts, 1);
    return FKV_BUSY;
}

void fkv_busy_text(const fkv_table *table, char *text, size_t text_size) {
    static const char *const roles[] = {"gone", "master", "worker", "keeper", "attached"};
    const fkv_holder *h = &table->holder;
    char index[16] = "";
    if (h->role == FKV_WORKER)
        snprintf(index, sizeof index, " %u", h->role_index);
    if (h->pid == 0)
        snprintf(text, text_size, "%s", fkv_status_text(FKV_BUSY));
    else
        snprintf(text, text_size, "process %d (%s%s) has held a lock for more than %g s and does "
                 "not move; if it is stopped (state T in ps), continue or kill it, then try again",
                 h->pid, roles[h->role % 5], index, table->lock_timeout_ms / 1000.0);
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* Naps are counted, not the time: whoever was stopped itself gives the owner its chance again. */
static fkv_status wait_for(fkv_table *table, fkv_lock *lock, fkv_mend mend) {
    uint64_t nap_ns = NAP_MIN_NS, timeout_ns = table->lock_timeout_ms * UINT64_C(1000000);
    uint64_t hold = 0, waited_ns = 0;
    for (;;) {
        if (try_or_announce(table, lock))
            return FKV_OK;
        uint64_t owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);
        if (!(owner & FKV_LOCK_WAITERS) || sleep_on(table, lock, nap_ns))
            continue;
        owner = atomic_load_explicit(&lock->owner, memory_order_acquire); /* and its identity */
        bool alive = owner != 0 && fkv_owner_alive(table, owner);
        if (owner != 0 && !alive && fkv_lock_take_over(table, lock, owner, mend))
            return FKV_OK;
        uint64_t was = hold;
        hold = alive ? hold_of(table, fkv_entry_of(owner)) : 0;
        waited_ns = alive && hold == was ? waited_ns + nap_ns : 0;
        if (waited_ns > timeout_ns)
            return give_up(table, owner);
        nap_ns = nap_ns * 2 < NAP_MAX_NS ? nap_ns * 2 : NAP_MAX_NS;
    }
}

/* Takes the lock; `mend` runs first if its owner died holding it. FKV_BUSY: a living process holds
 * it, and did not move for the whole lock timeout. */
fkv_status fkv_lock_take(fkv_table *table, fkv_lock *lock, fkv_mend mend) {
    if (__builtin_expect(acquire(table, lock, 0, 0), 1))
        return FKV_OK;
    uint64_t owner = atomic_load_explicit(&lock->owner, memory_order_acquire);
    if (owner != 0 && owner_stands_still(table, owner))
        return give_up(table, owner);
    for (unsigned i = 0; table->spin && i < SPINS; i++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
        if (atomic_load_explicit(&lock->owner, memory_order_relaxed) == 0 &&
            acquire(table, lock, 0, 0))
            return FKV_OK;
    }
    uint64_t started_ns = now_ns();
    fkv_count_up(table->own, FKV_COUNT_lock_waits, 1);
    fkv_status status = wait_for(table, lock, mend);
    fkv_count_up(table->own, FKV_COUNT_lock_wait_ns, now_ns() - started_ns);
    return status;
}

void fkv_lock_release(fkv_table *table, fkv_lock *lock) {
    _Atomic uint32_t *releases = &table->entries[table->entry].releases;
    atomic_store_explicit(releases, atomic_load_explicit(releases, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    uint64_t was = atomic_exchange_explicit(&lock->owner, 0, memory_order_release);
    fkv_holding--;
    if (__builtin_expect(was & FKV_LOCK_WAITERS, 0) && is_whole(table, lock)) {
        fkv_count_up(table->own, FKV_COUNT_futex, anybody_sleeps(lock));
        sem_post(&lock->sleepers);
    }
}

bool fkv_lock_is_mine(fkv_table *table, fkv_lock *lock) {
    uint64_t owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);
    return (owner & ~FKV_LOCK_WAITERS) == table->lock_word;
}

/* The flag of a commit goes before the lock does, or with the takeover. Where it is there all the
 * same, something else has written to the object; readers would ask for this lock for ever. */
fkv_status fkv_partition_lock(fkv_table *table, fkv_partition *partition) {
    fkv_status status = fkv_lock_take(table, &partition->lock, fkv_mend_partition);
    if (status == FKV_OK && __builtin_expect(atomic_load_explicit(&partition->shape,
                                                                  memory_order_relaxed) &
                                             FKV_SHAPE_COMMIT, 0))
        fkv_mend_partition(table, &partition->lock, 0);
    return status;
}

void fkv_partition_unlock(fkv_table *table, fkv_partition *partition) {
    fkv_lock_release(table, &partition->lock);
}

/* Takes the lock and gives it back: what was going on is over, or repaired. */
fkv_status fkv_partition_settle(fkv_table *table, fkv_partition *partition) {
    fkv_status status = fkv_partition_lock(table, partition);
    if (status == FKV_OK)
        fkv_partition_unlock(table, partition);
    return status;
}

fkv_status fkv_list_lock(fkv_table *table) {
    return fkv_lock_take(table, &table->header->list_lock, fkv_mend_list);
}

void fkv_list_unlock(fkv_table *table) {
    fkv_lock_release(table, &table->header->list_lock);
}
