/* hot_many.c -- MGET, MSET and MSETNX: several keys as of one moment. */
#include <stdlib.h>

#include "hot.h"

#define SCRATCH_KEPT ((size_t)1 << 20) /* bytes that stay allocated between calls */

/* Where one value of an MGET goes: into the scratch buffer first, because a read of many keys may
 * start over, and only its end tells which of them exist. */
typedef struct value_place {
    fkv_sink sink;
    reply *out; /* for its limit, and to break */
    buffer *scratch;
    size_t at, size, reserved; /* in the scratch buffer */
} value_place;

static void *place_room(fkv_sink *self, size_t size) {
    value_place *place = (value_place *)self;
    buffer *scratch = place->scratch;
    place->size = size;
    if (place->reserved && size <= place->reserved)
        return scratch->data + place->at;
    if (size > place->out->size_max || buffer_size(scratch) > place->out->size_max - size) {
        place->out->broken = CLOSED_REPLY_LIMIT;
        return NULL;
    }
    char *room = buffer_room(scratch, size);
    if (!room) {
        place->out->broken = CLOSED_NO_MEMORY;
        return NULL;
    }
    place->at = scratch->end;
    place->reserved = size;
    buffer_added(scratch, size);
    return room;
}

/* What fkv_get_many() takes, `count` of each. */
typedef struct lookup {
    fkv_key *keys;
    value_place *places;
    fkv_sink **sinks;
    bool *found;
} lookup;

/* One block of memory; it begins at `keys`. */
static bool lookup_init(lookup *self, size_t count) {
    self->keys = calloc(count, sizeof *self->keys + sizeof *self->places + sizeof *self->sinks +
                                   sizeof *self->found);
    self->places = (value_place *)(self->keys + count);
    self->sinks = (fkv_sink **)(self->places + count);
    self->found = (bool *)(self->sinks + count);
    return self->keys != NULL;
}

static void reply_values(hot_call *call, const lookup *values, size_t count) {
    reply_array(call->out, count);
    for (size_t i = 0; i < count; i++) {
        const value_place *place = &values->places[i];
        if (values->found[i])
            reply_bulk(call->out, call->scratch->data + place->at, place->size);
        else
            reply_null(call->out);
    }
}

void hot_mget(hot_call *call) {
    size_t count = call->count - 1;
    lookup values;
    if (!lookup_init(&values, count)) {
        call->out->broken = CLOSED_NO_MEMORY;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        values.keys[i] = hot_make_key(call, &call->args[i + 1]);
        values.places[i] = (value_place){{place_room}, call->out, call->scratch, 0, 0, 0};
        values.sinks[i] = &values.places[i].sink;
    }
    fkv_status status = fkv_get_many(call->table, values.keys, count, values.sinks, values.found);
    if (status == FKV_OK)
        reply_values(call, &values, count);
    else
        hot_fail(call, status);
    buffer_truncate(call->scratch, 0);
    buffer_shrink(call->scratch, SCRATCH_KEPT);
    free(values.keys);
}

/* Stores the pairs of the arguments. False: the reply is made. */
static bool set_pairs(hot_call *call, unsigned flags, fkv_status *ret_status) {
    if (call->count % 2 == 0) {
        hot_fail_arity(call);
        return false;
    }
    size_t count = call->count / 2;
    fkv_pair *pairs = malloc(count * sizeof *pairs);
    if (!pairs) {
        call->out->broken = CLOSED_NO_MEMORY;
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const resp_arg *key = &call->args[1 + 2 * i], *value = key + 1;
        pairs[i] = (fkv_pair){hot_make_key(call, key), value->data, value->size};
    }
    *ret_status = fkv_set_many(call->table, pairs, count, flags, 0);
    free(pairs);
    return true;
}

void hot_mset(hot_call *call) {
    fkv_status status;
    if (!set_pairs(call, 0, &status))
        return;
    if (status == FKV_OK)
        reply_ok(call->out);
    else
        hot_fail(call, status);
}

void hot_msetnx(hot_call *call) {
    fkv_status status;
    if (set_pairs(call, FKV_NX, &status))
        hot_tell_done(call, status);
}
