/* revise.c -- writes that depend on the old value: add, append, expire, keep the expiry.
 *
 * Look without a lock, plan, compose privately, lock, and publish if the key's slot is still the
 * one that was looked at; else look again. No lock is held while bytes are copied. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

typedef struct revision {
    const fkv_key *key;
    fkv_found found; /* what was read; valid if `there` */
    bool there, lives;
    /* what is to be: value of `size` made of the old value's first `keep` bytes and `tail` */
    uint64_t size, keep;
    const void *tail;
    int64_t expires_at_ms;
    bool remove;
} revision;

/* Reads the key without a lock for a revision. FKV_BUSY when interfered with too often. */
static fkv_status look(fkv_table *table, revision *r) {
    enum fkv_search search = fkv_search_racy(table, r->key, &r->found);
    if (search == FKV_SEARCH_HIT && !fkv_still_valid(table, &r->found))
        return FKV_BUSY; /* its size may be that of something else */
    r->there = search == FKV_SEARCH_HIT;
    r->lives = r->there && !fkv_expired(r->found.expires_at_ms);
    return search == FKV_SEARCH_RETRY ? FKV_BUSY : FKV_OK;
}

/* Locks the partition if the key's slot is still what was looked at. FKV_UNMET: it is not. */
static fkv_status lock_if_same(fkv_table *table, revision *r) {
    fkv_found now;
    fkv_partition *partition = fkv_partition_of(table, r->key->hash);
    fkv_status status = fkv_partition_lock(table, partition);
    if (status != FKV_OK)
        return status;
    bool there = fkv_search_locked(table, r->key, &now);
    if (there == r->there && (!there || (now.slot == r->found.slot &&
                                         now.generation == r->found.generation))) {
        r->found = now; /* slots may have moved with a growth; the item has not */
        return FKV_OK;
    }
    fkv_partition_unlock(table, partition);
    return FKV_UNMET;
}

static fkv_item *compose_revision(fkv_table *table, const revision *r, fkv_status *ret_status) {
    fkv_item *item = fkv_compose_any(table, r->key, r->size, r->expires_at_ms, ret_status);
    if (item == NULL)
        return NULL;
    char *value = (char *)fkv_item_value(item);
    if (r->keep > 0)
        fkv_copy_value(table, &r->found, value, r->keep);
    if (r->size > r->keep)
        memcpy(value + r->keep, r->tail, r->size - r->keep);
    fkv_append_done(table, item, r->expires_at_ms);
    return item;
}

/* Composes, locks, publishes. FKV_UNMET: somebody changed the key; look again. */
static fkv_status apply_revision(fkv_table *table, revision *r) {
    fkv_item *item = NULL;
    fkv_status status = FKV_OK;
    if (!r->remove && (item = compose_revision(table, r, &status)) == NULL)
        return status;
    int tries = 0;
    do {
        if ((status = lock_if_same(table, r)) != FKV_OK)
            break;
        if (item != NULL)
            status = fkv_publish_locked(table, r->key, &r->found, r->there, item);
        else if (r->there)
            fkv_remove_locked(table, r->key, &r->found);
        fkv_partition_unlock(table, fkv_partition_of(table, r->key->hash));
    } while (fkv_make_index_room(table, status, &tries));
    if (status != FKV_OK && item != NULL)
        fkv_append_undo(table, item);
    return status;
}

/* Says what is to be, from what was found. Not FKV_OK: the operation's answer; if it rests on the
 * old value it is believed only when that was still valid. */
typedef fkv_status (*plan_fn)(fkv_table *table, revision *r, void *context);

/* One try; FKV_UNMET with *ret_again: the key changed meanwhile. */
static fkv_status try_revise(fkv_table *table, revision *r, plan_fn plan, void *context,
                             bool *ret_again) {
    fkv_status status = look(table, r);
    *ret_again = status == FKV_BUSY;
    if (status != FKV_OK)
        return status;
    r->remove = false;
    status = plan(table, r, context);
    if (status != FKV_OK) {
        *ret_again = r->there && !fkv_still_valid(table, &r->found);
        return status;
    }
    status = apply_revision(table, r);
    *ret_again = status == FKV_UNMET;
    return status;
}

static fkv_status revise(fkv_table *table, const fkv_key *key, plan_fn plan, void *context) {
    revision r = {.key = key};
    bool again = true;
    fkv_status status = FKV_OK;
    for (unsigned tries = 1; again; tries++) {
        status = try_revise(table, &r, plan, context, &again);
        fkv_append_settle(table); /* a run composed in vain may be reclaimed for the next try */
        if (again && tries % FKV_READ_TRIES == 0) {
            /* A commit is under way, or its process died: the lock waits for it, or repairs. */
            status = fkv_partition_settle(table, fkv_partition_of(table, key->hash));
            if (status != FKV_OK)
                return status;
        }
    }
    return status;
}

static fkv_status revise_once(fkv_table *table, const fkv_key *key, plan_fn plan, void *context) {
    fkv_status status = fkv_check_key(key);
    if (status == FKV_OK)
        status = fkv_write_begin_at(table, fkv_partition_of(table, key->hash));
    if (status != FKV_OK)
        return status;
    status = revise(table, key, plan, context);
    if (status == FKV_OK)
        fkv_count_up(table->own, FKV_COUNT_sets, 1);
    fkv_write_end(table);
    return status;
}

/* ---- add, append, expire, keep ttl ----------------------------------------------------------- */

typedef struct add_context {
    int64_t delta, sum;
    char digits[24];
} add_context;

/* The whole text must be one integer as this code would write it: "7", not "+7", " 7" or "07". */
static bool parse_integer(const char *text, size_t size, int64_t *ret) {
    char *end, again[24];
    errno = 0;
    *ret = strtoll(text, &end, 10);
    if (errno != 0 || end != text + size)
        return false;
    snprintf(again, sizeof again, "%lld", (long long)*ret);
    return strcmp(again, text) == 0;
}

static fkv_status plan_add(fkv_table *table, revision *r, void *context) {
    (void)table;
    add_context *add = context;
    int64_t number = 0;
    char text[24] = "";
    if (r->lives) {
        if (r->found.value_size == 0 || r->found.value_size >= sizeof text)
            return FKV_NOT_INTEGER;
        fkv_racy_copy(text, r->found.value, r->found.value_size);
        if (!parse_integer(text, r->found.value_size, &number))
            return FKV_NOT_INTEGER;
    }
    if (__builtin_add_overflow(number, add->delta, &add->sum))
        return FKV_OVERFLOW;
    r->size = (uint64_t)snprintf(add->digits, sizeof add->digits, "%lld", (long long)add->sum);
    r->tail = add->digits;
    r->expires_at_ms = r->lives ? r->found.expires_at_ms : 0;
    return FKV_OK;
}

fkv_status fkv_add(fkv_table *table, const fkv_key *key, int64_t delta, int64_t *ret_sum) {
    add_context add = {.delta = delta};
    fkv_status status = revise_once(table, key, plan_add, &add);
    *ret_sum = add.sum;
    return status;
}

typedef struct tail_context {
    const void *tail;
    size_t size;
    uint64_t total;
} tail_context;

static fkv_status plan_append(fkv_table *table, revision *r, void *context) {
    (void)table;
    tail_context *append = context;
    r->keep = r->lives ? r->found.value_size : 0;
    append->total = r->size = r->keep + append->size;
    r->tail = append->tail;
    r->expires_at_ms = r->lives ? r->found.expires_at_ms : 0;
    return FKV_OK;
}

fkv_status fkv_append(fkv_table *table, const fkv_key *key, const void *value, size_t value_size,
                      uint64_t *ret_size) {
    tail_context append = {value, value_size, 0};
    fkv_status status = revise_once(table, key, plan_append, &append);
    *ret_size = append.total;
    return status;
}

typedef struct expire_context {
    int64_t at_ms;
    unsigned flags;
    fkv_sink *value;
} expire_context;

static bool expire_allowed(const expire_context *expire, int64_t now_set_ms) {
    unsigned flags = expire->flags;
    bool never = now_set_ms == 0; /* later than any time */
    return !((flags & FKV_NX) && !never) && !((flags & FKV_XX) && never) &&
           !((flags & FKV_GT) && (never || expire->at_ms <= now_set_ms)) &&
           !((flags & FKV_LT) && !never && expire->at_ms >= now_set_ms);
}

static fkv_status plan_expire(fkv_table *table, revision *r, void *context) {
    expire_context *expire = context;
    if (!r->lives)
        return FKV_MISS;
    if (expire->value != NULL && !fkv_take_value(table, &r->found, expire->value))
        return FKV_SYSTEM;
    if (!expire_allowed(expire, r->found.expires_at_ms) ||
        (expire->at_ms == 0 && r->found.expires_at_ms == 0))
        return FKV_UNMET;
    r->keep = r->size = r->found.value_size;
    r->expires_at_ms = expire->at_ms;
    r->remove = fkv_expired(expire->at_ms);
    return FKV_OK;
}

fkv_status fkv_expire(fkv_table *table, const fkv_key *key, int64_t at_ms, unsigned flags,
                      fkv_sink *value) {
    expire_context expire = {at_ms, flags, value};
    return revise_once(table, key, plan_expire, &expire);
}

typedef struct keep_context {
    fkv_set_request *request;
    tail_context value;
} keep_context;

static fkv_status plan_keep(fkv_table *table, revision *r, void *context) {
    keep_context *keep = context;
    fkv_set_request *request = keep->request;
    request->existed = r->lives;
    if (r->lives && request->old != NULL && !fkv_take_value(table, &r->found, request->old))
        return FKV_SYSTEM;
    if (((request->flags & FKV_NX) && r->lives) || ((request->flags & FKV_XX) && !r->lives))
        return FKV_UNMET;
    r->size = keep->value.size;
    r->tail = keep->value.tail;
    r->expires_at_ms = r->lives ? r->found.expires_at_ms : 0;
    return FKV_OK;
}

fkv_status fkv_set_keeping_ttl(fkv_table *table, fkv_set_request *request, const void *value,
                                  size_t value_size) {
    keep_context keep = {request, {value, value_size, 0}};
    return revise(table, request->key, plan_keep, &keep);
}
