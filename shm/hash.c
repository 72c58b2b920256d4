/* hash.c -- SipHash-1-3: a keyed hash that a client who picks the keys cannot flood.
 *
 * Algorithm: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012, with one
 * compression round and three finalisation rounds. */
#include "internal.h"

static inline uint64_t rotate(uint64_t x, unsigned bits) {
    return x << bits | x >> (64 - bits);
}

typedef struct sip_state {
    uint64_t a, b, c, d;
} sip_state;

static inline void sip_round(sip_state *s) {
    s->a += s->b, s->b = rotate(s->b, 13), s->b ^= s->a, s->a = rotate(s->a, 32);
    s->c += s->d, s->d = rotate(s->d, 16), s->d ^= s->c;
    s->a += s->d, s->d = rotate(s->d, 21), s->d ^= s->a;
    s->c += s->b, s->b = rotate(s->b, 17), s->b ^= s->c, s->c = rotate(s->c, 32);
}

static inline uint64_t load_little_endian(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline void sip_word(sip_state *s, uint64_t word) {
    s->d ^= word;
    sip_round(s);
    s->a ^= word;
}

/* Returns the 64-bit hash of `size` bytes under the 128-bit secret `key`. */
uint64_t fkv_siphash13(const uint64_t key[2], const void *data, size_t size) {
    sip_state s = {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
                   key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
    const uint8_t *p = data;
    size_t left = size;
    for (; left >= 8; left -= 8, p += 8)
        sip_word(&s, load_little_endian(p));
    uint64_t last = (uint64_t)size << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)p[i] << (8 * i);
    sip_word(&s, last);
    s.c ^= 0xff;
    sip_round(&s), sip_round(&s), sip_round(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

fkv_key fkv_make_key(const fkv_table *table, unsigned database, const void *data, size_t size) {
    fkv_key key = {data, size > UINT32_MAX ? UINT32_MAX : (uint32_t)size, database, 0};
    if (size > 0 && size <= FKV_KEY_MAX)
        /* The same key in another database goes elsewhere; odd constant: 2^64 / golden ratio. */
        key.hash = fkv_siphash13(table->hash_key, data, size) ^
                   database * UINT64_C(0x9e3779b97f4a7c15);
    return key;
}

fkv_key fkv_key_of(const fkv_table *table, const fkv_item *item) {
    return fkv_make_key(table, item->database, fkv_item_key(item), item->key_size);
}
