/* table.h -- the Table object, and how Python values become the core's and come back. */
#ifndef FORKKV_TABLE_H
#define FORKKV_TABLE_H

#include "binding.h"

#define TABLE_NAME_SIZE 128

typedef struct table_object {
    PyObject_HEAD
    fkv_table *handle;          /* NULL: closed */
    const binding_state *state; /* lives as long as this object's type does */
    unsigned database;
    char name[TABLE_NAME_SIZE]; /* for messages; "" when nobody said */
} table_object;

/* Raises TableClosed. Always NULL. */
fkv_table *table_closed(const table_object *self);

/* The open handle, or NULL with TableClosed set. Any Python code that runs may close it. */
static inline fkv_table *table_handle(const table_object *self) {
    return self->handle ? self->handle : table_closed(self);
}

/* binding_raise() for this table. Always NULL. */
PyObject *table_raise(const table_object *self, fkv_status status);

/* ---- values (convert.c) ---------------------------------------------------------------------- */

/* Receives a value as a bytes object, without a copy between. The caller owns `bytes`, which may
 * be set even when the operation failed; start from TABLE_SINK. */
typedef struct table_sink {
    fkv_sink sink;
    PyObject *bytes;
} table_sink;
void *table_sink_room(fkv_sink *self, size_t size);
#define TABLE_SINK ((table_sink){{table_sink_room}, NULL})

/* Bytes borrowed from a Python object: valid while the object lives, and until the release. */
typedef struct table_value {
    const void *data;
    size_t size;
    Py_buffer buffer;
    bool has_buffer;
} table_value;
bool table_value_acquire(table_value *value, PyObject *object); /* false: exception set */
void table_value_release(table_value *value);

/* Makes a key of bytes or str (as UTF-8), borrowed from `object`, and returns the open handle to
 * use it with. NULL: exception set. */
fkv_table *table_key(const table_object *self, PyObject *object, fkv_key *ret);

/* Milliseconds since the epoch, from seconds ahead of now (must be above 0). */
bool table_ttl(PyObject *seconds, int64_t *ret_at_ms);

/* The same from seconds since the epoch; what lies before 1970 becomes the first millisecond. */
bool table_time(PyObject *seconds, int64_t *ret_at_ms);


/* False, with TypeError set, unless `min` <= count <= `max`. */
bool table_arity(const char *function, Py_ssize_t count, Py_ssize_t min, Py_ssize_t max);

/* A database number, or with `or_all` FKV_ALL_DATABASES. False: ValueError set. */
bool table_database(long number, bool or_all, unsigned *ret);

/* A role and the index within it. False: ValueError set. */
bool table_role(long role, long role_index);

/* A converter for PyArg_Parse: the name of a policy to its number, an int. */
int table_policy(PyObject *name, void *ret);

/* ---- methods, by file ------------------------------------------------------------------------ */

typedef PyObject *const *table_args;

/* table_keys.c: one key */
PyObject *table_get(PyObject *self, table_args args, Py_ssize_t count);
PyObject *table_get_item(PyObject *self, PyObject *key);
int table_set_item(PyObject *self, PyObject *key, PyObject *value); /* value NULL: delete */
int table_contains(PyObject *self, PyObject *key);
PyObject *table_set(PyObject *self, table_args args, Py_ssize_t count, PyObject *names);
PyObject *table_get_set(PyObject *self, table_args args, Py_ssize_t count);
PyObject *table_delete(PyObject *self, PyObject *key);
PyObject *table_pop_value(PyObject *self, PyObject *key);
PyObject *table_incr(PyObject *self, table_args args, Py_ssize_t count);
PyObject *table_append(PyObject *self, table_args args, Py_ssize_t count);
PyObject *table_expire(PyObject *self, table_args args, Py_ssize_t count);
PyObject *table_expire_at(PyObject *self, table_args args, Py_ssize_t count);
PyObject *table_persist(PyObject *self, PyObject *key);
PyObject *table_remaining(PyObject *self, PyObject *key);
PyObject *table_memory_usage(PyObject *self, PyObject *key);
PyObject *table_frequency(PyObject *self, PyObject *key);

/* table_many.c: many keys */
PyObject *table_get_many(PyObject *self, PyObject *keys);
PyObject *table_set_many(PyObject *self, table_args args, Py_ssize_t count);
PyObject *table_scan(PyObject *self, PyObject *args);
PyObject *table_count(PyObject *self, PyObject *database);
PyObject *table_count_some(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *table_clear(PyObject *self, PyObject *args);

/* table_rename.c: a value under another name */
PyObject *table_rename(PyObject *self, table_args args, Py_ssize_t count);
PyObject *table_copy(PyObject *self, table_args args, Py_ssize_t count);

/* table_upkeep.c: what the server's processes do for the table and say of themselves */
PyObject *table_enroll(PyObject *self, PyObject *args);
PyObject *table_retire(PyObject *self, PyObject *ignored);
PyObject *table_sweep(PyObject *self, PyObject *pages);
PyObject *table_reclaim_ahead(PyObject *self, PyObject *ignored);
PyObject *table_shrink(PyObject *self, PyObject *ignored);
PyObject *table_purge(PyObject *self, PyObject *ignored);
PyObject *table_purge_wanted(PyObject *self, PyObject *ignored);
PyObject *table_set_policy(PyObject *self, PyObject *policy);
PyObject *table_repair(PyObject *self, PyObject *ignored);
PyObject *table_check(PyObject *self, PyObject *ignored);
PyObject *table_set_lock_timeout(PyObject *self, PyObject *milliseconds);
PyObject *table_count_up(PyObject *self, PyObject *args);
PyObject *table_set_counter(PyObject *self, PyObject *args);
PyObject *table_count_command(PyObject *self, PyObject *args);
PyObject *table_set_state(PyObject *self, PyObject *state);
PyObject *table_heartbeat(PyObject *self, PyObject *ignored);

/* table_facts.c: what can be read of the table and of its participants */
PyObject *table_truncated(PyObject *self, PyObject *ignored);
PyObject *table_facts(PyObject *self, PyObject *ignored);
PyObject *table_participants(PyObject *self, PyObject *ignored);
PyObject *table_worker_loads(PyObject *self, PyObject *ignored);
PyObject *table_departed(PyObject *self, PyObject *ignored);

#endif
