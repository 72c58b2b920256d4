/* table_keys.c -- the methods of Table that take one key. */
#include "table.h"

/* The object for a value that was read, or `otherwise` (borrowed) if there was none. */
static PyObject *value_or(const table_object *self, fkv_status status, table_sink *sink,
                          PyObject *otherwise) {
    if (status == FKV_OK)
        return sink->bytes;
    Py_CLEAR(sink->bytes);
    return status == FKV_MISS ? Py_NewRef(otherwise) : table_raise(self, status);
}

static PyObject *missing(PyObject *key_object) {
    PyErr_SetObject(PyExc_KeyError, key_object);
    return NULL;
}

/* Whether it was done; False when there was no such key or a condition did not hold. */
static PyObject *done(const table_object *self, fkv_status status) {
    if (status == FKV_OK)
        Py_RETURN_TRUE;
    if (status == FKV_MISS || status == FKV_UNMET)
        Py_RETURN_FALSE;
    return table_raise(self, status);
}

PyObject *table_get(PyObject *object, table_args args, Py_ssize_t count) {
    table_object *self = (table_object *)object;
    if (!table_arity("get", count, 1, 2))
        return NULL;
    fkv_key key;
    fkv_table *handle = table_key(self, args[0], &key);
    if (!handle)
        return NULL;
    table_sink sink = TABLE_SINK;
    fkv_status status = fkv_get(handle, &key, &sink.sink);
    return value_or(self, status, &sink, count == 2 ? args[1] : Py_None);
}

PyObject *table_get_item(PyObject *object, PyObject *key_object) {
    table_object *self = (table_object *)object;
    fkv_key key;
    fkv_table *handle = table_key(self, key_object, &key);
    if (!handle)
        return NULL;
    table_sink sink = TABLE_SINK;
    fkv_status status = fkv_get(handle, &key, &sink.sink);
    if (status == FKV_OK)
        return sink.bytes;
    Py_CLEAR(sink.bytes); /* of a read that was retried */
    return status == FKV_MISS ? missing(key_object) : table_raise(self, status);
}

int table_contains(PyObject *object, PyObject *key_object) {
    table_object *self = (table_object *)object;
    fkv_key key;
    fkv_table *handle = table_key(self, key_object, &key);
    if (!handle)
        return -1;
    uint64_t size;
    fkv_status status = fkv_size(handle, &key, &size);
    if (status == FKV_OK || status == FKV_MISS)
        return status == FKV_OK;
    table_raise(self, status);
    return -1;
}

/* ---- set ------------------------------------------------------------------------------------- */

enum { SET_KEY, SET_VALUE, SET_TTL, SET_NX, SET_XX, SET_KEEP_TTL, SET_ARGUMENTS };
static const char *const set_names[SET_ARGUMENTS] = {"key", "value", "ttl", "nx", "xx", "keep_ttl"};

static int set_name_index(PyObject *name) {
    for (int i = 0; i < SET_ARGUMENTS; i++)
        if (PyUnicode_CompareWithASCIIString(name, set_names[i]) == 0)
            return i;
    PyErr_Format(PyExc_TypeError, "set() has no argument %R", name);
    return -1;
}

/* By hand, because the parser of PyArg_Parse... needs a tuple and a dict for every call. */
static bool set_arguments(table_args args, Py_ssize_t count, PyObject *names,
                          PyObject *ret[SET_ARGUMENTS]) {
    if (!table_arity("set", count, 0, SET_ARGUMENTS))
        return false;
    for (Py_ssize_t i = 0; i < count; i++)
        ret[i] = args[i];
    Py_ssize_t named = names ? PyTuple_Size(names) : 0;
    for (Py_ssize_t i = 0; i < named; i++) {
        int index = set_name_index(PyTuple_GetItem(names, i));
        if (index < 0)
            return false;
        if (ret[index]) {
            PyErr_Format(PyExc_TypeError, "set() got '%s' twice", set_names[index]);
            return false;
        }
        ret[index] = args[count + i];
    }
    if (ret[SET_KEY] && ret[SET_VALUE])
        return true;
    PyErr_SetString(PyExc_TypeError, "set() needs a key and a value");
    return false;
}

static bool set_flags(PyObject *const given[SET_ARGUMENTS], bool has_ttl, unsigned *ret) {
    static const struct {
        int argument;
        unsigned flag;
    } rows[] = {{SET_NX, FKV_NX}, {SET_XX, FKV_XX}, {SET_KEEP_TTL, FKV_KEEP_TTL}};
    *ret = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int truth = given[rows[i].argument] ? PyObject_IsTrue(given[rows[i].argument]) : 0;
        if (truth < 0)
            return false;
        *ret |= truth ? rows[i].flag : 0;
    }
    if ((*ret & FKV_NX) && (*ret & FKV_XX))
        PyErr_SetString(PyExc_ValueError, "nx and xx exclude each other; give one of them");
    else if ((*ret & FKV_KEEP_TTL) && has_ttl)
        PyErr_SetString(PyExc_ValueError, "ttl and keep_ttl exclude each other; give one of them");
    else
        return true;
    return false;
}

/* fkv_set() with Python's objects. `old` may be NULL; *ret tells how it went. False: exception
 * set. The value comes first: making a buffer of it may run Python code, which may close us. */
static bool store(const table_object *self, PyObject *key_object, PyObject *value_object,
                  unsigned flags, int64_t at_ms, fkv_sink *old, fkv_status *ret) {
    table_value value;
    if (!table_value_acquire(&value, value_object))
        return false;
    fkv_key key;
    fkv_table *handle = table_key(self, key_object, &key);
    if (handle)
        *ret = fkv_set(handle, &key, value.data, value.size, flags, at_ms, old, NULL);
    table_value_release(&value);
    return handle != NULL;
}

PyObject *table_set(PyObject *object, table_args args, Py_ssize_t count, PyObject *names) {
    table_object *self = (table_object *)object;
    PyObject *given[SET_ARGUMENTS] = {NULL};
    if (!set_arguments(args, count, names, given))
        return NULL;
    bool has_ttl = given[SET_TTL] && given[SET_TTL] != Py_None;
    unsigned flags;
    int64_t at_ms = 0;
    fkv_status status;
    if (!set_flags(given, has_ttl, &flags) || (has_ttl && !table_ttl(given[SET_TTL], &at_ms)) ||
        !store(self, given[SET_KEY], given[SET_VALUE], flags, at_ms, NULL, &status))
        return NULL;
    return done(self, status);
}

PyObject *table_get_set(PyObject *object, table_args args, Py_ssize_t count) {
    table_object *self = (table_object *)object;
    table_sink old = TABLE_SINK;
    fkv_status status;
    if (!table_arity("get_set", count, 2, 2) ||
        !store(self, args[0], args[1], 0, 0, &old.sink, &status))
        return NULL;
    if (status == FKV_OK && !old.bytes)
        Py_RETURN_NONE;
    return value_or(self, status, &old, Py_None);
}

static int delete_item(const table_object *self, PyObject *key_object) {
    fkv_key key;
    fkv_table *handle = table_key(self, key_object, &key);
    if (!handle)
        return -1;
    fkv_status status = fkv_delete(handle, &key, NULL);
    if (status == FKV_OK)
        return 0;
    if (status == FKV_MISS)
        missing(key_object);
    else
        table_raise(self, status);
    return -1;
}

int table_set_item(PyObject *object, PyObject *key_object, PyObject *value_object) {
    table_object *self = (table_object *)object;
    fkv_status status;
    if (!value_object)
        return delete_item(self, key_object);
    if (!store(self, key_object, value_object, 0, 0, NULL, &status))
        return -1;
    if (status == FKV_OK)
        return 0;
    table_raise(self, status);
    return -1;
}

/* ---- delete, add, append --------------------------------------------------------------------- */

PyObject *table_delete(PyObject *object, PyObject *key_object) {
    table_object *self = (table_object *)object;
    fkv_key key;
    fkv_table *handle = table_key(self, key_object, &key);
    if (!handle)
        return NULL;
    return done(self, fkv_delete(handle, &key, NULL));
}

PyObject *table_pop_value(PyObject *object, PyObject *key_object) {
    table_object *self = (table_object *)object;
    fkv_key key;
    fkv_table *handle = table_key(self, key_object, &key);
    if (!handle)
        return NULL;
    table_sink old = TABLE_SINK;
    fkv_status status = fkv_delete(handle, &key, &old.sink);
    return value_or(self, status, &old, Py_None);
}

static bool read_delta(const table_object *self, PyObject *object, int64_t *ret) {
    *ret = PyLong_AsLongLong(object);
    if (*ret != -1 || !PyErr_Occurred())
        return true;
    if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
        PyErr_Clear();
        table_raise(self, FKV_OVERFLOW);
    }
    return false;
}

PyObject *table_incr(PyObject *object, table_args args, Py_ssize_t count) {
    table_object *self = (table_object *)object;
    int64_t delta = 1, sum;
    if (!table_arity("incr", count, 1, 2) || (count == 2 && !read_delta(self, args[1], &delta)))
        return NULL;
    fkv_key key;
    fkv_table *handle = table_key(self, args[0], &key);
    if (!handle)
        return NULL;
    fkv_status status = fkv_add(handle, &key, delta, &sum);
    return status == FKV_OK ? PyLong_FromLongLong(sum) : table_raise(self, status);
}

PyObject *table_append(PyObject *object, table_args args, Py_ssize_t count) {
    table_object *self = (table_object *)object;
    table_value value;
    if (!table_arity("append", count, 2, 2) || !table_value_acquire(&value, args[1]))
        return NULL;
    fkv_key key;
    fkv_table *handle = table_key(self, args[0], &key);
    PyObject *result = NULL;
    if (handle) {
        uint64_t size = 0;
        fkv_status status = fkv_append(handle, &key, value.data, value.size, &size);
        result = status == FKV_OK ? PyLong_FromUnsignedLongLong(size) : table_raise(self, status);
    }
    table_value_release(&value);
    return result;
}

/* ---- expiry ---------------------------------------------------------------------------------- */

static PyObject *set_expiry(table_object *self, PyObject *key_object, int64_t at_ms) {
    fkv_key key;
    fkv_table *handle = table_key(self, key_object, &key);
    if (!handle)
        return NULL;
    return done(self, fkv_expire(handle, &key, at_ms, 0, NULL));
}

PyObject *table_expire(PyObject *self, table_args args, Py_ssize_t count) {
    int64_t at_ms;
    if (!table_arity("expire", count, 2, 2) || !table_ttl(args[1], &at_ms))
        return NULL;
    return set_expiry((table_object *)self, args[0], at_ms);
}

PyObject *table_expire_at(PyObject *self, table_args args, Py_ssize_t count) {
    int64_t at_ms;
    if (!table_arity("expire_at", count, 2, 2) || !table_time(args[1], &at_ms))
        return NULL;
    return set_expiry((table_object *)self, args[0], at_ms);
}

PyObject *table_persist(PyObject *self, PyObject *key) {
    return set_expiry((table_object *)self, key, 0);
}

PyObject *table_remaining(PyObject *object, PyObject *key_object) {
    table_object *self = (table_object *)object;
    fkv_key key;
    fkv_table *handle = table_key(self, key_object, &key);
    if (!handle)
        return NULL;
    int64_t at_ms;
    fkv_status status = fkv_expiry(handle, &key, &at_ms);
    if (status == FKV_MISS)
        return missing(key_object);
    if (status != FKV_OK)
        return table_raise(self, status);
    if (at_ms == 0)
        Py_RETURN_NONE;
    int64_t left_ms = at_ms - fkv_now_ms();
    return PyFloat_FromDouble(left_ms > 0 ? (double)left_ms / 1000 : 0.0);
}
