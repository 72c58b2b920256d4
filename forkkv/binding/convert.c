/* convert.c -- Python objects to keys, values and times, and bytes objects for what comes back. */
#include <math.h>

#include "table.h"

void *table_sink_room(fkv_sink *self, size_t size) {
    table_sink *sink = (table_sink *)self;
    Py_XDECREF(sink->bytes);
    sink->bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    return sink->bytes ? PyBytes_AsString(sink->bytes) : NULL;
}

/* bytes and str without a copy: a str keeps its UTF-8 form. 1; 0 when `object` is neither; -1 with
 * an exception set. */
static int borrow_text(PyObject *object, const char **ret_data, Py_ssize_t *ret_size) {
    if (PyBytes_CheckExact(object) || PyBytes_Check(object)) /* the first is a mere compare */
        return PyBytes_AsStringAndSize(object, (char **)ret_data, ret_size) < 0 ? -1 : 1;
    if (!PyUnicode_Check(object))
        return 0;
    *ret_data = PyUnicode_AsUTF8AndSize(object, ret_size);
    return *ret_data ? 1 : -1;
}

static void wrong_type(const char *expected, PyObject *object) {
    PyObject *name = PyType_GetName(Py_TYPE(object));
    if (name)
        PyErr_Format(PyExc_TypeError, "%s, not %U", expected, name);
    Py_XDECREF(name);
}

fkv_table *table_key(const table_object *self, PyObject *object, fkv_key *ret) {
    const char *data;
    Py_ssize_t size;
    fkv_table *handle = table_handle(self);
    int borrowed = handle ? borrow_text(object, &data, &size) : -1;
    if (borrowed == 0)
        wrong_type("a key is bytes or str", object);
    if (borrowed <= 0)
        return NULL;
    if (size > FKV_KEY_MAX) { /* before an endless key is hashed */
        table_raise(self, FKV_KEY_SIZE);
        return NULL;
    }
    *ret = fkv_make_key(handle, self->database, data, (size_t)size);
    return handle;
}

bool table_value_acquire(table_value *value, PyObject *object) {
    const char *data;
    Py_ssize_t size;
    value->has_buffer = false;
    int borrowed = borrow_text(object, &data, &size);
    if (borrowed < 0)
        return false;
    if (borrowed == 0) {
        if (!PyObject_CheckBuffer(object)) {
            wrong_type("a value is bytes, str or a buffer", object);
            return false;
        }
        if (PyObject_GetBuffer(object, &value->buffer, PyBUF_SIMPLE) < 0)
            return false;
        value->has_buffer = true;
        data = value->buffer.buf;
        size = value->buffer.len;
    }
    value->data = data;
    value->size = (size_t)size;
    return true;
}

void table_value_release(table_value *value) {
    if (value->has_buffer)
        PyBuffer_Release(&value->buffer);
}

/* Doubles up to 2^53 are exact milliseconds: the year 287396. */
#define LATEST_MS 9007199254740992.0

static bool finish_time(PyObject *seconds, double at_ms, int64_t *ret_at_ms) {
    if (!(at_ms <= LATEST_MS)) {
        PyErr_Format(PyExc_ValueError, "%R seconds is not a time that can come; for no expiry "
                     "leave the ttl out or use persist()", seconds);
        return false;
    }
    *ret_at_ms = at_ms < 1 ? 1 : (int64_t)at_ms;
    return true;
}

bool table_ttl(PyObject *seconds, int64_t *ret_at_ms) {
    double ahead = PyFloat_AsDouble(seconds);
    if (ahead == -1.0 && PyErr_Occurred())
        return false;
    if (!(ahead > 0)) {
        PyErr_Format(PyExc_ValueError, "a ttl is a number of seconds above 0, not %R; use delete() "
                     "to remove a key, persist() to remove its expiry", seconds);
        return false;
    }
    return finish_time(seconds, (double)fkv_now_ms() + ceil(ahead * 1000), ret_at_ms);
}

bool table_time(PyObject *seconds, int64_t *ret_at_ms) {
    double at = PyFloat_AsDouble(seconds);
    if (at == -1.0 && PyErr_Occurred())
        return false;
    return finish_time(seconds, ceil(at * 1000), ret_at_ms);
}

bool table_arity(const char *function, Py_ssize_t count, Py_ssize_t min, Py_ssize_t max) {
    if (count >= min && count <= max)
        return true;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd to %zd arguments, not %zd", function, min, max,
                 count);
    return false;
}

bool table_database(long number, bool or_all, unsigned *ret) {
    if (number < 0 || number > (or_all ? FKV_ALL_DATABASES : FKV_DATABASES - 1)) {
        PyErr_Format(PyExc_ValueError, "a database is a number from 0 to %d, not %ld",
                     FKV_DATABASES - 1, number);
        return false;
    }
    *ret = (unsigned)number;
    return true;
}

bool table_role(long role, long role_index) {
    if (role >= FKV_MASTER && role <= FKV_ATTACHED && role_index >= 0)
        return true;
    PyErr_SetString(PyExc_ValueError, "a role is MASTER, WORKER, KEEPER or ATTACHED, and its index "
                                      "counts from 0");
    return false;
}

int table_policy(PyObject *name, void *ret) {
    const char *each;
    for (unsigned i = 0; PyUnicode_Check(name) && (each = fkv_policy_name(i)); i++)
        if (PyUnicode_CompareWithASCIIString(name, each) == 0) {
            *(int *)ret = (int)i;
            return 1;
        }
    PyErr_Format(PyExc_ValueError, "there is no policy %R; POLICIES names them all", name);
    return 0;
}
