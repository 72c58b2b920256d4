/* test_damage.c -- objects with random bytes in them: nothing crashes, hangs or reaches outside.
 *
 * The mapping lies between pages that nobody may touch. In each round some bytes of a whole table are
 * overwritten, anywhere or where they hurt most; then it is read, checked, repaired and written to.
 * FORKKV_ROUNDS says how often, FORKKV_SEED repeats. */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

enum { KEYS = 1500, BIG = KEYS, FLIPS = 6, BATCH = 40 };
#define GUARD (UINT64_C(1) << 30)

typedef struct range {
    uint64_t offset, size;
} range;

typedef struct damage {
    fkv_table *table;
    uint8_t *whole; /* the bytes before any damage */
    uint64_t chance;
    range ranges[8]; /* where a flip may fall; the last is everything */
    unsigned range_count;
} damage;

/* ---- a table to damage --------------------------------------------------------------------------- */

static void die_after_the_commit_word(fkv_table *table, void *context) {
    fkv_status status;
    (void)context;
    CHECK_OK(put_stamped(table, 5, 2, 50));
    CHECK_OK(fkv_write_begin(table));
    fkv_intent *intent = fkv_compose_intent(table, 3, FKV_ROOM_GROW, &status);
    for (unsigned i = 0; i < 3; i++) {
        fkv_found found;
        name name = number_name(i);
        fkv_key key = number_key(table, &name);
        CHECK_OK(fkv_partition_lock(table, fkv_partition_of(table, key.hash)));
        CHECK(fkv_search_locked(table, &key, &found));
        intent->changes[i] = (fkv_change){(uint64_t)((uint8_t *)found.slot_at - table->base), 0};
        fkv_flag_locked(table, found.partition);
    }
    fkv_set_intent(table, intent);
    raise(SIGKILL);
}

static void fill(fkv_table *table) {
    for (unsigned i = 0; i < KEYS; i++) {
        char value[700];
        name name = number_name(i);
        fkv_key key = number_key(table, &name);
        size_t size = STAMP_SIZE + i % 600;
        stamp(value, size, i, 1);
        CHECK_OK(fkv_set(table, &key, value, size, 0, i % 3 == 0 ? INT64_MAX : 0, NULL, NULL));
    }
    CHECK_OK(put_stamped(table, BIG, 1, 3 * table->segment_bytes));
    CHECK_OK(put_stamped(table, BIG + 1, 1, 2 * table->segment_bytes));
    CHECK_OK(drop_number(table, BIG + 1));
    for (unsigned i = 0; i < KEYS; i += 7)
        CHECK_OK(drop_number(table, i));
    for (unsigned i = 0; i < 3; i++)
        CHECK_OK(put_stamped(table, i, 1, 100));
}

/* Maps the object once more, between pages that nobody may touch. */
static void move_between_guards(fkv_table *table) {
    uint64_t size = table->geometry.object_bytes;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    uint8_t *room = mmap(NULL, size + 2 * GUARD, PROT_NONE, flags, -1, 0);
    CHECK(room != MAP_FAILED);
    uint8_t *base = mmap(room + GUARD, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, table->fd, 0);
    CHECK(base == room + GUARD);
    uint64_t own = (uint64_t)((uint8_t *)table->own - table->base);
    munmap(table->base, size);
    table->own = (fkv_activity *)(base + own);
    table->header = (fkv_header *)base;
    table->entries = (fkv_entry *)(base + ((uint8_t *)table->entries - table->base));
    table->partitions = (fkv_partition *)(base + table->geometry.partitions_off);
    table->heads = (fkv_head *)(base + table->geometry.heads_off);
    table->base = base;
}

static damage new_damage(void) {
    damage d = {.table = new_table(4 * MIB), .chance = random_seed()};
    const fkv_geometry *g = &d.table->geometry;
    fill(d.table);
    waitpid(start_child(die_after_the_commit_word, d.table, NULL), NULL, 0);
    move_between_guards(d.table);
    fkv_set_lock_timeout(d.table, 20);
    d.whole = malloc(g->object_bytes);
    memcpy(d.whole, d.table->base, g->object_bytes);
    const range ranges[] = {
        {sizeof(fkv_geometry), sizeof(fkv_header) - sizeof(fkv_geometry)}, /* behind what is private */
        {FKV_KERNEL_PAGE, 8 * sizeof(fkv_entry)},
        {g->partitions_off, g->partition_count * sizeof(fkv_partition)},
        {g->heads_off, 32 * sizeof(fkv_head)}, /* those in use */
        {g->index_off, g->partition_count * g->index_range_bytes},
        {g->segments_off, 24 * g->segment_bytes},
        {0, g->object_bytes},
    };
    d.range_count = sizeof ranges / sizeof *ranges;
    memcpy(d.ranges, ranges, sizeof ranges);
    return d;
}

/* ---- damaging ------------------------------------------------------------------------------------ */

static uint64_t random_word(damage *d) {
    static const uint64_t nasty[] = {0, 1, UINT64_MAX, INT64_MAX, UINT32_MAX, 0x100, 0xffff, 4096};
    unsigned kind = random_below(&d->chance, 3);
    return kind == 0 ? nasty[random_below(&d->chance, 8)]
           : kind == 1 ? random_next(&d->chance) : random_next(&d->chance) & 0xffffff;
}

/* A word, a byte, or a bit. Where there is a word already, mostly: empty places seldom matter. */
static void flip_one(damage *d) {
    const range *r = &d->ranges[random_below(&d->chance, d->range_count)];
    uint64_t at = 0;
    for (unsigned tries = 0; tries < 50; tries++) {
        at = (r->offset + random_next(&d->chance) % r->size) & ~UINT64_C(7);
        if (*(const uint64_t *)(d->whole + at) != 0)
            break;
    }
    uint8_t *place = d->table->base + at;
    uint64_t word = random_word(d);
    switch (random_below(&d->chance, 3)) {
    case 0:
        memcpy(place, &word, sizeof word);
        break;
    case 1:
        place[random_below(&d->chance, 8)] = (uint8_t)word;
        break;
    default:
        place[random_below(&d->chance, 8)] ^= (uint8_t)(1 << random_below(&d->chance, 8));
    }
}

/* Only what differs is written, so that holes stay holes. */
static void restore(damage *d) {
    for (uint64_t at = 0; at < d->table->geometry.object_bytes; at += FKV_KERNEL_PAGE)
        if (memcmp(d->table->base + at, d->whole + at, FKV_KERNEL_PAGE) != 0)
            memcpy(d->table->base + at, d->whole + at, FKV_KERNEL_PAGE);
    fkv_append_forget(d->table);
}

/* ---- reading -------------------------------------------------------------------------------------- */

static bool count_visit(void *context, const void *key, size_t size) {
    (void)key, (void)size;
    ++*(uint64_t *)context;
    return true;
}

/* Every key that is met, or UINT64_MAX if the scan could not be ended. */
static uint64_t scan_all(fkv_table *table, unsigned database) {
    uint64_t cursor = 0, met = 0;
    unsigned pieces = 0;
    do {
        if (fkv_scan(table, database, &cursor, 500, count_visit, &met) != FKV_OK)
            return UINT64_MAX;
        CHECK(pieces++ < 1000000);
    } while (cursor != 0);
    return met;
}

static void read_batches(fkv_table *table, bytes *values) {
    fkv_sink *sinks[BATCH];
    bool found[BATCH];
    name names[BATCH];
    fkv_key keys[BATCH];
    for (unsigned first = 0; first + BATCH <= KEYS; first += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            names[i] = number_name(first + i);
            keys[i] = number_key(table, &names[i]);
            sinks[i] = &values[i].sink;
            fkv_prefetch_slot(table, &keys[i]);
            fkv_prefetch_item(table, &keys[i]);
        }
        fkv_get_many(table, keys, BATCH, sinks, found);
    }
}

static void read_everything(fkv_table *table, bytes *values) {
    for (unsigned i = 0; i <= BIG; i++) {
        uint64_t size;
        int64_t at_ms;
        name name = number_name(i);
        fkv_key key = number_key(table, &name);
        fkv_get(table, &key, &values[0].sink);
        fkv_size(table, &key, &size);
        fkv_expiry(table, &key, &at_ms);
    }
    read_batches(table, values);
    for (unsigned database = 0; database < FKV_DATABASES; database++)
        scan_all(table, database);
}

static void read_facts(fkv_table *table) {
    fkv_participant_facts who;
    fkv_activity activity;
    fkv_load load;
    facts_of(table);
    for (unsigned i = 0; i < FKV_PARTICIPANTS; i++) {
        fkv_read_participant(table, i, &who, &activity);
        fkv_read_load(table, i, &load);
    }
    fkv_read_departed(table, &activity);
}

/* ---- writing -------------------------------------------------------------------------------------- */

static void write_one(damage *d) {
    fkv_table *table = d->table;
    uint64_t size;
    int64_t sum;
    name names[2] = {number_name(random_below(&d->chance, KEYS + 500)),
                     number_name(random_below(&d->chance, KEYS + 500))};
    fkv_key key = number_key(table, &names[0]), other = number_key(table, &names[1]);
    fkv_pair pairs[2] = {{key, "one", 3}, {other, "two", 3}};
    switch (random_below(&d->chance, 9)) {
    case 0:
        fkv_delete(table, &key, NULL);
        break;
    case 1:
        fkv_append(table, &key, "x", 1, &size);
        break;
    case 2:
        fkv_add(table, &key, 1, &sum);
        break;
    case 3:
        fkv_expire(table, &key, random_below(&d->chance, 2) ? INT64_MAX : 1, 0, NULL);
        break;
    case 4:
        fkv_set_many(table, pairs, 2, 0, 0);
        break;
    case 5:
        fkv_rename(table, &key, &other, 0);
        break;
    default:
        put_stamped(table, random_below(&d->chance, KEYS + 500), 3,
                    STAMP_SIZE + random_below(&d->chance, random_below(&d->chance, 20) ? 900 : 200000));
    }
}

static void write_a_lot(damage *d) {
    for (unsigned i = 0; i < 200; i++)
        write_one(d);
    fkv_sweep(d->table, 64, NULL);
    for (unsigned i = 0; i < 5; i++)
        fkv_reclaim_ahead(d->table);
    fkv_repair(d->table);
    if (random_below(&d->chance, 8) == 0)
        fkv_clear(d->table, random_below(&d->chance, 2) ? FKV_ALL_DATABASES : 0);
}

/* ---- the tests ------------------------------------------------------------------------------------ */

static unsigned rounds(unsigned standard) {
    const char *text = getenv("FORKKV_ROUNDS");
    return text != NULL ? (unsigned)atol(text) : standard;
}

/* What the checker vouches for: every key that is counted is met, and found. */
static void expect_whole(fkv_table *table) {
    uint64_t met = 0;
    fkv_sweep(table, UINT32_MAX, NULL); /* an expiry may be what was overwritten */
    for (unsigned database = 0; database < FKV_DATABASES; database++)
        met += scan_all(table, database);
    CHECK_EQUAL(met, fkv_count(table, FKV_ALL_DATABASES, NULL));
}

static void end_damage(damage *d) {
    restore(d);
    free(d->whole);
}

TEST(damaged_objects_are_read_within_their_bounds_and_check_vouches_for_the_rest) {
    damage d = new_damage();
    bytes values[BATCH];
    unsigned reported = 0, count = rounds(100);
    char text[400];
    for (unsigned i = 0; i < BATCH; i++)
        values[i] = (bytes)BYTES;
    for (unsigned round = 0; round < count; round++) {
        for (unsigned flips = 1 + random_below(&d.chance, FLIPS); flips > 0; flips--)
            flip_one(&d);
        if (atomic_load(&d.table->header->retired) == 0) {
            read_everything(d.table, values);
            read_facts(d.table);
            if (fkv_check(d.table, text, sizeof text) == FKV_OK)
                expect_whole(d.table);
            else
                reported++;
        }
        restore(&d);
    }
    test_note("%u rounds, damage reported in %u", count, reported);
    for (unsigned i = 0; i < BATCH; i++)
        free(values[i].data);
    end_damage(&d);
}

TEST(damaged_objects_are_written_and_repaired_within_their_bounds) {
    damage d = new_damage();
    unsigned count = rounds(100);
    char text[400];
    for (unsigned round = 0; round < count; round++) {
        for (unsigned flips = 1 + random_below(&d.chance, FLIPS); flips > 0; flips--)
            flip_one(&d);
        write_a_lot(&d);
        fkv_check(d.table, text, sizeof text);
        restore(&d);
    }
    end_damage(&d);
}
