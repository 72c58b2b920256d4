/* test_step.c -- operations killed at every instruction, and repairs too.
 *
 * On a copy of every state that a kill can leave, a survivor uses the table at once: it reads, writes
 * the same key and another of the same partition, and walks the table with fkv_check. Every key must
 * hold what it held before the operation, or what the operation would have made of it; and no memory
 * may be lost. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace.h"

enum { KEYS = 40, TARGETS = 8, REPAIRS = 6, OTHERS_MAX = 8000 };
#define NEVER UINT32_MAX

/* What an operation does to the keys `first` .. `first + count - 1`, all or none of it at once. */
typedef struct change {
    unsigned first, count;
    uint64_t before, after; /* sequences; 0: missing */
} change;

typedef struct scene {
    fkv_table *actor, *second, *witness; /* participants of one table: who dies, repairs, survives */
    change change;
    size_t size;    /* of the value that is set */
    unsigned looks;  /* states to look at, about, if there are more */
    unsigned living; /* participants when a child has been killed */
    unsigned others[OTHERS_MAX], other_count; /* more keys that nobody touches */
    bool caches;                         /* the policy evicts: any key may have gone */
    const char *name;                    /* of a key beside the numbered ones that it changes, */
    void (*expect)(fkv_table *survivor); /* and what that must hold; or NULL */
} scene;

/* What a test says when it is over: how much it has looked at. */
typedef struct tally {
    size_t states, states_of_repairs, kills, instructions;
    double longest; /* single operation of a survivor, in seconds */
} tally;

static bool thorough(void) {
    return getenv("FORKKV_CRASH") != NULL;
}

static scene new_scene(uint64_t memory_bytes) {
    scene s = {.size = 100, .looks = 300, .living = 3};
    s.witness = new_table(memory_bytes);
    s.actor = attach_again(s.witness);
    s.second = attach_again(s.witness);
    for (unsigned i = 0; i < KEYS; i++)
        CHECK_OK(put_stamped(s.actor, i, 1, 60));
    return s;
}

static void keep_other(scene *s, unsigned number) {
    CHECK(s->other_count < OTHERS_MAX);
    s->others[s->other_count++] = number;
}

static void put_other(scene *s, unsigned number, size_t size) {
    CHECK_OK(put_stamped(s->actor, number, 1, size));
    keep_other(s, number);
}

static uint64_t sequence_of(fkv_table *table, unsigned number) {
    uint64_t sequence;
    fkv_status status = get_stamped(table, number, &sequence);
    if (status != FKV_OK)
        CHECK_STATUS(status, FKV_MISS);
    return status == FKV_OK ? sequence : 0;
}

/* A key that is not there, of the same partition as the one that is changed. */
static unsigned neighbour_of(const fkv_table *table, const scene *s) {
    name target = number_name(s->change.first);
    fkv_key key = s->name != NULL ? text_key(table, s->name) : number_key(table, &target);
    for (unsigned other = 1000000;; other++) {
        name other_name = number_name(other);
        fkv_key other_key = number_key(table, &other_name);
        if (fkv_partition_of(table, other_key.hash) == fkv_partition_of(table, key.hash))
            return other;
    }
}

static void expect_keys(fkv_table *survivor, const scene *s, unsigned written) {
    const change *c = &s->change;
    uint64_t found = UINT64_MAX;
    if (s->expect != NULL && written == NEVER)
        s->expect(survivor);
    for (unsigned i = 0; i < s->other_count; i++)
        CHECK_EQUAL(sequence_of(survivor, s->others[i]), 1);
    for (unsigned i = 0; i < KEYS; i++) {
        bool target = i >= c->first && i < c->first + c->count;
        uint64_t sequence = i == written ? c->before : sequence_of(survivor, i);
        if (i == written || (s->caches && sequence == 0))
            continue;
        if (!target) {
            CHECK_EQUAL(sequence, 1);
            continue;
        }
        CHECK(sequence == c->before || sequence == c->after);
        CHECK(found == UINT64_MAX || found == sequence); /* all or none */
        found = sequence;
    }
}

/* A write of the survivor: near the limit it may be refused, which changes nothing. */
static bool write_at_once(fkv_table *survivor, unsigned number, uint64_t sequence, tally *total) {
    double began = seconds_now();
    fkv_status status = put_stamped(survivor, number, sequence, 50);
    double took = seconds_now() - began;
    total->longest = took > total->longest ? took : total->longest;
    CHECK(status == FKV_OK || status == FKV_FULL);
    return status == FKV_OK;
}

/* What the kernel charges the object is what the table accounts for: nothing leaks for good. */
static void expect_no_leak(fkv_table *survivor) {
    struct stat facts;
    CHECK(fstat(survivor->fd, &facts) == 0);
    CHECK_EQUAL(facts.st_blocks * 512, facts_of(survivor).memory_used_bytes);
}

/* The survivor, one of `living` participants, meets the table as the dead left it. */
static void use_what_is_left(fkv_table *survivor, const scene *s, unsigned neighbour, unsigned living,
                             tally *total) {
    double began = seconds_now();
    sequence_of(survivor, s->change.first);
    double took = seconds_now() - began;
    total->longest = took > total->longest ? took : total->longest;
    expect_keys(survivor, s, NEVER);
    unsigned written = write_at_once(survivor, s->change.first, 77, total) ? s->change.first : NEVER;
    write_at_once(survivor, neighbour, 78, total);
    check_clean(survivor);
    expect_keys(survivor, s, written);
    if (written != NEVER)
        CHECK_EQUAL(sequence_of(survivor, s->change.first), 77);
    CHECK_EQUAL(facts_of(survivor).participants, living);
    expect_no_leak(survivor);
}

/* Looks at the states after every system call, and at `looks` of the others in equal parts: after steps
 * on what all share, and after those to data, which nobody can see before it is published.
 * FORKKV_CRASH=1: at ten times as many. */
static size_t look_at_states(fkv_table *survivor, recording *r, const scene *s, unsigned looks,
                             unsigned neighbour, tally *total) {
    size_t of_kind[2] = {0, 0}, passed[2] = {0, 0}, looked = 0;
    looks *= thorough() ? 10 : 1;
    for (size_t n = 1; n <= step_count(r); n++)
        of_kind[step_is_data(r, n)]++;
    for (size_t n = 0; n <= step_count(r); n++) {
        bool data = n > 0 && step_is_data(r, n);
        size_t stride = step_count(r) <= looks ? 1 : of_kind[data] / (looks / 2) + 1;
        if (n > 0 && n < step_count(r) && passed[data]++ % stride != 0 && !step_is_call(r, n))
            continue;
        replay(survivor, r, n);
        use_what_is_left(survivor, s, neighbour, 1, total);
        looked++;
    }
    return looked;
}

/* What another participant does that is then killed, too: takes over locks, and repairs. */
static void repair_by_use(fkv_table *table, void *context) {
    unsigned neighbour = *(unsigned *)context;
    fkv_status status = put_stamped(table, neighbour + 1000000, 79, 50);
    CHECK(status == FKV_OK || status == FKV_FULL);
    fkv_repair(table);
}

/* At a few states of the first operation, kills the repair after each of its own steps. */
static void kill_repairs(fkv_table *survivor, recording *r, const scene *s, unsigned neighbour,
                         tally *total) {
    fkv_table *repairer = new_survivor(s->second);
    unsigned rounds = REPAIRS * (thorough() ? 4 : 1);
    keep_alive(repairer, s->witness);
    for (unsigned i = 1; i <= rounds; i++) {
        replay(repairer, r, step_count(r) * i / (rounds + 1));
        recording *of_repair = record(repairer, repair_by_use, &neighbour);
        total->states_of_repairs +=
            look_at_states(survivor, of_repair, s, s->looks / 6, neighbour, total);
        free_recording(of_repair);
    }
    free_survivor(repairer);
}

/* On the table itself, put back each time: a child is really killed after some number of instructions,
 * with its locks and descriptors. Instructions are stepped one by one, so they are bounded. */
static void kill_children(recording *r, scene *s, operation run, unsigned neighbour, tally *total) {
    size_t budget = thorough() ? 2000000 : 30000;
    uint64_t chance = random_seed();
    for (size_t stepped = 0, whole = 0; WATCH_WORKS && stepped < budget; total->kills += whole > 0) {
        replay(s->witness, r, 0);
        size_t point = whole == 0 ? budget / 4 : 1 + random_below(&chance, (unsigned)whole);
        size_t steps = kill_after(point, s->actor, run, s);
        whole = whole == 0 ? steps : whole;
        stepped += steps + 1;
        use_what_is_left(s->witness, s, neighbour, s->living, total);
        total->instructions = whole;
    }
}

/* Kills the operation after each step, some repairs of it, and real children at some instructions. */
static void kill_everywhere(scene *s, operation run) {
    tally total = {0};
    fkv_append_close(s->witness);
    fkv_append_close(s->second);
    recording *r = record(s->actor, run, s);
    CHECK(!WATCH_WORKS || step_count(r) > 0);
    fkv_table *survivor = new_survivor(s->witness);
    unsigned neighbour = neighbour_of(s->witness, s);
    total.states = look_at_states(survivor, r, s, s->looks, neighbour, &total);
    kill_repairs(survivor, r, s, neighbour, &total);
    kill_children(r, s, run, neighbour, &total);
    test_note("%zu steps: killed at %zu, and at %zu of its repairs; %zu children killed within %zu "
              "instructions; a survivor waited %.1f ms at most", step_count(r), total.states,
              total.states_of_repairs, total.kills, total.instructions, total.longest * 1e3);
    free_survivor(survivor);
    free_recording(r);
}

/* ---- one key ----------------------------------------------------------------------------------- */

static void set_targets(fkv_table *table, void *context) {
    scene *s = context;
    CHECK_OK(put_stamped(table, s->change.first, s->change.after, s->size));
}

static void delete_target(fkv_table *table, void *context) {
    scene *s = context;
    CHECK_OK(drop_number(table, s->change.first));
}

TEST(kill_everywhere_in_a_set_of_a_new_key) {
    scene s = new_scene(4 * MIB);
    CHECK_OK(drop_number(s.actor, 3));
    s.change = (change){3, 1, 0, 9};
    kill_everywhere(&s, set_targets);
}

TEST(kill_everywhere_in_an_overwrite) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 9};
    kill_everywhere(&s, set_targets);
}

TEST(kill_everywhere_in_a_delete) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 0};
    kill_everywhere(&s, delete_target);
}

static void expire_target(fkv_table *table, void *context) {
    scene *s = context;
    name name = number_name(s->change.first);
    fkv_key key = number_key(table, &name);
    CHECK_OK(fkv_expire(table, &key, INT64_MAX, 0, NULL));
    CHECK_OK(fkv_expire(table, &key, 0, 0, NULL));
    CHECK_OK(fkv_expire(table, &key, s->change.after == 0 ? 1 : INT64_MAX, 0, NULL));
}

TEST(kill_everywhere_in_expire_and_persist) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 1};
    kill_everywhere(&s, expire_target);
}

TEST(kill_everywhere_in_an_expire_that_deletes) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 0};
    kill_everywhere(&s, expire_target);
}

static void add_to_counter(fkv_table *table, void *context) {
    (void)context;
    int64_t sum;
    fkv_key counter = text_key(table, "counter");
    CHECK_OK(fkv_add(table, &counter, 1, &sum));
    CHECK_EQUAL(sum, 100);
}

static void expect_99_or_100(fkv_table *survivor) {
    const char *text = text_at(survivor, "counter");
    CHECK(strcmp(text, "99") == 0 || strcmp(text, "100") == 0);
}

TEST(kill_everywhere_in_an_increment) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 1};
    s.name = "counter";
    s.expect = expect_99_or_100;
    CHECK_OK(put(s.witness, "counter", "99"));
    kill_everywhere(&s, add_to_counter);
}

static void append_to_trail(fkv_table *table, void *context) {
    (void)context;
    uint64_t size;
    fkv_key trail = text_key(table, "trail");
    CHECK_OK(fkv_append(table, &trail, "three", 5, &size));
}

static void expect_two_or_three(fkv_table *survivor) {
    const char *text = text_at(survivor, "trail");
    CHECK(strcmp(text, "one two ") == 0 || strcmp(text, "one two three") == 0);
}

TEST(kill_everywhere_in_an_append) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 1};
    s.name = "trail";
    s.expect = expect_two_or_three;
    CHECK_OK(put(s.witness, "trail", "one two "));
    kill_everywhere(&s, append_to_trail);
}

/* ---- memory -------------------------------------------------------------------------------------- */

TEST(kill_everywhere_in_a_set_that_takes_a_segment) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 9};
    s.size = s.actor->segment_bytes - 200; /* what is left of the open one does not do */
    kill_everywhere(&s, set_targets);
}

TEST(kill_everywhere_in_a_set_that_takes_a_run) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 9};
    s.size = s.actor->segment_bytes * 2;
    kill_everywhere(&s, set_targets);
}

/* Stores other keys until all memory is in use, and deletes most of them: from then on whoever needs
 * a segment moves what lives in one. */
static void use_all_memory(scene *s) {
    unsigned count = 100;
    while (put_stamped(s->actor, count, 1, 1000) == FKV_OK)
        count++;
    for (unsigned i = 100; i < count; i++)
        if (i % 8 == 0)
            keep_other(s, i);
        else
            CHECK_OK(drop_number(s->actor, i));
    while (fkv_segments_available(s->actor) > s->actor->geometry.reserve_segments + 1)
        put_other(s, count++, 1000);
    s->looks = 100;
}

TEST(kill_everywhere_in_a_set_that_reclaims) {
    scene s = new_scene(4 * MIB);
    use_all_memory(&s);
    s.change = (change){3, 1, 1, 9};
    s.size = s.actor->segment_bytes - 200;
    kill_everywhere(&s, set_targets);
}

static void set_among_others(fkv_table *table, void *context) {
    uint64_t before = table->own->counts[FKV_COUNT_bytes_copied];
    set_targets(table, context);
    CHECK(table->own->counts[FKV_COUNT_bytes_copied] > before);
}

/* Puts values of `length` segments, and between two of them leaves only `hole` free; then kills a set
 * of a value that wants one more. */
static void kill_where_others_make_way(uint32_t length, uint32_t hole) {
    scene s = new_scene(4 * MIB);
    unsigned count = 100;
    size_t segment = s.actor->segment_bytes;
    for (uint32_t at = hole; at + length <= s.actor->geometry.segment_count; at += length + hole) {
        put_stamped_at(s.actor, count, length * segment - 100, at);
        keep_other(&s, count++);
    }
    s.looks = 100;
    s.change = (change){3, 1, 1, 9};
    s.size = (hole + 1) * segment - 100;
    kill_everywhere(&s, set_among_others);
}

TEST(kill_everywhere_in_a_set_that_clears_a_stretch_for_a_run) {
    kill_where_others_make_way(1, 5);
}

TEST(kill_everywhere_in_a_set_that_moves_a_run_out_of_the_way) {
    kill_where_others_make_way(2, 7);
}

TEST(kill_everywhere_in_a_set_that_frees_a_dead_run) {
    scene s = new_scene(4 * MIB);
    CHECK_OK(put_stamped(s.actor, 90000, 1, 6 * s.actor->segment_bytes));
    use_all_memory(&s);
    CHECK_OK(drop_number(s.actor, 90000));
    s.change = (change){3, 1, 1, 9};
    s.size = s.actor->segment_bytes * 2;
    kill_everywhere(&s, set_targets);
}

static void reclaim_ahead(fkv_table *table, void *context) {
    (void)context;
    CHECK(fkv_reclaim_ahead(table));
}

TEST(kill_everywhere_in_reclaim) {
    scene s = new_scene(4 * MIB);
    use_all_memory(&s);
    fkv_append_close(s.actor);
    s.change = (change){3, 1, 1, 1};
    kill_everywhere(&s, reclaim_ahead);
}

static void use_all_memory_of_a_cache(scene *s) {
    s->caches = true;
    CHECK_OK(fkv_set_policy(s->actor, FKV_S3FIFO));
    for (unsigned i = 0; i < 20000; i++) {
        CHECK_OK(put_stamped(s->actor, 1000 + i, 1, 300));
        if (i % 50 == 0)
            for (unsigned k = 0; k < KEYS; k++)
                sequence_of(s->actor, k);
    }
    s->looks = 100;
}

TEST(kill_everywhere_in_a_set_that_evicts) {
    scene s = new_scene(4 * MIB);
    use_all_memory_of_a_cache(&s);
    s.change = (change){3, 1, 1, 9};
    s.size = s.actor->segment_bytes - 200;
    kill_everywhere(&s, set_targets);
}

TEST(kill_everywhere_in_a_run_that_evicts) {
    scene s = new_scene(4 * MIB);
    use_all_memory_of_a_cache(&s);
    s.change = (change){3, 1, 1, 9};
    s.size = s.actor->segment_bytes * 3;
    kill_everywhere(&s, set_targets);
}

static void evict_ahead(fkv_table *table, void *context) {
    (void)context;
    fkv_reclaim_one(table);
    fkv_append_close(table);
}

TEST(kill_everywhere_in_an_eviction) {
    scene s = new_scene(4 * MIB);
    use_all_memory_of_a_cache(&s);
    s.change = (change){3, 1, 1, 1};
    kill_everywhere(&s, evict_ahead);
}

static void set_policy(fkv_table *table, void *context) {
    scene *s = context;
    CHECK_OK(fkv_set_policy(table, s->caches ? FKV_S3FIFO : FKV_NOEVICTION));
}

TEST(kill_everywhere_in_a_change_of_policy) {
    scene s = new_scene(4 * MIB);
    s.caches = true;
    s.change = (change){3, 1, 1, 1};
    kill_everywhere(&s, set_policy);
}

static void shrink(fkv_table *table, void *context) {
    (void)context;
    CHECK(fkv_shrink(table));
}

TEST(kill_everywhere_in_a_shrink) {
    scene s = new_scene(4 * MIB);
    use_all_memory(&s);
    s.change = (change){3, 1, 1, 1};
    kill_everywhere(&s, shrink);
}

TEST(kill_everywhere_in_a_shrink_that_punches) {
    scene s = new_scene(4 * MIB);
    use_all_memory(&s);
    while (fkv_reclaim_garbage(s.actor) == FKV_OK)
        fkv_append_close(s.actor);
    s.change = (change){3, 1, 1, 1};
    kill_everywhere(&s, shrink);
}

/* ---- the index ------------------------------------------------------------------------------------ */

/* Fills the partition of key `number` with small keys until the next one makes it double. */
static void fill_partition_of(scene *s, unsigned number) {
    name target = number_name(number);
    fkv_key key = number_key(s->actor, &target);
    fkv_partition *partition = fkv_partition_of(s->actor, key.hash);
    for (unsigned other = 5000; !fkv_wants_growth_locked(s->actor, partition); other++) {
        name other_name = number_name(other);
        fkv_key other_key = number_key(s->actor, &other_name);
        if (fkv_partition_of(s->actor, other_key.hash) == partition)
            put_other(s, other, STAMP_SIZE);
    }
}

TEST(kill_everywhere_in_a_set_that_doubles_the_partition) {
    scene s = new_scene(4 * MIB);
    CHECK_OK(drop_number(s.actor, 3));
    fill_partition_of(&s, 3);
    s.change = (change){3, 1, 0, 9};
    uint64_t before = facts_of(s.actor).index_bytes;
    kill_everywhere(&s, set_targets);
    CHECK_EQUAL(facts_of(s.actor).index_bytes, before + FKV_KERNEL_PAGE);
}

TEST(kill_everywhere_in_a_doubling_that_takes_memory_from_a_segment) {
    scene s = new_scene(4 * MIB);
    CHECK_OK(drop_number(s.actor, 3));
    use_all_memory(&s);
    while (fkv_reclaim_ahead(s.actor))
        ;
    fill_partition_of(&s, 3);
    s.change = (change){3, 1, 0, 9};
    kill_everywhere(&s, set_targets);
}

/* ---- several keys ---------------------------------------------------------------------------------- */

static void set_all_targets(fkv_table *table, void *context) {
    scene *s = context;
    name names[TARGETS];
    fkv_pair pairs[TARGETS];
    char values[TARGETS][100];
    for (unsigned i = 0; i < s->change.count; i++) {
        names[i] = number_name(s->change.first + i);
        stamp(values[i], sizeof values[i], s->change.first + i, s->change.after);
        pairs[i] = (fkv_pair){number_key(table, &names[i]), values[i], sizeof values[i]};
    }
    CHECK_OK(fkv_set_many(table, pairs, s->change.count, 0, 0));
}

TEST(kill_everywhere_in_set_many_over_keys) {
    scene s = new_scene(4 * MIB);
    s.change = (change){8, TARGETS, 1, 9};
    kill_everywhere(&s, set_all_targets);
}

TEST(kill_everywhere_in_set_many_of_new_keys_that_doubles_a_partition) {
    scene s = new_scene(4 * MIB);
    for (unsigned i = 8; i < 8 + TARGETS; i++)
        CHECK_OK(drop_number(s.actor, i));
    fill_partition_of(&s, 10);
    s.change = (change){8, TARGETS, 0, 9};
    kill_everywhere(&s, set_all_targets);
}

static void rename_to_the_next(fkv_table *table, void *context) {
    scene *s = context;
    name old_name = number_name(s->change.first), new_name = number_name(s->change.first + 1000);
    fkv_key from = number_key(table, &old_name), to = number_key(table, &new_name);
    CHECK_OK(fkv_rename(table, &from, &to, 0));
}

/* What was at the old name is there, or at the new one; neither at both nor at none. The value of the
 * new name is a copy, so its stamp is that of the old number. */
static void expect_one_of_two_names(fkv_table *survivor) {
    bytes value = BYTES;
    uint64_t sequence;
    name new_name = number_name(1003);
    fkv_key to = number_key(survivor, &new_name);
    fkv_status status = fkv_get(survivor, &to, &value.sink);
    bool moved = status == FKV_OK && stamp_is_whole(value.data, value.size, 3, &sequence);
    bool old = status == FKV_MISS || (!moved && stamp_is_whole(value.data, value.size, 1003, &sequence));
    CHECK(moved || old);
    CHECK_EQUAL(sequence_of(survivor, 3), moved ? 0 : 1);
    free(value.data);
}

TEST(kill_everywhere_in_a_rename_to_a_new_key) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 0};
    s.expect = expect_one_of_two_names;
    kill_everywhere(&s, rename_to_the_next);
}

TEST(kill_everywhere_in_a_rename_over_a_key) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 0};
    s.expect = expect_one_of_two_names;
    CHECK_OK(put_stamped(s.witness, 1003, 1, 40));
    kill_everywhere(&s, rename_to_the_next);
}

TEST(kill_everywhere_in_a_rename_that_doubles_the_partition) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 0};
    s.expect = expect_one_of_two_names;
    fill_partition_of(&s, 1003);
    kill_everywhere(&s, rename_to_the_next);
}

static void copy_to_the_next(fkv_table *table, void *context) {
    scene *s = context;
    name old_name = number_name(s->change.first), new_name = number_name(s->change.first + 1000);
    fkv_key from = number_key(table, &old_name), to = number_key(table, &new_name);
    CHECK_OK(fkv_copy(table, &from, &to, FKV_NX));
}

TEST(kill_everywhere_in_a_copy) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 1};
    kill_everywhere(&s, copy_to_the_next);
}

static void clear_all(fkv_table *table, void *context) {
    (void)context;
    CHECK_OK(fkv_clear(table, FKV_ALL_DATABASES));
}

TEST(kill_everywhere_in_clear) {
    scene s = new_scene(4 * MIB);
    s.looks = 60; /* each key of each partition is waited for */
    s.change = (change){0, KEYS, 1, 0};
    kill_everywhere(&s, clear_all);
}

static void clear_other(fkv_table *table, void *context) {
    (void)context;
    CHECK_OK(fkv_clear(table, 5));
}

TEST(kill_everywhere_in_clear_of_another_database) {
    scene s = new_scene(4 * MIB);
    s.looks = 60;
    for (unsigned i = 0; i < KEYS; i++) {
        name name = number_name(i);
        fkv_key key = fkv_make_key(s.actor, 5, name.text, name.size);
        CHECK_OK(fkv_set(s.actor, &key, "v", 1, 0, 0, NULL, NULL));
    }
    s.change = (change){3, 1, 1, 1};
    kill_everywhere(&s, clear_other);
}

/* ---- coming and going --------------------------------------------------------------------------------- */

static void register_anew(fkv_table *table, void *context) {
    (void)context;
    atomic_store(&table->forks, atomic_load(&fkv_fork_count) - 1); /* as after a fork */
    CHECK(fkv_own_activity(table) != &table->nowhere);
}

TEST(kill_everywhere_in_registration) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 1};
    s.living = 2; /* the actor's entry is no longer, or not yet, its own */
    fkv_unregister(s.actor);
    kill_everywhere(&s, register_anew);
}

static void unregister(fkv_table *table, void *context) {
    (void)context;
    fkv_unregister(table);
}

TEST(kill_everywhere_in_departure) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 1};
    s.living = 2;
    kill_everywhere(&s, unregister);
    register_anew(s.actor, NULL);
}

static void open_and_close(fkv_table *table, void *context) {
    (void)table;
    fkv_fault fault;
    CHECK_OK(fkv_attach(*(int *)context, FKV_ATTACHED, 0, &table, &fault));
    fkv_detach(table);
}

TEST(kill_everywhere_in_attach_and_detach) {
    scene s = new_scene(4 * MIB);
    tally total = {0};
    s.change = (change){3, 1, 1, 1};
    recording *r = record_opening(s.witness->fd, s.witness, open_and_close, &s.witness->fd);
    fkv_table *survivor = new_survivor(s.witness);
    unsigned neighbour = neighbour_of(s.witness, &s);
    total.states = look_at_states(survivor, r, &s, s.looks, neighbour, &total);
    kill_repairs(survivor, r, &s, neighbour, &total);
    test_note("%zu steps; killed at %zu of them and at %zu of repairs", step_count(r), total.states,
              total.states_of_repairs);
    free_survivor(survivor);
    free_recording(r);
}

static const fkv_config small_table = {.memory_bytes = 4 * MIB};

static void create_and_leave(fkv_table *table, void *context) {
    fkv_fault fault;
    CHECK_OK(fkv_create(*(int *)context, &small_table, FKV_ATTACHED, 0, &table, &fault));
    table->base = NULL; /* dies here: gives nothing back */
}

/* Whoever comes next has a whole table: the one that was made, or another in its place. */
static void open_or_create_over(int fd, bool attach_first) {
    fkv_table *table;
    fkv_fault fault;
    fkv_status status = FKV_HALF_MADE;
    if (attach_first)
        status = fkv_attach(fd, FKV_ATTACHED, 0, &table, &fault);
    if (status == FKV_HALF_MADE)
        status = fkv_create(fd, &small_table, FKV_ATTACHED, 0, &table, &fault);
    if (status == FKV_EXISTS)
        status = fkv_attach(fd, FKV_ATTACHED, 0, &table, &fault);
    if (status != FKV_OK)
        test_failed(__FILE__, __LINE__, "%s", fault.text);
    CHECK_OK(put(table, "k", "v"));
    CHECK_TEXT(text_at(table, "k"), "v");
    check_clean(table);
    CHECK_EQUAL(facts_of(table).participants, 1);
    expect_no_leak(table);
    fkv_detach(table);
}

TEST(kill_everywhere_in_create) {
    int fd = new_object();
    size_t looked = 0;
    recording *r = record_opening(fd, new_table(4 * MIB), create_and_leave, &fd);
    size_t stride = thorough() ? 1 : step_count(r) / 250 + 1;
    for (size_t n = 0; n <= step_count(r); n++) {
        if (n % stride != 0 && n < step_count(r))
            continue;
        int copy = new_object();
        put_state(r, n, copy);
        open_or_create_over(copy, looked++ % 50 == 0); /* attach waits a while for a creator */
        close(copy);
    }
    test_note("%zu steps; killed at %zu of them", step_count(r), looked);
    free_recording(r);
}

static bool visit(void *context, const void *key, size_t key_size) {
    (void)key, (void)key_size;
    ++*(unsigned *)context;
    return true;
}

/* Tomorrow, when all that can expire has: a scan meets the others. What the dead had under way, and
 * whoever was killed in a repair, may each have left one uncounted, or counted if `more`. */
static void expect_count_tomorrow(fkv_table *survivor, unsigned more) {
    unsigned met = 0;
    uint64_t cursor = 0;
    atomic_store(&clock_step_s, 86400);
    do
        CHECK_OK(fkv_scan(survivor, 0, &cursor, 1000, visit, &met));
    while (cursor != 0);
    uint64_t keys = fkv_count(survivor, 0, NULL);
    atomic_store(&clock_step_s, 0);
    CHECK(keys <= met + more && keys + 2 >= met);
}

static void expect_it_never_counted(fkv_table *survivor) {
    expect_count_tomorrow(survivor, 0);
}

static void expect_one_counted_at_most(fkv_table *survivor) {
    expect_count_tomorrow(survivor, 1);
}

static fkv_status put_for_hours(fkv_table *table, const fkv_key *key, unsigned hours) {
    return fkv_set(table, key, "v", 1, 0, fkv_now_ms() + hours * INT64_C(3600000), NULL, NULL);
}

static void set_expiring(fkv_table *table, void *context) {
    (void)context;
    fkv_key key = text_key(table, "session");
    CHECK_OK(put_for_hours(table, &key, 1));
}

TEST(kill_everywhere_in_a_set_that_expires) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 1};
    s.name = "session";
    s.expect = expect_it_never_counted;
    kill_everywhere(&s, set_expiring);
}

static void sweep_tomorrow(fkv_table *table, void *context) {
    (void)context;
    atomic_store(&clock_step_s, 86400);
    fkv_sweep(table, UINT32_MAX, NULL);
    atomic_store(&clock_step_s, 0);
}

TEST(kill_everywhere_in_a_sweep) {
    scene s = new_scene(4 * MIB);
    s.change = (change){3, 1, 1, 1};
    s.name = "session";
    s.expect = expect_one_counted_at_most;
    unsigned count = 0;
    for (unsigned i = 3000000; count < 10; i++) { /* in one page */
        name name = number_name(i);
        fkv_key key = number_key(s.actor, &name);
        if (fkv_partition_of(s.actor, key.hash) != partition_of(s.actor, "session"))
            continue;
        CHECK_OK(put_for_hours(s.actor, &key, count++ == 0 ? 100 : 1)); /* one of them stays */
    }
    kill_everywhere(&s, sweep_tomorrow);
}
