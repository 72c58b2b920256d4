/* errors.c -- one exception class per kind of failure, and the sentence each status gets. */
#include <errno.h>

#include "binding.h"

/* `second`: a built-in class that callers may catch it by as well. */
static const struct error_class {
    const char *name, *doc;
    PyObject **second;
} error_classes[BINDING_ERRORS] = {
    [ERROR_ANY] = {"Error", "The base of all forkkv errors.", NULL},
    [ERROR_FULL] = {"TableFull", "The memory limit is reached, or /dev/shm is full.", NULL},
    [ERROR_BUSY] = {"TableBusy",
                    "A living process holds a lock and has not moved for the lock timeout.", NULL},
    [ERROR_RETIRED] = {"TableRetired", "The table was unlinked or replaced.", NULL},
    [ERROR_EXISTS] = {"TableExists", "There is a table of this name already.", NULL},
    [ERROR_UNUSABLE] = {"TableUnusable", "Foreign, half made, unsafe, corrupt or cut off.", NULL},
    [ERROR_CLOSED] = {"TableClosed", "The Table was used after close().", &PyExc_ValueError},
    [ERROR_TOO_BIG] = {"TooBig", "A key or a value is outside the limits.", &PyExc_ValueError},
    [ERROR_NOT_AN_INTEGER] = {"NotAnInteger", "Not a 64-bit integer, or the sum would not be one.",
                              &PyExc_ValueError},
};

static PyObject *error_bases(const binding_state *state, enum binding_error which) {
    PyObject *second = error_classes[which].second ? *error_classes[which].second : NULL;
    if (which == ERROR_ANY)
        return PyTuple_Pack(1, PyExc_Exception);
    if (!second)
        return PyTuple_Pack(1, state->errors[ERROR_ANY]);
    return PyTuple_Pack(2, state->errors[ERROR_ANY], second);
}

int binding_add_errors(PyObject *module, binding_state *state) {
    for (int i = 0; i < BINDING_ERRORS; i++) {
        const struct error_class *class = &error_classes[i];
        char full_name[64];
        PyOS_snprintf(full_name, sizeof full_name, "forkkv._core.%s", class->name);
        PyObject *bases = error_bases(state, i);
        if (!bases)
            return -1;
        state->errors[i] = PyErr_NewExceptionWithDoc(full_name, class->doc, bases, NULL);
        Py_DECREF(bases);
        if (!state->errors[i] || PyModule_AddObjectRef(module, class->name, state->errors[i]) < 0)
            return -1;
    }
    return 0;
}

/* `text`: what went wrong and what to do next, where that needs no figures. */
static const struct error_row {
    enum binding_error which;
    const char *text;
} error_rows[] = {
    [FKV_NOT_INTEGER] = {ERROR_NOT_AN_INTEGER,
                         "the value is not a 64-bit decimal integer; set() one first"},
    [FKV_OVERFLOW] = {ERROR_NOT_AN_INTEGER,
                      "the sum does not fit a 64-bit integer; nothing was changed"},
    [FKV_KEY_SIZE] = {ERROR_TOO_BIG, NULL},
    [FKV_TOO_BIG] = {ERROR_TOO_BIG, NULL},
    [FKV_FULL] = {ERROR_FULL, NULL},
    [FKV_NO_SPACE] = {ERROR_FULL, NULL},
    [FKV_BUSY] = {ERROR_BUSY, NULL},
    [FKV_RETIRED] = {ERROR_RETIRED, "it was unlinked or replaced; close it and attach again"},
    [FKV_EXISTS] = {ERROR_EXISTS, "there is one already; attach to it, or unlink it first"},
    [FKV_FOREIGN] = {ERROR_UNUSABLE, "not a table of this build of forkkv; unlink it"},
    [FKV_HALF_MADE] = {ERROR_UNUSABLE, "its creator died half way; create it again"},
    [FKV_UNSAFE] = {ERROR_UNUSABLE, "another user owns it or may open it; unlink it"},
    [FKV_READ_ONLY] = {ERROR_ANY, "it was opened only to look at it; attach to do more"},
    [FKV_CUT_OFF] = {ERROR_UNUSABLE, NULL},
    [FKV_CORRUPT] = {ERROR_UNUSABLE,
                     "a bound was violated; run `forkkv check`, then create it anew"},
};

static struct error_row error_row(fkv_status status) {
    if ((size_t)status < sizeof error_rows / sizeof error_rows[0])
        return error_rows[status];
    return (struct error_row){ERROR_ANY, NULL};
}

static PyObject *limits_sentence(const fkv_facts *facts, fkv_status status) {
    unsigned long long limit = facts->memory_limit_bytes, used = facts->memory_used_bytes;
    switch (status) {
    case FKV_KEY_SIZE:
        return PyUnicode_FromFormat("a key has 1 to %d bytes", FKV_KEY_MAX);
    case FKV_TOO_BIG:
        return PyUnicode_FromFormat("a value has at most %llu bytes; split it, or create the table "
                                    "with more memory", (unsigned long long)facts->value_max);
    case FKV_FULL:
        return PyUnicode_FromFormat("the memory limit of %llu bytes is reached, %llu of them by "
                                    "live items; delete keys, or create it with more memory",
                                    limit, (unsigned long long)facts->live_bytes);
    case FKV_NO_SPACE:
        return PyUnicode_FromFormat("/dev/shm is full; the table has %llu bytes of the %llu it may "
                                    "take. Enlarge /dev/shm (docker: --shm-size)", used, limit);
    case FKV_CROWDED:
        return PyUnicode_FromFormat("all %u participant entries are taken by living processes; "
                                    "close the table in some of them", facts->participants_max - 1);
    default:
        return PyUnicode_FromString(fkv_status_text(status));
    }
}

static PyObject *sentence(fkv_table *table, fkv_status status) {
    const char *plain = error_row(status).text;
    if (plain)
        return PyUnicode_FromString(plain);
    if (table && status == FKV_BUSY) {
        char text[200];
        fkv_busy_text(table, text, sizeof text);
        return PyUnicode_FromString(text);
    }
    fkv_facts facts = {0};
    if (table)
        fkv_read_facts(table, &facts);
    return limits_sentence(&facts, status);
}

static PyObject *named(const char *name, PyObject *text) {
    return *name ? PyUnicode_FromFormat("table '%s': %U", name, text) : Py_NewRef(text);
}

/* Consumes `text`; NULL means that it could not be made. */
static PyObject *raise_text(const binding_state *state, const char *name, fkv_status status,
                            int system_error, PyObject *text) {
    PyObject *message = text ? named(name, text) : NULL;
    if (message && status == FKV_SYSTEM) {
        PyObject *args = Py_BuildValue("(iO)", system_error, message);
        if (args)
            PyErr_SetObject(PyExc_OSError, args);
        Py_XDECREF(args);
    } else if (message) {
        PyErr_SetObject(state->errors[error_row(status).which], message);
    }
    Py_XDECREF(message);
    Py_XDECREF(text);
    return NULL;
}

PyObject *binding_raise(const binding_state *state, fkv_table *table, const char *name,
                        fkv_status status) {
    int system_error = errno;
    if (PyErr_Occurred())
        return NULL;
    return raise_text(state, name, status, system_error, sentence(table, status));
}

PyObject *binding_raise_fault(const binding_state *state, const char *name,
                              const fkv_fault *fault) {
    int system_error = errno;
    return raise_text(state, name, fault->status, system_error, PyUnicode_FromString(fault->text));
}
