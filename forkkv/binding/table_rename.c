/* table_rename.c -- the methods of Table that give a value another name. */
#include "table.h"

typedef fkv_status (*transfer)(fkv_table *table, const fkv_key *from, const fkv_key *to,
                               unsigned flags);

/* Both keys, an optional truth, and what `run` makes of them: whether it happened. */
static PyObject *transfer_value(PyObject *object, table_args args, transfer run, unsigned flags) {
    table_object *self = (table_object *)object;
    fkv_key from, to;
    if (!table_key(self, args[0], &from))
        return NULL;
    fkv_table *handle = table_key(self, args[1], &to);
    if (!handle)
        return NULL;
    fkv_status status = run(handle, &from, &to, flags);
    if (status == FKV_OK || status == FKV_UNMET)
        return PyBool_FromLong(status == FKV_OK);
    if (status != FKV_MISS)
        return table_raise(self, status);
    PyErr_SetObject(PyExc_KeyError, args[0]);
    return NULL;
}

PyObject *table_rename(PyObject *self, table_args args, Py_ssize_t count) {
    if (!table_arity("rename", count, 2, 3))
        return NULL;
    int only_new = count == 3 ? PyObject_IsTrue(args[2]) : 0;
    return only_new < 0 ? NULL : transfer_value(self, args, fkv_rename, only_new ? FKV_NX : 0);
}

PyObject *table_copy(PyObject *self, table_args args, Py_ssize_t count) {
    if (!table_arity("copy", count, 2, 3))
        return NULL;
    int replace = count == 3 ? PyObject_IsTrue(args[2]) : 0;
    return replace < 0 ? NULL : transfer_value(self, args, fkv_copy, replace ? 0 : FKV_NX);
}
