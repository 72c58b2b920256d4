/* table.c -- the Python type Table: opening and closing, and the list of its methods. */
#include <string.h>
#include <time.h>

#include "table.h"

fkv_table *table_closed(const table_object *self) {
    if (self->state)
        PyErr_Format(self->state->errors[ERROR_CLOSED],
                     "table '%s' is closed in this process; attach again", self->name);
    else
        PyErr_SetString(PyExc_ValueError, "Table.__init__() was not called");
    return NULL;
}

PyObject *table_raise(const table_object *self, fkv_status status) {
    if (!self->handle && !PyErr_Occurred()) /* since the operation began */
        return (PyObject *)table_closed(self);
    return binding_raise(self->state, self->handle, self->name, status);
}

fkv_table *binding_table(PyObject *table) {
    const binding_state *state = binding_state_of(Py_TYPE(table));
    if (state && PyObject_TypeCheck(table, state->table_type))
        return table_handle((table_object *)table);
    PyErr_Format(PyExc_TypeError, "a forkkv Table is needed, not %R", Py_TYPE(table));
    return NULL;
}

/* ---- the GIL --------------------------------------------------------------------------------- */

/* An operation gives up the GIL where it must wait for another process or thread, and nowhere else:
 * the others take less time than giving it up and getting it back. */
static void *give_up_gil(void) {
    return PyEval_SaveThread();
}

static void take_gil_back(void *thread) {
    PyEval_RestoreThread(thread);
}

static const fkv_wait_hooks gil_hooks = {give_up_gil, take_gil_back};

#define FINISH_NAPS 10000

/* So another thread can be inside an operation on the handle only while that waits: lets it finish.
 * False: it does not, most likely because the interpreter's end took it away in its wait. */
static bool await_other_threads(fkv_table *handle) {
    const struct timespec nap = {0, 1000000};
    int naps = 0;
    for (; fkv_waiting(handle) > 0 && naps < FINISH_NAPS; naps++) {
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&nap, NULL);
        Py_END_ALLOW_THREADS
    }
    return naps < FINISH_NAPS;
}

/* ---- open and close -------------------------------------------------------------------------- */

typedef struct open_arguments {
    int fd, create, role, role_index, database, observe, policy;
    long long memory_bytes;
    const char *name;
} open_arguments;

static bool open_arguments_read(PyObject *args, PyObject *names, open_arguments *ret) {
    static char *const keywords[] = {"fd",       "create", "memory_bytes", "role", "role_index",
                                     "database", "name",   "observe",      "policy", NULL};
    *ret = (open_arguments){.role = FKV_ATTACHED, .name = ""};
    if (!PyArg_ParseTupleAndKeywords(args, names, "i|pLiiispO&:Table", (char **)keywords, &ret->fd,
                                     &ret->create, &ret->memory_bytes, &ret->role,
                                     &ret->role_index, &ret->database, &ret->name, &ret->observe,
                                     table_policy, &ret->policy))
        return false;
    if (ret->memory_bytes < 0)
        PyErr_Format(PyExc_ValueError, "memory_bytes is at least %u, not %lld", FKV_MEMORY_MIN,
                     ret->memory_bytes);
    else if (strlen(ret->name) >= TABLE_NAME_SIZE)
        PyErr_Format(PyExc_ValueError, "a table's name has at most %d bytes", TABLE_NAME_SIZE - 1);
    else
        return table_role(ret->role, ret->role_index);
    return false;
}

/* Others may hold the creation lock for a while: not under the GIL. */
static fkv_status open_handle(const open_arguments *given, fkv_table **ret, fkv_fault *fault) {
    fkv_config config = {.memory_bytes = (uint64_t)given->memory_bytes,
                         .policy = (fkv_policy)given->policy};
    fkv_role role = (fkv_role)given->role;
    unsigned role_index = (unsigned)given->role_index;
    fkv_status status;
    Py_BEGIN_ALLOW_THREADS
    if (given->observe)
        status = fkv_observe(given->fd, ret, fault);
    else if (given->create)
        status = fkv_create(given->fd, &config, role, role_index, ret, fault);
    else
        status = fkv_attach(given->fd, role, role_index, ret, fault);
    Py_END_ALLOW_THREADS
    return status;
}

static int table_init(PyObject *object, PyObject *args, PyObject *names) {
    table_object *self = (table_object *)object;
    open_arguments given;
    if (!open_arguments_read(args, names, &given) ||
        !table_database(given.database, false, &self->database))
        return -1;
    if (self->handle) {
        PyErr_SetString(PyExc_ValueError, "this Table is open already; make another one");
        return -1;
    }
    self->state = binding_state_of(Py_TYPE(object));
    if (!self->state)
        return -1;
    memcpy(self->name, given.name, strlen(given.name) + 1);
    fkv_fault fault = {0};
    fkv_table *handle = NULL;
    if (open_handle(&given, &handle, &fault) != FKV_OK) {
        binding_raise_fault(self->state, self->name, &fault);
        return -1;
    }
    fkv_set_wait_hooks(handle, &gil_hooks);
    self->handle = handle;
    return 0;
}

static PyObject *table_close(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    table_object *self = (table_object *)object;
    fkv_table *handle = self->handle;
    self->handle = NULL;
    if (handle && await_other_threads(handle)) /* else it stays theirs until the process ends */
        fkv_detach(handle);
    Py_RETURN_NONE;
}

static void table_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    fkv_table *handle = ((table_object *)object)->handle;
    if (handle)
        fkv_detach(handle);
    release(object);
    Py_DECREF(type);
}

/* ---- attributes ------------------------------------------------------------------------------ */

static Py_ssize_t table_length(PyObject *object) {
    const table_object *self = (table_object *)object;
    fkv_table *handle = table_handle(self);
    return handle ? (Py_ssize_t)fkv_count(handle, self->database, NULL) : -1;
}

static PyObject *table_repr(PyObject *object) {
    const table_object *self = (table_object *)object;
    PyObject *type_name = PyType_GetName(Py_TYPE(object));
    if (!type_name)
        return NULL;
    PyObject *text = PyUnicode_FromFormat("<%U '%s' database %u%s>", type_name, self->name,
                                          self->database, self->handle ? "" : ", closed");
    Py_DECREF(type_name);
    return text;
}

static PyObject *get_closed(PyObject *object, void *Py_UNUSED(closure)) {
    return PyBool_FromLong(((table_object *)object)->handle == NULL);
}

static PyObject *get_name(PyObject *object, void *Py_UNUSED(closure)) {
    return PyUnicode_FromString(((table_object *)object)->name);
}

static PyObject *get_policy(PyObject *object, void *Py_UNUSED(closure)) {
    fkv_table *handle = table_handle((table_object *)object);
    return handle ? PyUnicode_FromString(fkv_policy_name(fkv_read_policy(handle))) : NULL;
}

static PyObject *get_database(PyObject *object, void *Py_UNUSED(closure)) {
    return PyLong_FromUnsignedLong(((table_object *)object)->database);
}

static int set_database(PyObject *object, PyObject *value, void *Py_UNUSED(closure)) {
    if (!value) {
        PyErr_SetString(PyExc_AttributeError, "a Table always has a database");
        return -1;
    }
    long number = PyLong_AsLong(value);
    if (PyErr_Occurred())
        return -1;
    return table_database(number, false, &((table_object *)object)->database) ? 0 : -1;
}

static PyGetSetDef table_attributes[] = {
    {"closed", get_closed, NULL, "Whether close() was called.", NULL},
    {"name", get_name, NULL, "What the table is called in messages.", NULL},
    {"policy", get_policy, NULL, "What a full table does now, one of POLICIES.", NULL},
    {"database", get_database, set_database, "0 to 15: where this handle's keys live.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* ---- the type -------------------------------------------------------------------------------- */

#define AS_METHOD(function) ((PyCFunction)(void (*)(void))(function))
#define FAST(name, function, doc) {name, AS_METHOD(function), METH_FASTCALL, doc}
#define ONE(name, function, doc) {name, function, METH_O, doc}
#define NONE(name, function, doc) {name, function, METH_NOARGS, doc}
#define SOME(name, function, doc) {name, function, METH_VARARGS, doc}

static PyMethodDef table_methods[] = {
    NONE("close", table_close,
         "close($self, /)\n--\n\nGives up the table in this process; the table stays. Calls under "
         "way in other threads\nfinish first; their next ones raise TableClosed."),
    FAST("get", table_get,
         "get($self, key, default=None, /)\n--\n\nThe value as bytes, or `default`. Takes no lock "
         "and makes no system call."),
    {"set", AS_METHOD(table_set), METH_FASTCALL | METH_KEYWORDS,
     "set($self, key, value, ttl=None, nx=False, xx=False, keep_ttl=False)\n--\n\n"
     "Stores the value; `ttl` in seconds. False when nx (only if absent) or xx (only if present)\n"
     "did not hold. A writer that waits for a lock lets other threads run; after the lock timeout\n"
     "(1 s by default) it raises TableBusy."},
    FAST("get_set", table_get_set,
         "get_set($self, key, value, /)\n--\n\nStores the value, drops the expiry, and returns "
         "the value replaced or None, as one step."),
    ONE("delete", table_delete,
        "delete($self, key, /)\n--\n\nRemoves the key; returns whether there was one."),
    ONE("pop_value", table_pop_value,
        "pop_value($self, key, /)\n--\n\nRemoves the key and returns its value or None, as one "
        "step."),
    FAST("incr", table_incr,
         "incr($self, key, delta=1, /)\n--\n\nAdds to a decimal integer (absent counts as 0) and "
         "returns the sum. Keeps the expiry."),
    FAST("append", table_append,
         "append($self, key, value, /)\n--\n\nAppends (absent counts as empty) and returns the "
         "size in bytes. Keeps the expiry."),
    FAST("expire", table_expire,
         "expire($self, key, ttl, /)\n--\n\nLets the key expire in `ttl` seconds; returns whether "
         "there is such a key."),
    FAST("expire_at", table_expire_at,
         "expire_at($self, key, at, /)\n--\n\nLets the key expire at `at`, seconds since the "
         "epoch; in the past, it is deleted.\nReturns whether there was such a key."),
    ONE("persist", table_persist,
        "persist($self, key, /)\n--\n\nRemoves the expiry; returns whether there was one."),
    ONE("ttl", table_remaining,
        "ttl($self, key, /)\n--\n\nSeconds until the key expires, None when it does not. KeyError "
        "when there is no such key."),
    ONE("memory_usage", table_memory_usage,
        "memory_usage($self, key, /)\n--\n\nBytes that the key takes, with its share of the "
        "index, or None when there is no such key."),
    ONE("frequency", table_frequency,
        "frequency($self, key, /)\n--\n\nHow often the key was used lately, 0 to ACCESS_MAX; "
        "counted while the policy evicts.\nNone when there is no such key."),
    ONE("get_many", table_get_many,
        "get_many($self, keys, /)\n--\n\nThe values as of one moment, in the order of the keys; "
        "None where there is none."),
    FAST("set_many", table_set_many,
         "set_many($self, pairs, ttl=None, /)\n--\n\nStores all pairs of a mapping or of an "
         "iterable, or none; the last of equal keys wins."),
    FAST("rename", table_rename,
         "rename($self, key, new_key, nx=False, /)\n--\n\nGives the value and its expiry another "
         "name, as one step. False: nx, and that name is taken.\nKeyError when there is no `key`."),
    FAST("copy", table_copy,
         "copy($self, key, new_key, replace=False, /)\n--\n\nCopies the value and its expiry to "
         "another name, as one step. False: that name is taken,\nand not to be replaced. KeyError "
         "when there is no `key`."),
    SOME("scan", table_scan,
         "scan($self, cursor, count, /)\n--\n\nVisits about `count` keys: (next cursor, keys). "
         "Start with 0; 0 comes back at the end.\nA key that is there all the time comes at least "
         "once."),
    ONE("count", table_count,
        "count($self, database, /)\n--\n\n(keys, how many of them have an expiry)"),
    FAST("count_some", table_count_some,
         "count_some($self, database, at, /)\n--\n\n(keys, where to go on) of a part of the table: "
         "at starts at 0 and is 0 again at the end.\nThe sum of the keys is the count."),
    SOME("clear", table_clear,
         "clear($self, database=None, /)\n--\n\nRemoves every key of this database, of another, "
         "or of ALL_DATABASES, as one step."),
    SOME("enroll", table_enroll,
         "enroll($self, role, role_index, /)\n--\n\nGives this process another role; a forked "
         "worker calls it first."),
    NONE("retire", table_retire,
         "retire($self, /)\n--\n\nMarks the table as gone for all who have it open; unlink it "
         "next."),
    ONE("sweep", table_sweep,
        "sweep($self, pages, /)\n--\n\nRemoves what has expired from the next pages of the index "
        "that are due;\nreturns how many keys, and whether there may be more."),
    NONE("reclaim_ahead", table_reclaim_ahead,
         "reclaim_ahead($self, /)\n--\n\nFrees one segment if few are free; returns whether it "
         "did."),
    NONE("shrink", table_shrink,
         "shrink($self, /)\n--\n\nOne small piece of giving memory back to the kernel; returns "
         "whether there was any to do.\nNothing is evicted for it."),
    NONE("purge", table_purge,
         "purge($self, /)\n--\n\nAsks the server's keeper to give back all that it can, soon."),
    NONE("purge_wanted", table_purge_wanted,
         "purge_wanted($self, /)\n--\n\nWhether somebody has asked for it, and it is not done."),
    ONE("set_policy", table_set_policy,
        "set_policy($self, policy, /)\n--\n\nWhat a full table does from now on, for all who "
        "have it open: one of POLICIES."),
    NONE("repair", table_repair,
         "repair($self, /)\n--\n\nRepairs after dead participants; returns how many it freed."),
    NONE("check", table_check,
         "check($self, /)\n--\n\nWalks everything under all locks: the first broken invariant, or "
         "None.\nOther threads run meanwhile."),
    NONE("truncated", table_truncated,
         "truncated($self, /)\n--\n\nWhether somebody has shortened the object: using the table "
         "would end this process."),
    NONE("facts", table_facts, "facts($self, /)\n--\n\nSizes and limits by name, see Facts."),
    NONE("participants", table_participants,
         "participants($self, /)\n--\n\nWho has the table open, see ParticipantFacts."),
    NONE("worker_loads", table_worker_loads,
         "worker_loads($self, /)\n--\n\n(index, pid, connections, heartbeat ns) of each worker."),
    NONE("departed", table_departed,
         "departed($self, /)\n--\n\nWhat processes that are gone had counted, see Departed."),
    SOME("count_up", table_count_up,
         "count_up($self, counter, n=1, /)\n--\n\nAdds to a counter of this process."),
    SOME("set_counter", table_set_counter,
         "set_counter($self, counter, value, /)\n--\n\nSets a counter of this process."),
    SOME("count_command", table_count_command,
         "count_command($self, row, ns, failed, /)\n--\n\nAdds a call to a row of this process's "
         "command counts."),
    ONE("set_state", table_set_state,
        "set_state($self, state, /)\n--\n\nSays in a word or two what this process is doing."),
    NONE("heartbeat", table_heartbeat,
         "heartbeat($self, /)\n--\n\nSays that this process goes on, by CLOCK_MONOTONIC."),
    ONE("set_lock_timeout", table_set_lock_timeout,
        "set_lock_timeout($self, milliseconds, /)\n--\n\nHow long a writer of this process waits "
        "for a lock."),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot table_slots[] = {
    {Py_tp_doc, "One open table: bytes by bytes or str keys, 1 to 65,535 bytes long."},
    {Py_tp_init, table_init},
    {Py_tp_dealloc, table_dealloc},
    {Py_tp_repr, table_repr},
    {Py_tp_methods, table_methods},
    {Py_tp_getset, table_attributes},
    {Py_mp_length, table_length},
    {Py_mp_subscript, table_get_item},
    {Py_mp_ass_subscript, table_set_item},
    {Py_sq_contains, table_contains},
    {0, NULL},
};

static PyType_Spec table_spec = {
    .name = "forkkv._core.Table",
    .basicsize = sizeof(table_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = table_slots,
};

int binding_add_table(PyObject *module, binding_state *state) {
    state->table_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &table_spec, NULL);
    return state->table_type ? PyModule_AddType(module, state->table_type) : -1;
}
