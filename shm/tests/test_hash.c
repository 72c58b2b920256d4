/* test_hash.c -- SipHash-1-3 is what it says, and keys spread over the table. */
#include "test.h"

TEST(siphash_1_3_of_known_bytes) {
    /* Key 00 01 .. 0f, message 00 01 .. n-1: as computed with an independent implementation. */
    const struct {
        unsigned size;
        uint64_t hash;
    } known[] = {
        {0, UINT64_C(0xabac0158050fc4dc)},
        {1, UINT64_C(0xc9f49bf37d57ca93)},
        {7, UINT64_C(0xd3927d989bb11140)},
        {8, UINT64_C(0x369095118d299a8e)},
        {15, UINT64_C(0xd320d86d2a519956)},
        {63, UINT64_C(0x9d199062b7bbb3a8)},
    };
    uint8_t key_bytes[16], message[64];
    uint64_t key[2];
    for (unsigned i = 0; i < 64; i++)
        message[i] = key_bytes[i % 16] = (uint8_t)i;
    for (unsigned i = 0; i < 16; i++)
        key_bytes[i] = (uint8_t)i;
    memcpy(key, key_bytes, sizeof key);
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
        CHECK(fkv_siphash13(key, message, known[i].size) == known[i].hash);
}

TEST(two_tables_hash_with_different_secrets) {
    fkv_table *one = new_table(4 * MIB), *two = new_table(4 * MIB);
    CHECK(text_key(one, "k").hash != text_key(two, "k").hash);
}

/* Shares differ by up to two on purpose, so that partitions do not double together. */
TEST(partitions_get_shares_that_differ_by_no_more_than_two) {
    fkv_table *table = new_table(16 * MIB);
    unsigned least = UINT32_MAX, most = 0;
    for (unsigned i = 0; i < 100000; i++)
        CHECK_OK(put_number(table, i, "v", 1));
    for (unsigned i = 0; i < table->geometry.partition_count; i++) {
        unsigned used = table->partitions[i].used;
        least = used < least ? used : least;
        most = used > most ? used : most;
    }
    CHECK(least > 0 && most < 5 * least / 2);
}
