/* binding.h -- what the files of the extension share: the module's state, Table, its errors. */
#ifndef FORKKV_BINDING_H
#define FORKKV_BINDING_H

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "fkv.h"

/* ---- the module (module.c) ------------------------------------------------------------------- */

enum binding_error {
    ERROR_ANY,
    ERROR_FULL,
    ERROR_BUSY,
    ERROR_RETIRED,
    ERROR_EXISTS,
    ERROR_UNUSABLE,
    ERROR_CLOSED,
    ERROR_TOO_BIG,
    ERROR_NOT_AN_INTEGER,
    BINDING_ERRORS
};

/* Per module, not global: each holds a strong reference. */
typedef struct binding_state {
    PyTypeObject *table_type;
    PyObject *errors[BINDING_ERRORS];
} binding_state;

/* The state, from any type of this module or a subclass; NULL with TypeError for another type. */
binding_state *binding_state_of(PyTypeObject *type);

/* Each adds its part to the module. 0, or -1 with an exception set. */
int binding_add_errors(PyObject *module, binding_state *state); /* errors.c */
int binding_add_table(PyObject *module, binding_state *state);  /* table.c */
int binding_add_server(PyObject *module);                       /* server.c */

/* ---- Table, as the other files see it -------------------------------------------------------- */

/* The open handle behind a Table: valid until the Table is closed, so ask again whenever Python
 * code may have run. NULL with TypeError (not a Table) or TableClosed set. */
fkv_table *binding_table(PyObject *table);

/* Raises the exception that belongs to `status`, naming the table `name` (may be "") and the
 * limits of `table` (may be NULL). An exception that is already set stays. Always returns NULL. */
PyObject *binding_raise(const binding_state *state, fkv_table *table, const char *name,
                        fkv_status status);

/* The same for a table that could not be opened; the fault has the sentence. */
PyObject *binding_raise_fault(const binding_state *state, const char *name,
                              const fkv_fault *fault);

#endif
