/* layout.h -- every byte that processes share. If it is not here, it is private.
 *
 *   0        identities partitions  heads    due      index           segments   activity  ghosts
 *   +--------+----------+-----------+--------+--------+---------------+----------+--------+-------+
 *   | header | entry 0. | partition | head 0 | page 0 | range / part. | data 0.. | page 0 | lines |
 *   +--------+----------+-----------+--------+--------+---------------+----------+--------+-------+
 *    reserved when the table is made ---------------> grows in place  on demand  on attach s3fifo
 *
 * The index ranges, the segments, the activity pages and the ghosts are holes until they are
 * reserved with fallocate; `fkv_header.reserved_bytes` counts what is, and never exceeds the limit.
 *
 * No pointers: a position is a byte offset from the start of the object, 0 means none. Each word
 * below says who writes it, and what another process sees if the writer dies there. */
#ifndef FKV_LAYOUT_H
#define FKV_LAYOUT_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>

#include "fkv.h"

#define FKV_MAGIC UINT64_C(0x31766b6b726f66) /* "forkkv1" */
#define FKV_LAYOUT_VERSION 4u
#define FKV_ENTRIES FKV_PARTICIPANTS
#define FKV_CACHE_LINE 64
#define FKV_PLACES 2           /* for segments, per segment that the memory limit lets exist */
#define FKV_KERNEL_PAGE 4096   /* the unit of reservation */
#define FKV_ACTIVITY_SIZE 4096 /* room for one fkv_activity */

/* ---- locks -------------------------------------------------------------------------------- */

/* A lock that knows its owner. `owner` is taken by CAS from 0; sleepers wait on the semaphore.
 * Killed while holding: the word still names the dead, and a waiter takes it over (lock.c). */
typedef struct fkv_lock {
    _Alignas(FKV_CACHE_LINE) _Atomic uint64_t owner; /* 0 or entry, generation, FKV_LOCK_WAITERS */
    sem_t sleepers;
} fkv_lock;

#define FKV_LOCK_WAITERS (UINT64_C(1) << 63) /* somebody may sleep; a stale bit costs one post */

/* ---- header ------------------------------------------------------------------------------- */

/* Where everything is. It follows from memory_bytes alone (object.c), is checked by whoever opens
 * the table, and read from a private copy ever after. */
typedef struct fkv_geometry {
    uint64_t object_bytes, memory_bytes, segment_bytes, index_range_bytes;
    uint64_t partitions_off, heads_off, due_off, index_off, segments_off, activity_off;
    uint64_t ghosts_off, ghost_bytes;
    uint32_t segment_count, partition_count, reserve_segments;
    uint32_t page_bits_max; /* log2 of the pages that an index range holds */
} fkv_geometry;

typedef struct fkv_header {
    _Atomic uint64_t magic; /* stored last by the creator: no magic, no table */
    uint64_t signature;     /* fkv_layout_signature(); written once, like all down to `retired` */
    fkv_geometry geometry;
    uint64_t hash_key[2];
    uint64_t created_ms, incarnation;
    char boot_id[40];
    _Atomic uint32_t retired; /* 0 -> 1 once, by whoever unlinks */
    _Atomic uint32_t policy;  /* enum fkv_policy; by whoever sets it; old or new */

    /* The segment list lock: guards the words of this line, every reservation, and the taking of
     * free segments. Killed while holding: repair recounts both words from heads and partitions. */
    fkv_lock list_lock;
    _Alignas(FKV_CACHE_LINE) _Atomic uint64_t reserved_bytes; /* claimed before it is reserved */
    _Atomic uint32_t free_segments;  /* heads in state FREE */
    _Atomic uint32_t rotor;          /* where the next search for a free segment starts: a hint */
    _Atomic uint32_t live_stale;     /* a repair may have left live_bytes wrong: recount if full */
    _Atomic uint32_t sweep_partition; /* where the next expiry sweep starts: a hint */
    _Atomic uint32_t purge;           /* somebody wants memory given back soon: a hint */
    _Atomic uint32_t ghosts_reserved; /* the ghosts are (list lock), and stay */
    _Atomic uint64_t clock;          /* segments taken so far: the age of segments; a hint */
    _Atomic uint64_t repairs;        /* partitions, lists and entries repaired: a hint */
} fkv_header;

/* ---- participants ------------------------------------------------------------------------- */

/* One entry per process that has the table open. Taken and freed by CAS of `identity`; all other
 * words are written by the process itself, before identity says FKV_ENTRY_USED, or later one at a
 * time. Its process holds the OFD lock on byte FKV_LIVENESS_OFF + entry: the kernel drops it at
 * death. An entry is freed only after everything that it held was repaired. */
typedef struct fkv_entry {
    /* generation << 32 | role index << 8 | role */
    _Alignas(FKV_CACHE_LINE) _Atomic uint64_t identity;
    _Atomic uint64_t intent; /* offset of a committed fkv_intent, or 0: see commit.c */
    uint64_t start_ticks;
    int32_t pid;
    _Atomic uint32_t page_reserved; /* this entry's activity page is reserved (list lock) */
    _Atomic uint32_t releases; /* locks it gave back: if this stands still, so does its process */
} fkv_entry;

#define FKV_IDENTITY(generation, role, index)                                                      \
    ((uint64_t)(generation) << 32 | ((uint64_t)(index) & 0xffffff) << 8 | (uint64_t)(role))
#define FKV_IDENTITY_ROLE(identity) ((unsigned)((identity) & 0xff)) /* 0: the entry is free */
#define FKV_IDENTITY_INDEX(identity) ((unsigned)((identity) >> 8 & 0xffffff))
#define FKV_IDENTITY_GENERATION(identity) ((uint32_t)((identity) >> 32))

/* Byte ranges that are only ever locked, far behind the object's end. */
#define FKV_CREATION_OFF (INT64_C(1) << 60) /* held while a table is made, or entry 0 is used */
#define FKV_LIVENESS_OFF (FKV_CREATION_OFF + 1)

/* ---- partitions --------------------------------------------------------------------------- */

/* A share of the keys: its lock guards every word below it and its range of the index. */
typedef struct fkv_partition {
    fkv_lock lock;

    /* One word that every reader loads first and compares last: bits 0..7 log2 of index pages,
     * bit 8 set while a commit of several keys is under way (readers then take the lock), above
     * that a number that goes up whenever a key was added or a slot may have moved. One store
     * publishes a growth. */
    _Alignas(FKV_CACHE_LINE) _Atomic uint64_t shape;
    _Atomic uint64_t index_bytes; /* reserved for this range; written under the list lock too */
    _Atomic uint64_t committer;   /* lock word of whoever set FKV_SHAPE_COMMIT; stored before it */
    _Atomic uint32_t used;        /* slots in use; hint, repair recounts */

    /* No key that expires does so later, in milliseconds since the epoch. Raised before the slot is
     * stored, 0 once no key expires; killed in between leaves it too late, and costs a look. */
    _Atomic int64_t expires_max_ms;

    /* Keys and keys with an expiry per database: hints, repair recounts. */
    _Alignas(FKV_CACHE_LINE) _Atomic uint32_t keys[FKV_DATABASES];
    _Alignas(FKV_CACHE_LINE) _Atomic uint32_t expiring[FKV_DATABASES];
} fkv_partition;

#define FKV_SHAPE_BITS(shape) ((unsigned)((shape) & 0xff))
#define FKV_SHAPE_COMMIT UINT64_C(0x100)
#define FKV_SHAPE_STEP UINT64_C(0x200)

/* ---- index -------------------------------------------------------------------------------- */

/* 64 buckets make a page of 4 KiB. A key's home is one bucket of one page; when that is full the
 * key goes to another bucket of the same page (home ^ 1, home ^ 2, ...). So a page splits in two
 * without touching any other.
 *
 * `passed[i]` of the home and of every full bucket passed over counts the keys that were stored
 * further on: a search ends at the first bucket that nobody passed. Raised before the slot is
 * stored, lowered after it is cleared; killed in between leaves it too high, which only costs a
 * probe until repair recounts it. 255 sticks. */
#define FKV_BUCKET_SLOTS 7
#define FKV_PAGE_BUCKETS 64
#define FKV_PAGE_SLOTS (FKV_PAGE_BUCKETS * FKV_BUCKET_SLOTS)

/* Beside each page, whether it is in use or not, lies its due word: a moment, in milliseconds since
 * the epoch, before which none of the page's keys expires; 0: none of them ever does. Lowered
 * before a slot with an expiry is stored, raised after a sweep has removed what expired, both under
 * the partition's lock: killed in between leaves it too low, which only costs a look. */
typedef _Atomic int64_t fkv_due;

#define FKV_CLAIMED 0xff

typedef struct fkv_bucket {
    _Atomic uint8_t access[FKV_BUCKET_SLOTS]; /* per slot, for eviction: a hint; FKV_CLAIMED while
                                               * a commit means to fill the empty slot */
    _Atomic uint8_t passed;
    _Atomic uint64_t slots[FKV_BUCKET_SLOTS];
} fkv_bucket;

typedef struct fkv_page {
    fkv_bucket buckets[FKV_PAGE_BUCKETS];
} fkv_page;

/* A slot is 0 or names an item: one store publishes, replaces or removes a key.
 *   bits 0..39 offset in units of 8 bytes | 40..55 tag | 56..59 database | 60 has an expiry */
#define FKV_SLOT_OFFSET_MASK ((UINT64_C(1) << 40) - 1)
#define FKV_SLOT_EXPIRES (UINT64_C(1) << 60)
#define FKV_SLOT_MATCH_MASK (UINT64_C(0xfffff) << 40) /* tag and database */
#define FKV_SLOT_DATABASE(slot) ((unsigned)((slot) >> 56 & 0xf))

/* Disjoint bits of the hash: 0..15 tag, 16..21 home bucket, 22..41 page, 42..63 partition. */
#define FKV_HASH_BUCKET(hash) ((unsigned)((hash) >> 16 & 63))
#define FKV_HASH_PAGE(hash) ((uint32_t)((hash) >> 22 & 0xfffff))
#define FKV_HASH_SHARE(hash) ((hash) >> 42)
#define FKV_PAGE_BITS_MAX 20

/* ---- segments and items ------------------------------------------------------------------- */

enum fkv_segment_state {
    FKV_SEGMENT_ABSENT,  /* not reserved: no memory */
    FKV_SEGMENT_FREE,    /* reserved, nobody's */
    FKV_SEGMENT_OPEN,    /* its owner appends; nobody else touches it */
    FKV_SEGMENT_CLOSED,  /* may be reclaimed */
    FKV_SEGMENT_RUN,     /* first of `length` segments that hold one big item */
    FKV_SEGMENT_TAIL,    /* another of a run; `length` is the distance to its first */
    FKV_SEGMENT_VICTIM   /* its owner moves the live items out, then frees it */
};

/* `state`: bits 0..7 fkv_segment_state, 8..23 owner's entry + 1 (0: nobody), 24..43 length; the
 * owner's generation is not needed: an entry is reused only after its segments were adopted.
 * One store or CAS moves a segment on, so a death leaves it in one of the states above. */
typedef struct fkv_head {
    _Alignas(FKV_CACHE_LINE) _Atomic uint64_t state;
    _Atomic uint64_t generation; /* raised after the last slot into it is cleared, before reuse */
    _Atomic uint64_t append;     /* bytes written; the owner only. What lies behind is unwritten */
    _Atomic int64_t live_bytes;  /* hint; fkv_recount_live makes it exact */
    _Atomic uint64_t born;       /* header.clock when it was taken: a hint */
    _Atomic int64_t expires_max_ms; /* latest expiry of its items, INT64_MAX: one never expires;
                                     * raised before the slot of the item is stored */
    _Atomic uint32_t walked; /* everything before this byte is dead, and stays so: who empties the
                              * segment raises it after the last slot into those bytes is gone */
    _Atomic uint32_t queue;  /* enum fkv_queue; set when it is taken; a hint */
} fkv_head;

/* Items that were just stored, and items that have stayed: the small and the main queue of S3-FIFO.
 * Without eviction all is in the small one. */
enum fkv_queue { FKV_QUEUE_SMALL, FKV_QUEUE_MAIN, FKV_QUEUES };

#define FKV_STATE(kind, owner, length)                                                             \
    ((uint64_t)(kind) | (uint64_t)(owner) << 8 | (uint64_t)(length) << 24)
#define FKV_STATE_KIND(state) ((enum fkv_segment_state)((state) & 0xff))
#define FKV_STATE_OWNER(state) ((unsigned)((state) >> 8 & 0xffff))
#define FKV_STATE_LENGTH(state) ((uint32_t)((state) >> 24 & 0xfffff))

/* An item: head, expiry if flagged, key, value; padded to 8 bytes. Written before its slot is
 * published and never changed after. */
typedef struct fkv_item {
    uint32_t value_size;
    uint16_t key_size;
    uint8_t database;
    uint8_t flags;
} fkv_item;

#define FKV_ITEM_EXPIRES 1 /* eight bytes of int64_t milliseconds follow the head */
#define FKV_ITEM_INTENT 2  /* not an item: an fkv_intent lies in its value (commit.c) */

/* ---- ghosts -------------------------------------------------------------------------------- */

/* Fingerprints of keys that were evicted from the small queue: one line per share of the hashes,
 * each a ring. Written without a lock by whoever evicts; a torn or lost one is one wrong guess. */
#define FKV_GHOSTS 31

typedef struct fkv_ghost_line {
    _Atomic uint16_t next; /* how many were noted so far, modulo 65,536 */
    _Atomic uint16_t fingerprints[FKV_GHOSTS]; /* 0: none */
} fkv_ghost_line;

/* ---- several keys at once ------------------------------------------------------------------ */

/* What a commit will store, so that whoever repairs can finish it. It lies in the process's own
 * segment; `fkv_entry.intent` names it from the commit point until everything is stored. */
typedef struct fkv_change {
    uint64_t slot_off; /* where */
    uint64_t slot;     /* what: 0 removes */
} fkv_change;

typedef struct fkv_intent {
    uint64_t count;
    uint64_t clear; /* 0; else 1 + the database to clear, or 1 + FKV_ALL_DATABASES */
    fkv_change changes[];
} fkv_intent;

/* ---- the signature ------------------------------------------------------------------------- */

_Static_assert(sizeof(fkv_bucket) == FKV_CACHE_LINE, "a bucket is one cache line");
_Static_assert(sizeof(fkv_page) == FKV_KERNEL_PAGE, "an index page is one kernel page");
_Static_assert(sizeof(fkv_entry) == FKV_CACHE_LINE, "one writer per line");
_Static_assert(sizeof(fkv_head) == FKV_CACHE_LINE, "one segment per line");
_Static_assert(sizeof(fkv_partition) == 4 * FKV_CACHE_LINE, "lock, meta, two lines of counts");
_Static_assert(sizeof(fkv_ghost_line) == FKV_CACHE_LINE, "a look for a ghost is one line");
_Static_assert(sizeof(fkv_item) == 8, "eight bytes of overhead in an item");
_Static_assert(sizeof(fkv_header) <= FKV_KERNEL_PAGE, "the header is one page");
_Static_assert(sizeof(fkv_activity) <= FKV_ACTIVITY_SIZE, "one page of activity per process");
_Static_assert(FKV_COUNTERS <= 64, "fkv_activity.counts has room for every counter");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit words must be lock-free between processes");

/* Two builds share a table only if they agree on this word: version, sizes, libc and its sem_t. */
uint64_t fkv_layout_signature(void);

#endif
