/* test_doors.c -- a key is there until its last millisecond, and then through no door. */
#include <stdlib.h>

#include "test.h"

#define AT_MS INT64_C(1900000000000) /* of the wall clock, which stands still */
#define GRACE_MS 5000
#define LATER_MS (AT_MS + 100000)

/* ---- doors ------------------------------------------------------------------------------------- */

/* Whether the key "k", whose value is "7", is there; looking may change it. */
typedef bool (*door)(fkv_table *table, const fkv_key *key);

static bool was(fkv_status status, fkv_status if_there, fkv_status if_not) {
    if (status != if_there)
        CHECK_STATUS(status, if_not);
    return status == if_there;
}

/* Whether a value came. */
static bool came(bytes *value) {
    bool any = value->data != NULL;
    free(value->data);
    return any;
}

static bool by_get(fkv_table *table, const fkv_key *key) {
    bytes value = BYTES;
    bool there = was(fkv_get(table, key, &value.sink), FKV_OK, FKV_MISS);
    CHECK_EQUAL(came(&value), there);
    return there;
}

static bool by_get_many(fkv_table *table, const fkv_key *key) {
    bytes values[2] = {BYTES, BYTES};
    fkv_sink *sinks[2] = {&values[0].sink, &values[1].sink};
    const fkv_key keys[2] = {text_key(table, "another"), *key};
    bool found[2];
    CHECK_OK(fkv_get_many(table, keys, 2, sinks, found));
    CHECK(!found[0] && !came(&values[0]));
    CHECK_EQUAL(came(&values[1]), found[1]);
    return found[1];
}

static bool by_size(fkv_table *table, const fkv_key *key) {
    uint64_t size;
    return was(fkv_size(table, key, &size), FKV_OK, FKV_MISS);
}

static bool by_expiry(fkv_table *table, const fkv_key *key) {
    int64_t at_ms = AT_MS;
    bool there = was(fkv_expiry(table, key, &at_ms), FKV_OK, FKV_MISS);
    CHECK(!there || at_ms == AT_MS);
    return there;
}

static bool by_usage(fkv_table *table, const fkv_key *key) {
    uint64_t usage;
    return was(fkv_usage(table, key, &usage), FKV_OK, FKV_MISS);
}

static bool by_frequency(fkv_table *table, const fkv_key *key) {
    unsigned count;
    return was(fkv_frequency(table, key, &count), FKV_OK, FKV_MISS);
}

static bool by_count(fkv_table *table, const fkv_key *key) {
    (void)key;
    return fkv_count(table, 0, NULL) == 1;
}

static bool by_count_expiring(fkv_table *table, const fkv_key *key) {
    (void)key;
    uint64_t expiring;
    fkv_count(table, FKV_ALL_DATABASES, &expiring);
    return expiring == 1;
}

static bool by_facts(fkv_table *table, const fkv_key *key) {
    (void)key;
    CHECK_EQUAL(facts_of(table).keys, facts_of(table).expiring);
    return facts_of(table).keys == 1;
}

static bool visit(void *context, const void *key, size_t key_size) {
    (void)key;
    CHECK_EQUAL(key_size, 1);
    ++*(unsigned *)context;
    return true;
}

static bool by_scan(fkv_table *table, const fkv_key *key) {
    (void)key;
    unsigned met = 0;
    uint64_t cursor = 0;
    do
        CHECK_OK(fkv_scan(table, 0, &cursor, 1000, visit, &met));
    while (cursor != 0);
    return met == 1;
}

static bool by_set_nx(fkv_table *table, const fkv_key *key) {
    return was(fkv_set(table, key, "w", 1, FKV_NX, 0, NULL, NULL), FKV_UNMET, FKV_OK);
}

static bool by_set_xx(fkv_table *table, const fkv_key *key) {
    return was(fkv_set(table, key, "w", 1, FKV_XX, 0, NULL, NULL), FKV_OK, FKV_UNMET);
}

static bool by_set_get(fkv_table *table, const fkv_key *key) {
    bytes old = BYTES;
    bool existed;
    CHECK_OK(fkv_set(table, key, "w", 1, 0, 0, &old.sink, &existed));
    CHECK_EQUAL(came(&old), existed);
    return existed;
}

static bool by_set_many_nx(fkv_table *table, const fkv_key *key) {
    const fkv_pair pairs[2] = {{text_key(table, "another"), "w", 1}, {*key, "w", 1}};
    return was(fkv_set_many(table, pairs, 2, FKV_NX, 0), FKV_UNMET, FKV_OK);
}

static bool by_delete(fkv_table *table, const fkv_key *key) {
    return was(fkv_delete(table, key, NULL), FKV_OK, FKV_MISS);
}

/* Whether the key has the old expiry: what took an expired key's place lasts for ever. */
static bool kept_expiry(fkv_table *table, const fkv_key *key) {
    int64_t at_ms;
    CHECK_OK(fkv_expiry(table, key, &at_ms));
    CHECK(at_ms == 0 || at_ms == AT_MS);
    return at_ms == AT_MS;
}

static bool by_set_keeping_ttl(fkv_table *table, const fkv_key *key) {
    CHECK_OK(fkv_set(table, key, "w", 1, FKV_KEEP_TTL, 0, NULL, NULL));
    return kept_expiry(table, key);
}

static bool by_add(fkv_table *table, const fkv_key *key) {
    int64_t sum;
    CHECK_OK(fkv_add(table, key, 1, &sum));
    CHECK_EQUAL(sum, kept_expiry(table, key) ? 8 : 1);
    return sum == 8;
}

static bool by_append(fkv_table *table, const fkv_key *key) {
    uint64_t size;
    CHECK_OK(fkv_append(table, key, "w", 1, &size));
    CHECK_EQUAL(size, kept_expiry(table, key) ? 2 : 1);
    return size == 2;
}

static bool by_expire(fkv_table *table, const fkv_key *key) {
    return was(fkv_expire(table, key, LATER_MS, 0, NULL), FKV_OK, FKV_MISS);
}

static bool by_persist(fkv_table *table, const fkv_key *key) {
    return was(fkv_expire(table, key, 0, 0, NULL), FKV_OK, FKV_MISS);
}

static bool by_getex(fkv_table *table, const fkv_key *key) {
    bytes value = BYTES;
    bool there = was(fkv_expire(table, key, LATER_MS, 0, &value.sink), FKV_OK, FKV_MISS);
    CHECK_EQUAL(came(&value), there);
    return there;
}

static bool by_rename(fkv_table *table, const fkv_key *key) {
    fkv_key other = text_key(table, "other");
    return was(fkv_rename(table, key, &other, 0), FKV_OK, FKV_MISS);
}

static bool by_rename_over_it(fkv_table *table, const fkv_key *key) {
    fkv_key other = text_key(table, "other");
    CHECK_OK(put(table, "other", "w"));
    return was(fkv_rename(table, &other, key, FKV_NX), FKV_UNMET, FKV_OK);
}

static bool by_copy(fkv_table *table, const fkv_key *key) {
    fkv_key other = text_key(table, "other");
    return was(fkv_copy(table, key, &other, 0), FKV_OK, FKV_MISS);
}

static bool by_copy_over_it(fkv_table *table, const fkv_key *key) {
    fkv_key other = text_key(table, "other");
    CHECK_OK(put(table, "other", "w"));
    return was(fkv_copy(table, &other, key, FKV_NX), FKV_UNMET, FKV_OK);
}

static const struct {
    const char *name;
    door is_there;
} doors[] = {
    {"get", by_get}, {"get_many", by_get_many}, {"size", by_size}, {"expiry", by_expiry},
    {"usage", by_usage}, {"frequency", by_frequency}, {"count", by_count},
    {"count of those that expire", by_count_expiring}, {"facts", by_facts}, {"scan", by_scan},
    {"set NX", by_set_nx}, {"set XX", by_set_xx}, {"set GET", by_set_get},
    {"set_many NX", by_set_many_nx}, {"set KEEPTTL", by_set_keeping_ttl}, {"delete", by_delete},
    {"add", by_add}, {"append", by_append}, {"expire", by_expire}, {"persist", by_persist},
    {"getex", by_getex}, {"rename", by_rename}, {"rename over it", by_rename_over_it},
    {"copy", by_copy}, {"copy over it", by_copy_over_it},
};
enum { DOORS = sizeof doors / sizeof doors[0] };

/* ---- ways to give a key its expiry ------------------------------------------------------------- */

static void give_by_set(fkv_table *table, const fkv_key *key) {
    CHECK_OK(fkv_set(table, key, "7", 1, 0, AT_MS, NULL, NULL));
}

static void give_by_set_many(fkv_table *table, const fkv_key *key) {
    const fkv_pair pair = {*key, "7", 1};
    CHECK_OK(fkv_set_many(table, &pair, 1, 0, AT_MS));
}

static void give_by_expire(fkv_table *table, const fkv_key *key) {
    CHECK_OK(put(table, "k", "7"));
    CHECK_OK(fkv_expire(table, key, AT_MS, 0, NULL));
}

static void give_by_expire_again(fkv_table *table, const fkv_key *key) {
    CHECK_OK(fkv_set(table, key, "7", 1, 0, LATER_MS, NULL, NULL));
    CHECK_OK(fkv_expire(table, key, AT_MS, FKV_LT, NULL));
}

static void give_by_rename(fkv_table *table, const fkv_key *key) {
    fkv_key other = text_key(table, "other");
    CHECK_OK(fkv_set(table, &other, "7", 1, 0, AT_MS, NULL, NULL));
    CHECK_OK(fkv_rename(table, &other, key, 0));
}

static void (*const givers[])(fkv_table *, const fkv_key *) = {
    give_by_set, give_by_set_many, give_by_expire, give_by_expire_again, give_by_rename,
};
enum { GIVERS = sizeof givers / sizeof givers[0] };

/* ---- tests ------------------------------------------------------------------------------------- */

static void look(fkv_table *table, unsigned giver, unsigned which, int64_t when_ms, bool sweep) {
    fkv_key key = text_key(table, "k");
    CHECK_OK(fkv_clear(table, FKV_ALL_DATABASES));
    atomic_store(&clock_stand_ms, AT_MS - GRACE_MS);
    givers[giver](table, &key);
    atomic_store(&clock_stand_ms, when_ms);
    if (sweep)
        CHECK_EQUAL(fkv_sweep(table, UINT32_MAX, NULL), when_ms >= AT_MS);
    if (doors[which].is_there(table, &key) != (when_ms < AT_MS))
        test_failed(__FILE__, __LINE__, "by %s, %lld ms after its expiry, a key is%s there",
                    doors[which].name, (long long)(when_ms - AT_MS), when_ms < AT_MS ? " not" : "");
}

TEST(a_key_is_there_through_every_door_until_its_last_millisecond_and_then_through_none) {
    atomic_store(&clock_stand_ms, AT_MS - GRACE_MS);
    fkv_table *table = new_table(4 * MIB);
    for (unsigned giver = 0; giver < GIVERS; giver++)
        for (unsigned which = 0; which < DOORS; which++)
            for (unsigned sweep = 0; sweep < 2; sweep++) {
                look(table, giver, which, AT_MS - 1, sweep);
                look(table, giver, which, AT_MS, sweep);
            }
    CHECK_EQUAL(table->own->counts[FKV_COUNT_expired], GIVERS * DOORS); /* by the sweeps alone */
}
