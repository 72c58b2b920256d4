/* server.c -- the Python type Server: a worker's network door, one call per tick. */
#include <stddef.h>

#include "door.h"
#include "binding.h"

typedef struct server_object {
    PyObject_HEAD
    PyObject *table;  /* a Table; NULL before __init__ and after shutdown() */
    PyObject *events; /* what the next tick() returns */
    bool waiting;     /* a thread sleeps in tick(), without the GIL */
    bool serving;     /* a thread runs commands: they give up the GIL where they wait for a lock */
    door door;
} server_object;

/* ---- what the door tells, as events ---------------------------------------------------------- */

/* Takes over `details`. Should memory be short, the exception stays set and ends the tick. */
static void add_event(server_object *self, const char *kind, uint64_t number, PyObject *details) {
    if (!details)
        return;
    PyObject *event = Py_BuildValue("(sKN)", kind, (unsigned long long)number, details);
    if (event && !PyErr_Occurred())
        PyList_Append(self->events, event);
    Py_XDECREF(event);
}

static void on_acceptable(void *context, int listener) {
    add_event(context, "accept", (uint64_t)listener, PyList_New(0));
}

static void on_command(void *context, uint64_t id, const resp_arg *args, size_t count) {
    PyObject *argv = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; argv && i < count; i++) {
        PyObject *arg = PyBytes_FromStringAndSize(args[i].data, (Py_ssize_t)args[i].size);
        if (!arg || PyList_SetItem(argv, (Py_ssize_t)i, arg) < 0)
            Py_CLEAR(argv);
    }
    add_event(context, "command", id, argv);
}

static void on_closed(void *context, uint64_t id, const char *reason) {
    add_event(context, "closed", id, Py_BuildValue("[y]", reason));
}

/* ---- opening and ending ---------------------------------------------------------------------- */

static bool read_limits(PyObject *given, door_limits *ret) {
    static const struct {
        const char *name;
        size_t offset;
    } rows[] = {
        {"query_buffer", offsetof(door_limits, query_max)},
        {"bulk_length", offsetof(door_limits, bulk_max)},
        {"reply_buffer", offsetof(door_limits, reply_max)},
        {"pipeline_paused", offsetof(door_limits, reply_paused)},
    };
    Py_ssize_t known = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        PyObject *value = PyDict_GetItemString(given, rows[i].name);
        if (!value)
            continue;
        size_t bytes = PyLong_AsSize_t(value);
        if (PyErr_Occurred())
            return false;
        *(size_t *)((char *)ret + rows[i].offset) = bytes;
        known++;
    }
    if (known == PyDict_Size(given))
        return true;
    PyErr_SetString(PyExc_ValueError, "limits are query_buffer, bulk_length, reply_buffer and "
                                      "pipeline_paused");
    return false;
}

static int server_init(PyObject *object, PyObject *args, PyObject *names) {
    static char *const keywords[] = {"table", "limits", NULL};
    server_object *self = (server_object *)object;
    PyObject *table, *given = Py_None;
    door_limits limits = DOOR_LIMITS_DEFAULT;
    if (!PyArg_ParseTupleAndKeywords(args, names, "O|O:Server", (char **)keywords, &table, &given))
        return -1;
    if (self->table) {
        PyErr_SetString(PyExc_ValueError, "this Server is open already; make another one");
        return -1;
    }
    if (given != Py_None && !PyDict_Check(given)) {
        PyErr_Format(PyExc_TypeError, "limits is a dict, not %R", Py_TYPE(given));
        return -1;
    }
    if (!binding_table(table) || (given != Py_None && !read_limits(given, &limits)))
        return -1;
    const door_hooks hooks = {self, on_acceptable, on_command, on_closed};
    if (door_init(&self->door, &limits, &hooks) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    self->table = Py_NewRef(table);
    return 0;
}

static PyObject *server_new(PyTypeObject *type, PyObject *args, PyObject *names) {
    (void)args, (void)names;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    server_object *self = (server_object *)allocate(type, 0);
    if (!self)
        return NULL;
    self->events = PyList_New(0);
    if (!self->events)
        Py_CLEAR(self);
    return (PyObject *)self;
}

/* Closes everything, once; counts as long as the table is there to count in. */
static void end(server_object *self) {
    if (!self->table)
        return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback); /* it may end while an exception is on its way */
    fkv_table *table = binding_table(self->table);
    if (table)
        door_use(&self->door, table);
    else
        door_use_none(&self->door);
    PyErr_Restore(type, value, traceback);
    door_deinit(&self->door);
    Py_CLEAR(self->table);
}

static void server_dealloc(PyObject *object) {
    server_object *self = (server_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    end(self);
    Py_XDECREF(self->events);
    free_object(object);
    Py_DECREF(type);
}

static PyObject *server_shutdown(PyObject *object, PyObject *ignored) {
    (void)ignored;
    server_object *self = (server_object *)object;
    if (self->waiting || self->serving) {
        PyErr_SetString(PyExc_RuntimeError, "another thread is in tick(); let it return first");
        return NULL;
    }
    end(self);
    Py_RETURN_NONE;
}

/* False with an exception: shut down, or another thread is at the connections. */
static bool is_free(const server_object *self) {
    if (!self->table)
        PyErr_SetString(PyExc_ValueError, "this Server is shut down; make another one");
    else if (self->serving)
        PyErr_SetString(PyExc_RuntimeError, "another thread runs commands; one loop per Server");
    return self->table && !self->serving;
}

/* Makes the door ready for work. NULL with an exception: not free, or its table is closed. */
static door *use(PyObject *object) {
    server_object *self = (server_object *)object;
    fkv_table *table = is_free(self) ? binding_table(self->table) : NULL;
    if (!table)
        return NULL;
    door_use(&self->door, table);
    return &self->door;
}

/* ---- the tick -------------------------------------------------------------------------------- */

static int wait_without_gil(server_object *self, int timeout_ms) {
    int ready;
    self->waiting = true;
    Py_BEGIN_ALLOW_THREADS
    ready = door_wait(&self->door, timeout_ms);
    Py_END_ALLOW_THREADS
    self->waiting = false;
    return ready;
}

static PyObject *server_tick(PyObject *object, PyObject *argument) {
    server_object *self = (server_object *)object;
    int timeout_ms = (int)PyLong_AsLong(argument);
    if ((timeout_ms == -1 && PyErr_Occurred()) || !is_free(self))
        return NULL;
    if (self->waiting) {
        PyErr_SetString(PyExc_RuntimeError, "another thread is in tick(); one loop per Server");
        return NULL;
    }
    if (PyList_Size(self->events) > 0)
        timeout_ms = 0;
    if (wait_without_gil(self, timeout_ms) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (!use(object))
        return NULL;
    self->serving = true;
    door_serve(&self->door);
    self->serving = false;
    PyObject *next = PyErr_Occurred() ? NULL : PyList_New(0);
    if (!next)
        return NULL;
    PyObject *events = self->events;
    self->events = next;
    return events;
}

/* ---- listeners and who comes in -------------------------------------------------------------- */

static PyObject *none_or_error(int result) {
    if (result < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

/* A descriptor, or -1 with an exception. */
static int read_fd(PyObject *argument) {
    long fd = PyLong_AsLong(argument);
    if (fd >= 0 && fd <= INT_MAX)
        return (int)fd;
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "%ld is not a file descriptor", fd);
    return -1;
}

static PyObject *server_listen(PyObject *object, PyObject *argument) {
    int fd = read_fd(argument);
    door *door = fd < 0 ? NULL : use(object);
    return door ? none_or_error(door_listen(door, fd)) : NULL;
}

static PyObject *server_unlisten(PyObject *object, PyObject *argument) {
    int fd = read_fd(argument);
    door *door = fd < 0 ? NULL : use(object);
    return door ? none_or_error(door_unlisten(door, fd)) : NULL;
}

static PyObject *server_accept(PyObject *object, PyObject *argument) {
    int fd = read_fd(argument);
    door *door = fd < 0 ? NULL : use(object);
    if (!door)
        return NULL;
    connection *client;
    int accepted = door_accept(door, fd, &client);
    if (accepted <= 0)
        return none_or_error(accepted);
    return Py_BuildValue("(Ki)", (unsigned long long)client->id, client->fd);
}

static PyObject *server_reject(PyObject *object, PyObject *args) {
    int fd;
    const char *error;
    Py_ssize_t size;
    door *door;
    if (!PyArg_ParseTuple(args, "iy#:reject", &fd, &error, &size) || !(door = use(object)))
        return NULL;
    int accepted = door_reject(door, fd, error, (size_t)size);
    return accepted < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyBool_FromLong(accepted);
}

/* ---- connections ----------------------------------------------------------------------------- */

static PyObject *server_answer(PyObject *object, PyObject *args) {
    unsigned long long id;
    const char *reply;
    Py_ssize_t size;
    door *door;
    if (!PyArg_ParseTuple(args, "Ky#:answer", &id, &reply, &size) || !(door = use(object)))
        return NULL;
    connection *client = connection_find(&door->connections, id);
    server_object *self = (server_object *)object;
    self->serving = true;
    if (client)
        door_answer(door, client, reply, (size_t)size);
    self->serving = false;
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *server_close(PyObject *object, PyObject *argument) {
    unsigned long long id = PyLong_AsUnsignedLongLong(argument);
    door *door = PyErr_Occurred() ? NULL : use(object);
    if (!door)
        return NULL;
    connection *client = connection_find(&door->connections, id);
    if (client)
        door_close(door, client);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *server_drain(PyObject *object, PyObject *ignored) {
    (void)ignored;
    door *door = use(object);
    return door ? PyLong_FromSize_t(door_drain(door)) : NULL;
}

/* NULL with KeyError: it was closed, even if its "closed" event is still to come. */
static connection *find(PyObject *object, unsigned long long id) {
    door *door = use(object);
    connection *client = door ? connection_find(&door->connections, id) : NULL;
    if (door && !client)
        PyErr_Format(PyExc_KeyError, "no connection %llu; it was closed", id);
    return client;
}

static PyObject *server_protocol(PyObject *object, PyObject *args) {
    unsigned long long id;
    int version = 0;
    connection *client;
    if (!PyArg_ParseTuple(args, "K|i:protocol", &id, &version) || !(client = find(object, id)))
        return NULL;
    if (version != 0 && version != 2 && version != 3) {
        PyErr_Format(PyExc_ValueError, "the protocol is 2 or 3, not %d", version);
        return NULL;
    }
    if (version)
        client->protocol = version;
    return PyLong_FromLong(client->protocol);
}

static PyObject *server_database(PyObject *object, PyObject *args) {
    unsigned long long id;
    int number = -1;
    connection *client;
    if (!PyArg_ParseTuple(args, "K|i:database", &id, &number) || !(client = find(object, id)))
        return NULL;
    if (number < -1 || number >= FKV_DATABASES) {
        PyErr_Format(PyExc_ValueError, "a database is 0 to %d, not %d", FKV_DATABASES - 1, number);
        return NULL;
    }
    if (number >= 0)
        client->database = (unsigned)number;
    return PyLong_FromUnsignedLong(client->database);
}

static PyObject *server_activity(PyObject *object, PyObject *argument) {
    unsigned long long id = PyLong_AsUnsignedLongLong(argument);
    connection *client = PyErr_Occurred() ? NULL : find(object, id);
    if (!client)
        return NULL;
    return Py_BuildValue("(iKnns)", client->fd, (unsigned long long)client->commands,
                         (Py_ssize_t)buffer_size(&client->query),
                         (Py_ssize_t)buffer_size(&client->unsent),
                         client->last ? client->last->name : "");
}

static PyObject *server_connections(PyObject *object, void *ignored) {
    (void)ignored;
    return PyLong_FromSize_t(((server_object *)object)->door.connections.count);
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"listen", server_listen, METH_O, "Watches a listener; tick() tells when it is readable."},
    {"unlisten", server_unlisten, METH_O, "Watches a listener no more."},
    {"tick", server_tick, METH_O, "Waits, serves what is ready; returns what is Python's."},
    {"accept", server_accept, METH_O, "Accepts one connection: (connection, fd), or None."},
    {"reject", server_reject, METH_VARARGS, "Accepts one connection to tell it an error."},
    {"answer", server_answer, METH_VARARGS, "Replies to a command, and runs what is behind it."},
    {"close", server_close, METH_O, "Ends a connection once its replies are sent."},
    {"drain", server_drain, METH_NOARGS, "Reads no more; how many have replies to come."},
    {"protocol", server_protocol, METH_VARARGS, "The protocol version, after setting it if given."},
    {"database", server_database, METH_VARARGS, "The database, after setting it if given."},
    {"activity", server_activity, METH_O, "fd, commands, bytes unread and unsent, last command."},
    {"shutdown", server_shutdown, METH_NOARGS, "Closes every connection now."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"connections", server_connections, NULL, "How many are open.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Server(table, limits=None)\n--\n\nA worker's connections and its event loop."},
    {Py_tp_new, server_new},
    {Py_tp_init, server_init},
    {Py_tp_dealloc, server_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "forkkv._core.Server",
    .basicsize = sizeof(server_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

static PyObject *hot_command_row(const hot_command *command) {
    return Py_BuildValue("(sisiiis)", command->name, command->arity, command->flags,
                         command->first_key, command->last_key, command->key_step,
                         command->summary);
}

static int add_hot_commands(PyObject *module) {
    PyObject *rows = PyTuple_New(hot_command_count);
    for (unsigned i = 0; rows && i < hot_command_count; i++) {
        PyObject *row = hot_command_row(&hot_commands[i]);
        if (!row || PyTuple_SetItem(rows, i, row) < 0)
            Py_CLEAR(rows);
    }
    int result = rows ? PyModule_AddObjectRef(module, "HOT_COMMANDS", rows) : -1;
    Py_XDECREF(rows);
    return result;
}

int binding_add_server(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int result = type ? PyModule_AddObjectRef(module, "Server", type) : -1;
    Py_XDECREF(type);
    if (result < 0 || PyModule_AddObjectRef(module, "Limits", (PyObject *)&PyDict_Type) < 0)
        return -1; /* what a TypedDict is when it runs */
    return add_hot_commands(module);
}
