/* test_repair.c -- processes killed with SIGKILL at any moment: what others find, and who mends it.
 *
 * Each writer has keys of its own and notes, in a page that survives it, what it is about to make of
 * a key and what was acknowledged. After its death a key must hold one of the two. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

enum {
    WRITERS = 3,
    SINGLES = 24, /* keys that are set, deleted and expire each by itself */
    GROUP = 10,   /* keys that are only ever set together, to one sequence */
    OWN = SINGLES + GROUP + 2,
    COUNTER = SINGLES + GROUP,
    TRAIL = COUNTER + 1,
    THROWAWAY = 3 /* a database that everybody fills and clears */
};

/* The state of a key: the sequence of its value, 0 when it is missing. */
typedef struct note {
    _Atomic uint64_t done, meant;
} note;

typedef struct writer {
    note singles[SINGLES], group, counter, trail;
    _Atomic uint64_t sequence, operations;
} writer;

typedef struct storm {
    writer writers[WRITERS];
    uint64_t seed;
    unsigned index; /* whose child is being started */
} storm;

static void mean(note *n, uint64_t state) {
    atomic_store(&n->meant, state);
}

/* The operation is over: acknowledged, or refused and therefore without effect. */
static void settle(note *n, fkv_status status) {
    CHECK(status == FKV_OK || status == FKV_FULL);
    if (status == FKV_OK)
        atomic_store(&n->done, atomic_load(&n->meant));
    else
        atomic_store(&n->meant, atomic_load(&n->done));
}

static size_t some_size(uint64_t *chance) {
    unsigned kind = random_below(chance, 100);
    return STAMP_SIZE + random_below(chance, kind < 80 ? 300 : kind < 98 ? 5000 : 200000);
}

/* ---- what a writer does ---------------------------------------------------------------------- */

typedef struct turn {
    fkv_table *table;
    writer *w;
    unsigned first; /* number of its first key */
    uint64_t chance, sequence;
} turn;

static void set_single(turn *t) {
    unsigned i = random_below(&t->chance, SINGLES);
    mean(&t->w->singles[i], t->sequence);
    settle(&t->w->singles[i],
           put_stamped(t->table, t->first + i, t->sequence, some_size(&t->chance)));
}

static void delete_single(turn *t) {
    unsigned i = random_below(&t->chance, SINGLES);
    mean(&t->w->singles[i], 0);
    fkv_status status = drop_number(t->table, t->first + i);
    settle(&t->w->singles[i], status == FKV_MISS ? FKV_OK : status);
}

/* Gives a key an expiry or takes it away: the value stays. */
static void expire_single(turn *t) {
    name name = number_name(t->first + random_below(&t->chance, SINGLES));
    fkv_key key = number_key(t->table, &name);
    int64_t at_ms = t->sequence % 2 == 0 ? INT64_MAX : 0;
    fkv_status status = fkv_expire(t->table, &key, at_ms, 0, NULL);
    CHECK(status == FKV_OK || status == FKV_MISS || status == FKV_UNMET || status == FKV_FULL);
}

static void set_group(turn *t) {
    char value[900];
    name names[GROUP];
    fkv_pair pairs[GROUP];
    size_t size = STAMP_SIZE + random_below(&t->chance, sizeof value - STAMP_SIZE);
    stamp(value, size, 0, t->sequence);
    for (unsigned i = 0; i < GROUP; i++) {
        names[i] = number_name(t->first + SINGLES + i);
        pairs[i] = (fkv_pair){number_key(t->table, &names[i]), value, size};
    }
    mean(&t->w->group, t->sequence);
    settle(&t->w->group, fkv_set_many(t->table, pairs, GROUP, 0, 0));
}

static void count_up(turn *t) {
    int64_t sum;
    name name = number_name(t->first + COUNTER);
    fkv_key key = number_key(t->table, &name);
    mean(&t->w->counter, atomic_load(&t->w->counter.done) + 1);
    settle(&t->w->counter, fkv_add(t->table, &key, 1, &sum));
}

/* Appends 8 bytes; from time to time it starts anew. */
static void leave_trail(turn *t) {
    uint64_t size, length = atomic_load(&t->w->trail.done);
    name name = number_name(t->first + TRAIL);
    fkv_key key = number_key(t->table, &name);
    mean(&t->w->trail, length == 500 ? 0 : length + 1);
    settle(&t->w->trail, length == 500 ? fkv_delete(t->table, &key, NULL)
                                       : fkv_append(t->table, &key, "12345678", 8, &size));
}

/* Tiny keys that make the index grow; cleared with those of everybody. */
static void fill_and_clear(turn *t) {
    for (unsigned i = 0; i < 300; i++) {
        name name = number_name((unsigned)random_next(&t->chance));
        fkv_key key = fkv_make_key(t->table, THROWAWAY, name.text, name.size);
        fkv_status status = fkv_set(t->table, &key, "v", 1, 0, 0, NULL, NULL);
        CHECK(status == FKV_OK || status == FKV_FULL);
    }
    if (random_below(&t->chance, 20) == 0)
        CHECK_OK(fkv_clear(t->table, THROWAWAY));
}

static void keep_house(turn *t) {
    fkv_reclaim_ahead(t->table);
    fkv_sweep(t->table, 8, NULL);
    fkv_repair(t->table);
}

static void read_others(turn *t) {
    uint64_t sequence;
    for (unsigned i = 0; i < SINGLES; i++)
        get_stamped(t->table, random_below(&t->chance, WRITERS) * OWN + i, &sequence);
}

static void write_for_ever(fkv_table *table, void *context) {
    static void (*const turns[])(turn *) = {
        set_single, set_single, set_single, set_single, set_group,   set_group,     count_up,
        count_up,   leave_trail, delete_single, expire_single, read_others, fill_and_clear,
        keep_house};
    storm *s = context;
    writer *w = &s->writers[s->index];
    turn t = {table, w, s->index * OWN, s->seed + (uint64_t)getpid(), 0};
    for (;;) {
        t.sequence = atomic_fetch_add(&w->sequence, 1) + 1;
        turns[random_below(&t.chance, sizeof turns / sizeof *turns)](&t);
        atomic_fetch_add(&w->operations, 1);
    }
}

/* ---- what must be true after its death ---------------------------------------------------------- */

/* The key holds what was done or what was meant; from now on, what it holds was done. */
static void expect_note(note *n, uint64_t found, const char *what, unsigned number) {
    uint64_t done = atomic_load(&n->done), meant = atomic_load(&n->meant);
    if (found != done && found != meant)
        test_failed(__FILE__, __LINE__, "%s %u is %llu, acknowledged was %llu, meant was %llu", what,
                    number, (unsigned long long)found, (unsigned long long)done,
                    (unsigned long long)meant);
    atomic_store(&n->done, found);
    atomic_store(&n->meant, found);
}

static uint64_t sequence_of(fkv_table *table, unsigned number) {
    uint64_t sequence = 0;
    fkv_status status = get_stamped(table, number, &sequence);
    CHECK(status == FKV_OK || status == FKV_MISS);
    return status == FKV_OK ? sequence : 0;
}

static uint64_t sequence_of_group(fkv_table *table, unsigned first) {
    bytes value = BYTES;
    uint64_t of_first = 0;
    for (unsigned i = 0; i < GROUP; i++) {
        uint64_t sequence = 0;
        name name = number_name(first + i);
        fkv_key key = number_key(table, &name);
        fkv_status status = fkv_get(table, &key, &value.sink);
        if (status == FKV_OK)
            CHECK(stamp_is_whole(value.data, value.size, 0, &sequence));
        else
            CHECK_STATUS(status, FKV_MISS);
        if (i == 0)
            of_first = sequence;
        CHECK_EQUAL(sequence, of_first);
    }
    free(value.data);
    return of_first;
}

static void expect_notes(fkv_table *table, writer *w, unsigned first) {
    uint64_t size;
    int64_t sum = 0;
    for (unsigned i = 0; i < SINGLES; i++)
        expect_note(&w->singles[i], sequence_of(table, first + i), "key", first + i);
    expect_note(&w->group, sequence_of_group(table, first + SINGLES), "group of", first);
    name counter = number_name(first + COUNTER), trail = number_name(first + TRAIL);
    fkv_key key = number_key(table, &counter);
    fkv_status status = fkv_add(table, &key, 0, &sum);
    CHECK(status == FKV_OK || status == FKV_FULL);
    if (status == FKV_OK)
        expect_note(&w->counter, (uint64_t)sum, "counter", first);
    key = number_key(table, &trail);
    fkv_size(table, &key, &size);
    CHECK_EQUAL(size % 8, 0);
    expect_note(&w->trail, size / 8, "trail", first);
}

/* ---- the storm ----------------------------------------------------------------------------------- */

static unsigned kills_wanted(void) {
    const char *text = getenv("FORKKV_KILLS");
    return text != NULL ? (unsigned)atol(text) : 300;
}

static pid_t start_writer(fkv_table *table, storm *s, unsigned index) {
    s->index = index;
    pid_t pid = start_child(write_for_ever, table, s);
    uint64_t before = atomic_load(&s->writers[index].operations);
    WAIT_UNTIL(atomic_load(&s->writers[index].operations) > before);
    return pid;
}

/* Looks, as another process would, and says how long the look took. */
static double look_after(fkv_table *table, storm *s, unsigned index) {
    double began = seconds_now();
    expect_notes(table, &s->writers[index], index * OWN);
    return seconds_now() - began;
}

static void storm_over(fkv_table *table) {
    storm *s = shared_pages(sizeof *s);
    pid_t pids[WRITERS];
    double longest = 0;
    s->seed = random_seed();
    uint64_t chance = s->seed;
    for (unsigned i = 0; i < WRITERS; i++)
        pids[i] = start_writer(table, s, i);
    for (unsigned kills = 1; kills <= kills_wanted(); kills++) {
        unsigned victim = random_below(&chance, WRITERS);
        usleep(random_below(&chance, 3000));
        kill_child(pids[victim]);
        double took = look_after(table, s, victim);
        longest = took > longest ? took : longest;
        if (kills % 20 == 0)
            check_clean(table);
        pids[victim] = start_writer(table, s, victim);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        kill_child(pids[i]);
    for (unsigned i = 0; i < WRITERS; i++)
        look_after(table, s, i);
    fkv_repair(table);
    CHECK_EQUAL(facts_of(table).participants, 1);
    CHECK_EQUAL(facts_of(table).segments_open, 0); /* nothing stays with the dead */
    test_note("%u kills, longest look at all that a dead one left: %.0f ms", kills_wanted(),
              longest * 1e3);
}

TEST(killed_writers_lose_nothing_acknowledged_in_a_roomy_table) {
    storm_over(new_table(64 * MIB));
}

TEST(killed_writers_lose_nothing_acknowledged_in_a_tight_table) {
    storm_over(new_table(4 * MIB));
}

/* ---- deaths at chosen places ----------------------------------------------------------------------- */

static void die_holding_the_list(fkv_table *table, void *context) {
    (void)context;
    CHECK_OK(put(table, "k", "of the dead"));
    CHECK_OK(fkv_list_lock(table));
    atomic_store(&table->header->reserved_bytes, 12345); /* in the middle of a change */
    atomic_store(&table->header->free_segments, 54321);
    raise(SIGKILL);
}

TEST(the_list_is_recounted_when_its_holder_died) {
    fkv_table *table = new_table(4 * MIB);
    waitpid(start_child(die_holding_the_list, table, NULL), NULL, 0);
    for (unsigned i = 0; i < 3000; i++)
        CHECK_OK(put_stamped(table, i, i, 200));
    CHECK(facts_of(table).repairs > 0);
    check_clean(table);
    CHECK_TEXT(text_at(table, "k"), "of the dead");
}

static void die_with_half_a_commit(fkv_table *table, void *context) {
    bool committed = *(bool *)context;
    fkv_key key = text_key(table, "k"), other = text_key(table, "other");
    fkv_partition *partitions[] = {fkv_partition_of(table, key.hash),
                                   fkv_partition_of(table, other.hash)};
    fkv_status status;
    fkv_found found;
    size_t count = 2;
    CHECK_OK(fkv_write_begin(table));
    fkv_item *item = fkv_compose_any(table, &key, 3, 0, &status);
    memcpy((char *)fkv_item_value(item), "new", 3);
    fkv_append_done(table, item, 0);
    fkv_item *holder = fkv_append_room(table, 128, FKV_QUEUE_SMALL, FKV_ROOM_GROW, &status);
    *holder = (fkv_item){120, 0, 0, FKV_ITEM_INTENT};
    fkv_append_done(table, holder, 1);
    fkv_intent *intent = (fkv_intent *)(holder + 1);
    CHECK_OK(fkv_lock_many(table, partitions, &count));
    CHECK(fkv_search_locked(table, &key, &found));
    *intent = (fkv_intent){.count = 1};
    intent->changes[0] = (fkv_change){(uint64_t)((uint8_t *)found.slot_at - table->base),
                                      fkv_item_slot(table, item, &key)};
    for (size_t i = 0; i < count; i++) {
        atomic_store(&partitions[i]->committer, table->lock_word);
        atomic_fetch_or(&partitions[i]->shape, FKV_SHAPE_COMMIT);
    }
    if (committed)
        atomic_store(&table->entries[table->entry].intent, (uint64_t)((uint8_t *)intent - table->base));
    raise(SIGKILL);
}

TEST(a_commit_whose_process_died_is_dropped_before_the_word_and_finished_after) {
    for (int committed = 0; committed < 2; committed++) {
        fkv_table *table = new_table(4 * MIB);
        bool after = committed;
        CHECK_OK(put(table, "k", "old"));
        CHECK_OK(put(table, "other", "old"));
        waitpid(start_child(die_with_half_a_commit, table, &after), NULL, 0);
        CHECK_TEXT(text_at(table, "k"), committed ? "new" : "old");
        CHECK_TEXT(text_at(table, "other"), "old");
        check_clean(table);
    }
}

static void repair_for_ever(fkv_table *table, void *context) {
    _Atomic uint64_t *rounds = context;
    for (;;) {
        fkv_repair(table);
        atomic_fetch_add(rounds, 1);
    }
}

TEST(a_repairer_that_is_killed_is_repaired_itself) {
    fkv_table *table = new_table(8 * MIB);
    storm *s = shared_pages(sizeof *s);
    _Atomic uint64_t *rounds = shared_pages(sizeof *rounds);
    s->seed = random_seed();
    uint64_t chance = s->seed;
    for (unsigned i = 0; i < 150; i++) {
        uint64_t before = atomic_load(rounds);
        pid_t repairer = start_child(repair_for_ever, table, rounds);
        pid_t pid = start_writer(table, s, 0);
        WAIT_UNTIL(atomic_load(rounds) > before);
        kill_child(pid);
        usleep(random_below(&chance, 200));
        kill_child(repairer);
        look_after(table, s, 0);
    }
    fkv_repair(table);
    CHECK_EQUAL(facts_of(table).participants, 1);
}

static void hold_open_segment(fkv_table *table, void *context) {
    unsigned number = *(unsigned *)context;
    CHECK_OK(put_stamped(table, number, 0, 100));
    raise(SIGKILL);
}

TEST(segments_of_the_dead_are_used_again_without_anybody_repairing) {
    fkv_table *table = new_table(4 * MIB);
    for (unsigned i = 0; i < 30; i++)
        waitpid(start_child(hold_open_segment, table, &i), NULL, 0);
    fkv_status status;
    unsigned count = 30;
    while ((status = put_stamped(table, count, 0, 100)) == FKV_OK)
        count++;
    CHECK_STATUS(status, FKV_FULL);
    CHECK(count > 3 * MIB / 150); /* 30 segments of 64 KiB would be half of it */
}
