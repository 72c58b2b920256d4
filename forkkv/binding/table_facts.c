/* table_facts.c -- the methods of Table that tell what it holds and who has it open. */
#include <string.h>

#include "table.h"

/* Consumes `value`; -1 with an exception set when it is NULL or does not go in. */
static int put(PyObject *dict, const char *name, PyObject *value) {
    int result = value ? PyDict_SetItemString(dict, name, value) : -1;
    Py_XDECREF(value);
    return result;
}

#define FACT(field) {#field, offsetof(fkv_facts, field), sizeof(((fkv_facts *)0)->field)}
static const struct fact {
    const char *name;
    size_t offset, size;
} facts_rows[] = {
    FACT(memory_limit_bytes), FACT(memory_used_bytes), FACT(live_bytes),
    FACT(dead_bytes),         FACT(free_bytes),        FACT(index_bytes),
    FACT(fixed_bytes),        FACT(keys),              FACT(expiring),
    FACT(value_max),          FACT(repairs),           FACT(created_ms),
    FACT(incarnation),        FACT(object_bytes),      FACT(segments),
    FACT(segments_free),      FACT(segments_open),     FACT(segments_closed),
    FACT(segments_runs),      FACT(segment_bytes),     FACT(partitions),
    FACT(reserve_bytes),      FACT(ghost_bytes),       FACT(segments_taken),
    FACT(participants),       FACT(participants_max),
};
#undef FACT

static unsigned long long fact_value(const fkv_facts *facts, const struct fact *fact) {
    const char *at = (const char *)facts + fact->offset;
    uint64_t wide;
    uint32_t narrow;
    if (fact->size == sizeof wide) {
        memcpy(&wide, at, sizeof wide);
        return wide;
    }
    memcpy(&narrow, at, sizeof narrow);
    return narrow;
}

PyObject *table_truncated(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    fkv_table *handle = table_handle((table_object *)object);
    return handle ? PyBool_FromLong(fkv_is_truncated(handle)) : NULL;
}

PyObject *table_facts(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    fkv_table *handle = table_handle((table_object *)self);
    if (!handle)
        return NULL;
    fkv_facts facts;
    fkv_read_facts(handle, &facts);
    PyObject *dict = PyDict_New();
    int failed = !dict || put(dict, "retired", PyBool_FromLong(facts.retired)) ||
                 put(dict, "policy", PyUnicode_FromString(fkv_policy_name(facts.policy)));
    for (size_t i = 0; !failed && i < sizeof facts_rows / sizeof facts_rows[0]; i++) {
        const struct fact *fact = &facts_rows[i];
        failed = put(dict, fact->name, PyLong_FromUnsignedLongLong(fact_value(&facts, fact)));
    }
    if (failed)
        Py_CLEAR(dict);
    return dict;
}

/* ---- participants ---------------------------------------------------------------------------- */

static const char *role_name(fkv_role role) {
    static const char *const names[] = {
        [FKV_MASTER] = "master",
        [FKV_WORKER] = "worker",
        [FKV_KEEPER] = "keeper",
        [FKV_ATTACHED] = "attached",
    };
    return role >= FKV_MASTER && role <= FKV_ATTACHED ? names[role] : "unknown";
}

static PyObject *counts_dict(const fkv_activity *activity) {
    PyObject *dict = PyDict_New();
    const char *name;
    for (unsigned i = 0; dict && (name = fkv_counter_name(i)); i++)
        if (put(dict, name, PyLong_FromUnsignedLongLong(activity->counts[i])) < 0)
            Py_CLEAR(dict);
    return dict;
}

static PyObject *commands_list(const fkv_activity *activity) {
    PyObject *list = PyList_New(FKV_COMMANDS);
    for (int i = 0; list && i < FKV_COMMANDS; i++) {
        const fkv_command_count *row = &activity->commands[i];
        PyObject *tuple =
            Py_BuildValue("(KKK)", (unsigned long long)row->calls, (unsigned long long)row->ns,
                          (unsigned long long)row->failed);
        if (!tuple || PyList_SetItem(list, i, tuple) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* The owner may be writing its state this moment: what comes out is text in any case. */
static PyObject *state_text(const char *state, size_t size) {
    return PyUnicode_DecodeUTF8(state, (Py_ssize_t)strnlen(state, size), "replace");
}

static PyObject *participant_dict(const fkv_participant_facts *facts,
                                  const fkv_activity *activity) {
    return Py_BuildValue(
        "{sI ss sI si sN sN sK sK sK sN sN sN}", "entry", facts->entry, "role",
        role_name(facts->role), "index", facts->role_index, "pid", (int)facts->pid, "alive",
        PyBool_FromLong(facts->alive), "own", PyBool_FromLong(facts->own), "start_ticks",
        (unsigned long long)facts->start_ticks, "generation",
        (unsigned long long)facts->generation, "heartbeat_ns",
        (unsigned long long)activity->heartbeat_ns, "state",
        state_text(activity->state, sizeof activity->state), "counts", counts_dict(activity),
        "commands", commands_list(activity));
}

static PyObject *describe_participant(fkv_table *handle, unsigned entry) {
    fkv_participant_facts facts;
    fkv_activity activity;
    if (!fkv_read_participant(handle, entry, &facts, &activity))
        return Py_NewRef(Py_None);
    return participant_dict(&facts, &activity);
}

static PyObject *describe_load(fkv_table *handle, unsigned entry) {
    fkv_load load;
    if (!fkv_read_load(handle, entry, &load))
        return Py_NewRef(Py_None);
    return Py_BuildValue("(IiKKN)", load.role_index, (int)load.pid,
                         (unsigned long long)load.connections,
                         (unsigned long long)load.heartbeat_ns,
                         state_text(load.state, sizeof load.state));
}

/* A list of what `describe` makes of each entry; where it says None there is no item. To make
 * objects may run finalizers, so the handle is asked for each time. */
static PyObject *each_entry(PyObject *self, PyObject *(*describe)(fkv_table *, unsigned)) {
    PyObject *list = PyList_New(0);
    for (unsigned entry = 0; list && entry < FKV_PARTICIPANTS; entry++) {
        fkv_table *handle = table_handle((table_object *)self);
        PyObject *described = handle ? describe(handle, entry) : NULL;
        if (!described || (described != Py_None && PyList_Append(list, described) < 0))
            Py_CLEAR(list);
        Py_XDECREF(described);
    }
    return list;
}

PyObject *table_participants(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    return each_entry(self, describe_participant);
}

/* The fence: a worker says how loaded it is, then looks at the others. Of two that do so at once,
 * one sees the other. */
PyObject *table_worker_loads(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return each_entry(self, describe_load);
}

PyObject *table_departed(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    fkv_table *handle = table_handle((table_object *)self);
    if (!handle)
        return NULL;
    fkv_activity activity;
    fkv_read_departed(handle, &activity);
    return Py_BuildValue("{sN sN}", "counts", counts_dict(&activity), "commands",
                         commands_list(&activity));
}

/* ---- one key --------------------------------------------------------------------------------- */

/* A number that says something of a key, or None when there is no such key. */
static PyObject *number_of(const table_object *self, fkv_status status, uint64_t number) {
    if (status == FKV_MISS)
        Py_RETURN_NONE;
    return status == FKV_OK ? PyLong_FromUnsignedLongLong(number) : table_raise(self, status);
}

PyObject *table_memory_usage(PyObject *object, PyObject *key_object) {
    const table_object *self = (table_object *)object;
    fkv_key key;
    fkv_table *handle = table_key(self, key_object, &key);
    if (!handle)
        return NULL;
    uint64_t bytes;
    fkv_status status = fkv_usage(handle, &key, &bytes);
    return number_of(self, status, bytes);
}

PyObject *table_frequency(PyObject *object, PyObject *key_object) {
    const table_object *self = (table_object *)object;
    fkv_key key;
    fkv_table *handle = table_key(self, key_object, &key);
    if (!handle)
        return NULL;
    unsigned count;
    fkv_status status = fkv_frequency(handle, &key, &count);
    return number_of(self, status, count);
}
