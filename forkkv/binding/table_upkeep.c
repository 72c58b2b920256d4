/* table_upkeep.c -- the methods of Table that the server's processes keep it alive with. */
#include <string.h>
#include <time.h>

#include "table.h"

static PyObject *none_or_raise(const table_object *self, fkv_status status) {
    if (status != FKV_OK)
        return table_raise(self, status);
    Py_RETURN_NONE;
}

PyObject *table_enroll(PyObject *object, PyObject *args) {
    const table_object *self = (table_object *)object;
    int role, role_index;
    if (!PyArg_ParseTuple(args, "ii:enroll", &role, &role_index))
        return NULL;
    fkv_table *handle = table_handle(self);
    if (!handle || !table_role(role, role_index))
        return NULL;
    return none_or_raise(self, fkv_enroll(handle, (fkv_role)role, (unsigned)role_index));
}

PyObject *table_retire(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    fkv_table *handle = table_handle((table_object *)self);
    if (!handle)
        return NULL;
    fkv_retire(handle);
    Py_RETURN_NONE;
}

PyObject *table_sweep(PyObject *self, PyObject *pages) {
    unsigned long count = PyLong_AsUnsignedLong(pages);
    if (PyErr_Occurred())
        return NULL;
    fkv_table *handle = table_handle((table_object *)self);
    unsigned bounded = count > UINT32_MAX ? UINT32_MAX : (unsigned)count;
    bool more;
    if (!handle)
        return NULL;
    uint64_t removed = fkv_sweep(handle, bounded, &more);
    return Py_BuildValue("(KO)", (unsigned long long)removed, more ? Py_True : Py_False);
}

PyObject *table_reclaim_ahead(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    fkv_table *handle = table_handle((table_object *)self);
    return handle ? PyBool_FromLong(fkv_reclaim_ahead(handle)) : NULL;
}

PyObject *table_shrink(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    fkv_table *handle = table_handle((table_object *)self);
    return handle ? PyBool_FromLong(fkv_shrink(handle)) : NULL;
}

PyObject *table_purge(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    fkv_table *handle = table_handle((table_object *)self);
    if (!handle)
        return NULL;
    fkv_purge(handle);
    Py_RETURN_NONE;
}

PyObject *table_purge_wanted(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    fkv_table *handle = table_handle((table_object *)self);
    return handle ? PyBool_FromLong(fkv_purge_wanted(handle)) : NULL;
}

PyObject *table_set_policy(PyObject *object, PyObject *name) {
    const table_object *self = (table_object *)object;
    fkv_table *handle = table_handle(self);
    int policy;
    if (!handle || !table_policy(name, &policy))
        return NULL;
    return none_or_raise(self, fkv_set_policy(handle, (fkv_policy)policy));
}

PyObject *table_repair(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    fkv_table *handle = table_handle((table_object *)self);
    return handle ? PyLong_FromUnsignedLong(fkv_repair(handle)) : NULL;
}

PyObject *table_check(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    const table_object *self = (table_object *)object;
    fkv_table *handle = table_handle(self);
    if (!handle)
        return NULL;
    char broken[512] = "";
    fkv_status status = fkv_check(handle, broken, sizeof broken);
    if (status == FKV_CORRUPT)
        return PyUnicode_FromString(broken);
    return none_or_raise(self, status);
}

PyObject *table_set_lock_timeout(PyObject *self, PyObject *milliseconds) {
    unsigned long timeout_ms = PyLong_AsUnsignedLong(milliseconds);
    if (PyErr_Occurred())
        return NULL;
    fkv_table *handle = table_handle((table_object *)self);
    if (!handle)
        return NULL;
    fkv_set_lock_timeout(handle, timeout_ms > UINT32_MAX ? UINT32_MAX : (unsigned)timeout_ms);
    Py_RETURN_NONE;
}

/* ---- what this process says of itself -------------------------------------------------------- */

/* Asked for at each use: it moves at fork and enroll. NULL: exception set. */
static fkv_activity *own_activity(PyObject *self) {
    fkv_table *handle = table_handle((table_object *)self);
    return handle ? fkv_own_activity(handle) : NULL;
}

/* Only this process writes here, so the sum needs no atomic add: others just must not see half. */
static void add(uint64_t *cell, uint64_t n) {
    __atomic_store_n(cell, *cell + n, __ATOMIC_RELAXED);
}

static bool find_counter(const char *name, enum fkv_counter *ret) {
    const char *each;
    for (unsigned i = 0; (each = fkv_counter_name(i)); i++)
        if (strcmp(each, name) == 0) {
            *ret = (enum fkv_counter)i;
            return true;
        }
    PyErr_Format(PyExc_ValueError, "no counter '%s'; SYSCALLS and EVENTS name them all", name);
    return false;
}

PyObject *table_count_up(PyObject *self, PyObject *args) {
    const char *name;
    unsigned long long n = 1;
    enum fkv_counter counter;
    if (!PyArg_ParseTuple(args, "s|K:count_up", &name, &n) || !find_counter(name, &counter))
        return NULL;
    fkv_activity *activity = own_activity(self);
    if (!activity)
        return NULL;
    fkv_count_up(activity, counter, n);
    Py_RETURN_NONE;
}

PyObject *table_set_counter(PyObject *self, PyObject *args) {
    const char *name;
    unsigned long long value;
    enum fkv_counter counter;
    if (!PyArg_ParseTuple(args, "sK:set_counter", &name, &value) || !find_counter(name, &counter))
        return NULL;
    fkv_activity *activity = own_activity(self);
    if (!activity)
        return NULL;
    __atomic_store_n(&activity->counts[counter], value, __ATOMIC_RELAXED);
    Py_RETURN_NONE;
}

PyObject *table_count_command(PyObject *self, PyObject *args) {
    unsigned int row;
    unsigned long long ns;
    int failed;
    if (!PyArg_ParseTuple(args, "IKp:count_command", &row, &ns, &failed))
        return NULL;
    if (row >= FKV_COMMANDS) {
        PyErr_Format(PyExc_ValueError, "a process counts %d commands; there is no row %u",
                     FKV_COMMANDS, row);
        return NULL;
    }
    fkv_activity *activity = own_activity(self);
    if (!activity)
        return NULL;
    fkv_command_count *count = &activity->commands[row];
    add(&count->calls, 1);
    add(&count->ns, ns);
    add(&count->failed, failed ? 1 : 0);
    Py_RETURN_NONE;
}

PyObject *table_set_state(PyObject *self, PyObject *state) {
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(state, &size);
    if (!text)
        return NULL;
    fkv_activity *activity = own_activity(self);
    if (!activity)
        return NULL;
    if ((size_t)size >= sizeof activity->state) {
        PyErr_Format(PyExc_ValueError, "a state is a word or two, at most %zu bytes",
                     sizeof activity->state - 1);
        return NULL;
    }
    memcpy(activity->state, text, (size_t)size + 1);
    Py_RETURN_NONE;
}

PyObject *table_heartbeat(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    fkv_activity *activity = own_activity(self);
    if (!activity)
        return NULL;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    __atomic_store_n(&activity->heartbeat_ns, now_ns, __ATOMIC_RELAXED);
    Py_RETURN_NONE;
}
