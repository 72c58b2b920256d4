/* hot.h -- the commands that C answers, as one table: what dispatches them, counts them, and
 * describes them to COMMAND. */
#ifndef FORKKV_HOT_H
#define FORKKV_HOT_H

#include "connection.h"
#include "fkv.h"
#include "reply.h"

struct hot_command;

/* One call of a command. Its function appends exactly one reply to `out`. */
typedef struct hot_call {
    fkv_table *table;
    connection *client;
    reply *out;
    buffer *scratch; /* empty; whoever uses it empties it again */
    const struct hot_command *command;
    const resp_arg *args; /* args[0] is the name; `count` fits the command's arity */
    size_t count;
    const fkv_key *key; /* args[1] made ready, when the command has a key */
} hot_call;

typedef struct hot_command {
    const char *name; /* lower case */
    int arity;        /* arguments including the name; -N: N or more */
    const char *flags;
    int first_key, last_key, key_step; /* positions; last_key -1: to the end */
    const char *summary;
    void (*run)(hot_call *call);
} hot_command;

extern const hot_command hot_commands[];
extern const unsigned hot_command_count; /* at most FKV_COMMANDS: the row is the counter's row */

/* Builds the index behind hot_find(); may be called again. */
void hot_init(void);

/* The command of that name in any case, or NULL. */
const hot_command *hot_find(const char *name, size_t size);

static inline bool hot_arity_fits(const hot_command *command, size_t count) {
    return command->arity >= 0 ? count == (size_t)command->arity
                               : count >= (size_t)-command->arity;
}

/* ---- for the functions of the table ---------------------------------------------------------- */

/* Replies the error that belongs to a failed operation. */
void hot_fail(hot_call *call, fkv_status status);

/* Replies 1 for FKV_OK, 0 for FKV_MISS and FKV_UNMET, else the error. */
void hot_tell_done(hot_call *call, fkv_status status);

void hot_fail_arity(hot_call *call);
void hot_fail_syntax(hot_call *call);
void hot_fail_expiry(hot_call *call); /* invalid expire time */

/* Reads the integer argument. False: the error is replied. */
bool hot_read_integer(hot_call *call, const resp_arg *arg, int64_t *ret);

/* Reads the number of a database (hot_session.c). False: the error is replied. */
bool hot_read_database(hot_call *call, const resp_arg *arg, unsigned *ret);

/* Whether the argument is this word, given in lower case. */
bool hot_is_word(const resp_arg *arg, const char *word);

static inline fkv_key hot_make_key(const hot_call *call, const resp_arg *arg) {
    return fkv_make_key(call->table, call->client->database, arg->data, arg->size);
}

#define HOT_FUNCTIONS(X)                                                                           \
    X(ping) X(echo) X(select) X(quit)                                       /* hot_session.c */    \
    X(get) X(set) X(setnx) X(setex) X(psetex) X(getset) X(getdel) X(getex)  /* hot_strings.c */    \
    X(append) X(strlen)                                                                            \
    X(mget) X(mset) X(msetnx)                                               /* hot_many.c */       \
    X(incr) X(decr) X(incrby) X(decrby)                                     /* hot_numbers.c */    \
    X(del) X(exists) X(type)                                                /* hot_keys.c */       \
    X(rename) X(renamenx) X(copy) X(move)                                   /* hot_rename.c */     \
    X(expire) X(pexpire) X(expireat) X(pexpireat)                           /* hot_expiry.c */     \
    X(ttl) X(pttl) X(expiretime) X(pexpiretime) X(persist)
#define HOT_DECLARE(name) void hot_##name(hot_call *call);
HOT_FUNCTIONS(HOT_DECLARE)
#undef HOT_DECLARE

#endif
