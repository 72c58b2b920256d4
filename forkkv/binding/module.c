/* module.c -- the module forkkv._core: constants, exceptions, and its two types. */
#include "binding.h"

static PyModuleDef core_module;

binding_state *binding_state_of(PyTypeObject *type) {
    while (type) {
        PyObject *module = PyType_GetModule(type);
        if (module && PyModule_GetDef(module) == &core_module)
            return PyModule_GetState(module);
        PyErr_Clear();
        type = PyType_GetSlot(type, Py_tp_base);
    }
    PyErr_SetString(PyExc_TypeError, "not a type of forkkv._core");
    return NULL;
}

static int add_numbers(PyObject *module) {
    static const struct {
        const char *name;
        long value;
    } rows[] = {
        {"MASTER", FKV_MASTER},
        {"WORKER", FKV_WORKER},
        {"KEEPER", FKV_KEEPER},
        {"ATTACHED", FKV_ATTACHED},
        {"DATABASES", FKV_DATABASES},
        {"ALL_DATABASES", FKV_ALL_DATABASES},
        {"KEY_MAX", FKV_KEY_MAX},
        {"ACCESS_MAX", FKV_ACCESS_MAX},
        {"MEMORY_MIN", FKV_MEMORY_MIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (PyModule_AddIntConstant(module, rows[i].name, rows[i].value) < 0)
            return -1;
    return 0;
}

/* What `name_of` says of `first` .. `end` - 1, as a tuple. */
static int add_names(PyObject *module, const char *name, const char *(*name_of)(unsigned),
                     unsigned first, unsigned end) {
    PyObject *names = PyTuple_New(end - first);
    for (unsigned i = first; names && i < end; i++) {
        PyObject *each = PyUnicode_FromString(name_of(i));
        if (!each || PyTuple_SetItem(names, i - first, each) < 0)
            Py_CLEAR(names);
    }
    int result = names ? PyModule_AddObjectRef(module, name, names) : -1;
    Py_XDECREF(names);
    return result;
}

static PyObject *retire_object(PyObject *module, PyObject *fd_object) {
    int fd = (int)PyLong_AsLong(fd_object);
    if (PyErr_Occurred())
        return NULL;
    fkv_status status = fkv_retire_object(fd);
    if (status == FKV_OK || status == FKV_FOREIGN)
        return PyBool_FromLong(status == FKV_OK);
    return binding_raise(PyModule_GetState(module), NULL, "", status);
}

static PyMethodDef core_functions[] = {
    {"retire_object", retire_object, METH_O,
     "retire_object(fd, /)\n--\n\nTells everybody who has the table behind `fd` open that it is "
     "gone.\nReturns whether there is a whole table; takes no participant's entry, so it always "
     "goes."},
    {NULL, NULL, 0, NULL},
};

static int core_exec(PyObject *module) {
    binding_state *state = PyModule_GetState(module);
    if (add_numbers(module) < 0 || binding_add_errors(module, state) < 0 ||
        binding_add_table(module, state) < 0 || binding_add_server(module) < 0 ||
        add_names(module, "POLICIES", fkv_policy_name, 0, FKV_S3FIFO + 1) < 0 ||
        add_names(module, "SYSCALLS", fkv_counter_name, 0, FKV_SYSCALL_COUNTER_END) < 0)
        return -1;
    return add_names(module, "EVENTS", fkv_counter_name, FKV_SYSCALL_COUNTER_END, FKV_COUNTERS);
}

static int core_traverse(PyObject *module, visitproc visit, void *arg) {
    const binding_state *state = PyModule_GetState(module);
    Py_VISIT(state->table_type);
    for (int i = 0; i < BINDING_ERRORS; i++)
        Py_VISIT(state->errors[i]);
    return 0;
}

static int core_clear(PyObject *module) {
    binding_state *state = PyModule_GetState(module);
    Py_CLEAR(state->table_type);
    for (int i = 0; i < BINDING_ERRORS; i++)
        Py_CLEAR(state->errors[i]);
    return 0;
}

static void core_free(void *module) {
    core_clear(module);
}

static PyModuleDef_Slot core_slots[] = {
    {Py_mod_exec, core_exec},
    {0, NULL},
};

static PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "forkkv._core",
    .m_doc = "The shared table and the worker's event loop.",
    .m_size = sizeof(binding_state),
    .m_methods = core_functions,
    .m_slots = core_slots,
    .m_traverse = core_traverse,
    .m_clear = core_clear,
    .m_free = core_free,
};

PyMODINIT_FUNC PyInit__core(void) {
    return PyModuleDef_Init(&core_module);
}
