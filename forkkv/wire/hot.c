/* hot.c -- the table of hot commands, and finding a row by its name. */
#include "hot.h"

#include <assert.h>

const hot_command hot_commands[] = {
    /* name, arity, flags, first key, last key, key step, summary, function */
    {"ping", -1, "fast", 0, 0, 0, "Answers PONG, or the argument", hot_ping},
    {"echo", 2, "loading stale fast", 0, 0, 0, "Answers the argument", hot_echo},
    {"select", 2, "loading stale fast", 0, 0, 0, "Chooses the connection's database", hot_select},
    {"quit", -1, "noscript loading stale fast no_auth", 0, 0, 0, "Ends the connection", hot_quit},
    {"get", 2, "readonly fast", 1, 1, 1, "The value of a key", hot_get},
    {"set", -3, "write denyoom", 1, 1, 1, "Stores a value, maybe on conditions", hot_set},
    {"setnx", 3, "write denyoom fast", 1, 1, 1, "Stores a value if the key is absent", hot_setnx},
    {"setex", 4, "write denyoom", 1, 1, 1, "Stores a value that lasts some seconds", hot_setex},
    {"psetex", 4, "write denyoom", 1, 1, 1, "Stores a value that lasts milliseconds", hot_psetex},
    {"getset", 3, "write denyoom fast", 1, 1, 1, "Replaces a value, answers the old", hot_getset},
    {"getdel", 2, "write fast", 1, 1, 1, "Removes a key, answers its value", hot_getdel},
    {"getex", -2, "write fast", 1, 1, 1, "Answers a value and changes its expiry", hot_getex},
    {"append", 3, "write denyoom fast", 1, 1, 1, "Adds to the end of a value", hot_append},
    {"strlen", 2, "readonly fast", 1, 1, 1, "The length of a value in bytes", hot_strlen},
    {"mget", -2, "readonly fast", 1, -1, 1, "The values of keys, all of one moment", hot_mget},
    {"mset", -3, "write denyoom", 1, -1, 2, "Stores all of the values or none", hot_mset},
    {"msetnx", -3, "write denyoom", 1, -1, 2, "Stores all if none of the keys exists", hot_msetnx},
    {"incr", 2, "write denyoom fast", 1, 1, 1, "Adds one to an integer", hot_incr},
    {"decr", 2, "write denyoom fast", 1, 1, 1, "Subtracts one from an integer", hot_decr},
    {"incrby", 3, "write denyoom fast", 1, 1, 1, "Adds to an integer", hot_incrby},
    {"decrby", 3, "write denyoom fast", 1, 1, 1, "Subtracts from an integer", hot_decrby},
    {"del", -2, "write", 1, -1, 1, "Removes keys", hot_del},
    {"unlink", -2, "write fast", 1, -1, 1, "Removes keys, as DEL does", hot_del},
    {"exists", -2, "readonly fast", 1, -1, 1, "How many of the keys exist", hot_exists},
    {"type", 2, "readonly fast", 1, 1, 1, "The type of a value: string or none", hot_type},
    {"rename", 3, "write", 1, 2, 1, "Gives a value another name", hot_rename},
    {"renamenx", 3, "write fast", 1, 2, 1, "The same if that name is free", hot_renamenx},
    {"copy", -3, "write denyoom", 1, 2, 1, "Copies a value to another name", hot_copy},
    {"move", 3, "write fast", 1, 1, 1, "Moves a key to another database", hot_move},
    {"expire", -3, "write fast", 1, 1, 1, "Lets a key last some seconds", hot_expire},
    {"pexpire", -3, "write fast", 1, 1, 1, "Lets a key last milliseconds", hot_pexpire},
    {"expireat", -3, "write fast", 1, 1, 1, "Lets a key last until a second", hot_expireat},
    {"pexpireat", -3, "write fast", 1, 1, 1, "Lets a key last until a millisecond", hot_pexpireat},
    {"ttl", 2, "readonly fast", 1, 1, 1, "Seconds that a key still lasts", hot_ttl},
    {"pttl", 2, "readonly fast", 1, 1, 1, "Milliseconds that a key still lasts", hot_pttl},
    {"expiretime", 2, "readonly fast", 1, 1, 1, "The second a key expires at", hot_expiretime},
    {"pexpiretime", 2, "readonly fast", 1, 1, 1, "The millisecond it expires at", hot_pexpiretime},
    {"persist", 2, "write fast", 1, 1, 1, "Takes the expiry of a key away", hot_persist},
};

#define COUNT (sizeof hot_commands / sizeof hot_commands[0])
static_assert(COUNT <= FKV_COMMANDS, "each hot command needs a row of counters");
const unsigned hot_command_count = COUNT;

/* The index: open addressing over names packed into two words, so that one comparison of words
 * settles case and length. Names are letters only, for which setting 0x20 means lower case. */
#define SLOT_BITS 7
#define SLOTS (1u << SLOT_BITS)
#define NAME_MAX_SIZE 16

typedef struct packed_name {
    uint64_t low, high;
} packed_name;

static struct slot {
    packed_name name;
    const hot_command *command;
} slots[SLOTS];

static inline packed_name pack(const char *name, size_t size) {
    packed_name packed = {0, 0};
    size_t low_size = size < 8 ? size : 8;
    for (size_t i = 0; i < low_size; i++)
        packed.low |= (uint64_t)((unsigned char)name[i] | 0x20) << 8 * i;
    for (size_t i = 8; i < size; i++)
        packed.high |= (uint64_t)((unsigned char)name[i] | 0x20) << 8 * (i - 8);
    return packed;
}

static inline unsigned slot_of(packed_name name) {
    return (unsigned)((name.low ^ name.high << 1) * 0x9E3779B97F4A7C15u >> (64 - SLOT_BITS));
}

void hot_init(void) {
    memset(slots, 0, sizeof slots);
    for (size_t row = 0; row < COUNT; row++) {
        packed_name name = pack(hot_commands[row].name, strlen(hot_commands[row].name));
        unsigned at = slot_of(name);
        while (slots[at].command)
            at = (at + 1) % SLOTS;
        slots[at] = (struct slot){name, &hot_commands[row]};
    }
}

const hot_command *hot_find(const char *text, size_t size) {
    if (size > NAME_MAX_SIZE)
        return NULL;
    packed_name name = pack(text, size);
    for (unsigned at = slot_of(name); slots[at].command; at = (at + 1) % SLOTS)
        if (slots[at].name.low == name.low && slots[at].name.high == name.high)
            return slots[at].command;
    return NULL;
}
