/* table_many.c -- the methods of Table that take or give many keys. */
#include "table.h"

/* A tuple, so that nobody can change it while we hold what is inside. New reference. */
static PyObject *items_of(PyObject *iterable, const char *function) {
    if (!PyUnicode_Check(iterable) && !PyBytes_Check(iterable))
        return PySequence_Tuple(iterable);
    PyErr_Format(PyExc_TypeError, "%s() takes many, not one; put it into a list", function);
    return NULL;
}

/* ---- get_many -------------------------------------------------------------------------------- */

/* One allocation, four arrays of `count`, widest first. */
typedef struct read_batch {
    size_t count;
    fkv_key *keys;
    table_sink *values;
    fkv_sink **sinks;
    bool *found;
} read_batch;

static bool batch_init(read_batch *batch, size_t count) {
    size_t each = sizeof(fkv_key) + sizeof(table_sink) + sizeof(fkv_sink *) + sizeof(bool);
    batch->count = count;
    batch->keys = PyMem_Malloc(count * each);
    if (!batch->keys) {
        PyErr_NoMemory();
        return false;
    }
    batch->values = (table_sink *)(batch->keys + count);
    batch->sinks = (fkv_sink **)(batch->values + count);
    batch->found = (bool *)(batch->sinks + count);
    for (size_t i = 0; i < count; i++) {
        batch->values[i] = TABLE_SINK;
        batch->sinks[i] = &batch->values[i].sink;
        batch->found[i] = false;
    }
    return true;
}

static void batch_deinit(read_batch *batch) {
    for (size_t i = 0; i < batch->count; i++)
        Py_XDECREF(batch->values[i].bytes);
    PyMem_Free(batch->keys);
}

#define KEYS_AHEAD 8

/* The head of a key's object and its bytes often lie in two cache lines. */
static void prefetch_object(PyObject *items, size_t index) {
    const char *object = (const char *)PyTuple_GetItem(items, (Py_ssize_t)index);
    __builtin_prefetch(object);
    __builtin_prefetch(object + sizeof(PyVarObject) + 16);
}

/* Makes the keys, and starts each fetch from memory before the one before it has arrived: of the
 * key's object, of its slot in the table, then of the item. So their latencies overlap. */
static fkv_table *batch_fill(const table_object *self, PyObject *items, read_batch *batch) {
    fkv_table *handle = table_handle(self);
    for (size_t i = 0; i < KEYS_AHEAD && i < batch->count; i++)
        prefetch_object(items, i);
    for (size_t i = 0; handle && i < batch->count; i++) {
        if (i + KEYS_AHEAD < batch->count)
            prefetch_object(items, i + KEYS_AHEAD);
        handle = table_key(self, PyTuple_GetItem(items, (Py_ssize_t)i), &batch->keys[i]);
        if (handle)
            fkv_prefetch_slot(handle, &batch->keys[i]);
    }
    for (size_t i = 0; handle && i < batch->count; i++)
        fkv_prefetch_item(handle, &batch->keys[i]);
    return handle;
}

/* A list of the values, None where there is none. */
static PyObject *batch_list(read_batch *batch) {
    PyObject *list = PyList_New((Py_ssize_t)batch->count);
    for (size_t i = 0; list && i < batch->count; i++) {
        PyObject *value = batch->found[i] ? batch->values[i].bytes : Py_None;
        PyList_SetItem(list, (Py_ssize_t)i, Py_NewRef(value));
    }
    return list;
}

static PyObject *batch_read(const table_object *self, PyObject *items, read_batch *batch) {
    fkv_table *handle = batch_fill(self, items, batch);
    if (!handle)
        return NULL;
    fkv_status status =
        fkv_get_many(handle, batch->keys, batch->count, batch->sinks, batch->found);
    return status == FKV_OK ? batch_list(batch) : table_raise(self, status);
}

PyObject *table_get_many(PyObject *self, PyObject *keys) {
    PyObject *items = items_of(keys, "get_many");
    PyObject *list = NULL;
    read_batch batch;
    if (items && batch_init(&batch, (size_t)PyTuple_Size(items))) {
        list = batch_read((table_object *)self, items, &batch);
        batch_deinit(&batch);
    }
    Py_XDECREF(items);
    return list;
}

/* ---- set_many -------------------------------------------------------------------------------- */

/* What fkv_set_many() needs, and the values it borrows from. */
typedef struct write_batch {
    size_t count; /* values acquired so far */
    fkv_pair *pairs;
    table_value *values;
} write_batch;

static bool write_batch_init(write_batch *batch, size_t count) {
    batch->count = 0;
    batch->pairs = PyMem_Malloc(count * sizeof(fkv_pair));
    batch->values = PyMem_Malloc(count * sizeof(table_value));
    if (batch->pairs && batch->values)
        return true;
    PyErr_NoMemory();
    return false;
}

static void write_batch_deinit(write_batch *batch) {
    for (size_t i = 0; i < batch->count; i++)
        table_value_release(&batch->values[i]);
    PyMem_Free(batch->pairs);
    PyMem_Free(batch->values);
}

/* A list of (key, value) tuples of our own: it keeps alive what the batch borrows. */
static PyObject *pairs_of(PyObject *pairs) {
    PyObject *given = PyObject_HasAttrString(pairs, "items") ? PyMapping_Items(pairs)
                                                             : items_of(pairs, "set_many");
    if (!given)
        return NULL;
    Py_ssize_t count = PySequence_Size(given);
    PyObject *kept = PyList_New(0);
    for (Py_ssize_t i = 0; kept && i < count; i++) {
        PyObject *item = PySequence_GetItem(given, i);
        PyObject *pair = item ? PySequence_Tuple(item) : NULL;
        if (pair && PyTuple_Size(pair) != 2)
            PyErr_SetString(PyExc_ValueError, "set_many() takes a mapping or (key, value) pairs");
        if (PyErr_Occurred() || PyList_Append(kept, pair) < 0)
            Py_CLEAR(kept);
        Py_XDECREF(item);
        Py_XDECREF(pair);
    }
    Py_DECREF(given);
    return kept;
}

/* All values before the first key: making a buffer may run Python code, which may close us. */
static bool write_batch_fill(const table_object *self, write_batch *batch, PyObject *pairs,
                             fkv_table **ret_handle) {
    Py_ssize_t count = PyList_Size(pairs);
    for (Py_ssize_t i = 0; i < count; i++, batch->count++)
        if (!table_value_acquire(&batch->values[i], PyTuple_GetItem(PyList_GetItem(pairs, i), 1)))
            return false;
    *ret_handle = table_handle(self);
    for (Py_ssize_t i = 0; *ret_handle && i < count; i++) {
        PyObject *key = PyTuple_GetItem(PyList_GetItem(pairs, i), 0);
        if (!table_key(self, key, &batch->pairs[i].key))
            return false;
        batch->pairs[i].value = batch->values[i].data;
        batch->pairs[i].value_size = batch->values[i].size;
    }
    return *ret_handle != NULL;
}

static PyObject *write_pairs(const table_object *self, PyObject *pairs, int64_t at_ms) {
    write_batch batch;
    fkv_table *handle;
    PyObject *result = NULL;
    if (write_batch_init(&batch, (size_t)PyList_Size(pairs)) &&
        write_batch_fill(self, &batch, pairs, &handle)) {
        fkv_status status = fkv_set_many(handle, batch.pairs, batch.count, 0, at_ms);
        result = status == FKV_OK ? Py_NewRef(Py_None) : table_raise(self, status);
    }
    write_batch_deinit(&batch);
    return result;
}

PyObject *table_set_many(PyObject *object, table_args args, Py_ssize_t count) {
    int64_t at_ms = 0;
    if (!table_arity("set_many", count, 1, 2) ||
        (count == 2 && args[1] != Py_None && !table_ttl(args[1], &at_ms)))
        return NULL;
    PyObject *pairs = pairs_of(args[0]);
    if (!pairs)
        return NULL;
    PyObject *result = write_pairs((table_object *)object, pairs, at_ms);
    Py_DECREF(pairs);
    return result;
}

/* ---- a whole database ------------------------------------------------------------------------ */

static bool visit_key(void *context, const void *key, size_t size) {
    PyObject *bytes = PyBytes_FromStringAndSize(key, (Py_ssize_t)size);
    bool kept = bytes && PyList_Append(context, bytes) == 0;
    Py_XDECREF(bytes);
    return kept;
}

PyObject *table_scan(PyObject *object, PyObject *args) {
    const table_object *self = (table_object *)object;
    PyObject *cursor_object;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "On:scan", &cursor_object, &count))
        return NULL;
    uint64_t cursor = PyLong_AsUnsignedLongLong(cursor_object);
    if (PyErr_Occurred())
        return NULL;
    if (count < 1) {
        PyErr_Format(PyExc_ValueError, "scan() visits at least 1 key, not %zd", count);
        return NULL;
    }
    PyObject *keys = PyList_New(0); /* before the handle is asked for: it may collect garbage */
    fkv_table *handle = keys ? table_handle(self) : NULL;
    fkv_status status = FKV_OK;
    if (handle)
        status = fkv_scan(handle, self->database, &cursor, (size_t)count, visit_key, keys);
    if (handle && status == FKV_OK && !PyErr_Occurred())
        return Py_BuildValue("(KN)", (unsigned long long)cursor, keys);
    Py_XDECREF(keys);
    return handle ? table_raise(self, status) : NULL;
}

PyObject *table_count(PyObject *object, PyObject *number) {
    unsigned database;
    long value = PyLong_AsLong(number);
    if (PyErr_Occurred() || !table_database(value, true, &database))
        return NULL;
    fkv_table *handle = table_handle((table_object *)object);
    if (!handle)
        return NULL;
    uint64_t expiring;
    uint64_t keys = fkv_count(handle, database, &expiring);
    return Py_BuildValue("(KK)", (unsigned long long)keys, (unsigned long long)expiring);
}

PyObject *table_count_some(PyObject *object, PyObject *const *args, Py_ssize_t count) {
    unsigned database;
    if (!table_arity("count_some", count, 2, 2))
        return NULL;
    long value = PyLong_AsLong(args[0]);
    unsigned long at = PyErr_Occurred() ? 0 : PyLong_AsUnsignedLong(args[1]);
    if (PyErr_Occurred() || !table_database(value, true, &database))
        return NULL;
    fkv_table *handle = table_handle((table_object *)object);
    if (!handle)
        return NULL;
    uint32_t next = at > UINT32_MAX ? UINT32_MAX : (uint32_t)at;
    uint64_t keys = fkv_count_some(handle, database, &next);
    return Py_BuildValue("(Kk)", (unsigned long long)keys, (unsigned long)next);
}

PyObject *table_clear(PyObject *object, PyObject *args) {
    const table_object *self = (table_object *)object;
    unsigned database = self->database;
    PyObject *number = Py_None;
    if (!PyArg_ParseTuple(args, "|O:clear", &number))
        return NULL;
    if (number != Py_None) {
        long value = PyLong_AsLong(number);
        if (PyErr_Occurred() || !table_database(value, true, &database))
            return NULL;
    }
    fkv_table *handle = table_handle(self);
    fkv_status status = handle ? fkv_clear(handle, database) : FKV_OK;
    if (!handle || status != FKV_OK)
        return handle ? table_raise(self, status) : NULL;
    Py_RETURN_NONE;
}
