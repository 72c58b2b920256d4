/* facts.c -- what the table and its participants say of themselves. */
#include <string.h>

#include "internal.h"

void fkv_read_facts(fkv_table *table, fkv_facts *ret) {
    const fkv_header *h = table->header;
    const fkv_geometry *g = &table->geometry;
    fkv_survey survey;
    fkv_survey_segments(table, &survey);
    *ret = (fkv_facts){
        .memory_limit_bytes = g->memory_bytes,
        .memory_used_bytes = atomic_load(&h->reserved_bytes),
        .live_bytes = survey.live_bytes,
        .dead_bytes = survey.written_bytes > survey.live_bytes
                          ? survey.written_bytes - survey.live_bytes : 0,
        .free_bytes = fkv_segments_available(table) * table->segment_bytes,
        .fixed_bytes = g->index_off,
        .ghost_bytes = atomic_load(&h->ghosts_reserved) ? g->ghost_bytes : 0,
        .policy = fkv_read_policy(table),
        .value_max = fkv_value_max(table),
        .repairs = atomic_load(&h->repairs),
        .segments_taken = atomic_load(&h->clock),
        .created_ms = h->created_ms,
        .incarnation = h->incarnation,
        .object_bytes = g->object_bytes,
        .segments = fkv_segments_that_fit(table),
        .segments_free = survey.free,
        .segments_open = survey.open,
        .segments_closed = survey.closed,
        .segments_runs = survey.runs,
        .segment_bytes = (uint32_t)g->segment_bytes,
        .partitions = g->partition_count,
        .participants_max = FKV_ENTRIES,
        .retired = atomic_load(&h->retired) != 0,
    };
    uint64_t reserve_bytes = g->reserve_segments * table->segment_bytes;
    ret->reserve_bytes = reserve_bytes < ret->free_bytes ? reserve_bytes : ret->free_bytes;
    ret->keys = fkv_count(table, FKV_ALL_DATABASES, &ret->expiring);
    for (uint32_t i = 0; i < g->partition_count; i++)
        ret->index_bytes += atomic_load(&table->partitions[i].index_bytes);
    for (unsigned i = 1; i < FKV_ENTRIES; i++)
        ret->participants += FKV_IDENTITY_ROLE(atomic_load(&table->entries[i].identity)) != 0;
}

static fkv_activity *activity_page(const fkv_table *table, unsigned entry) {
    return (fkv_activity *)(table->base + table->geometry.activity_off +
                            (uint64_t)entry * FKV_ACTIVITY_SIZE);
}

/* The role of a participant whose page may be read, or 0. */
static unsigned readable_role(const fkv_table *table, unsigned entry, uint64_t *ret_identity) {
    if (entry == 0 || entry >= FKV_ENTRIES)
        return 0;
    *ret_identity = atomic_load_explicit(&table->entries[entry].identity, memory_order_acquire);
    bool reserved = atomic_load_explicit(&table->entries[entry].page_reserved,
                                         memory_order_acquire);
    return reserved ? FKV_IDENTITY_ROLE(*ret_identity) : 0;
}

bool fkv_read_participant(fkv_table *table, unsigned entry, fkv_participant_facts *ret,
                          fkv_activity *ret_activity) {
    uint64_t identity;
    unsigned role = readable_role(table, entry, &identity);
    if (role == 0)
        return false;
    *ret = (fkv_participant_facts){
        .entry = entry,
        .role = role,
        .role_index = FKV_IDENTITY_INDEX(identity),
        .pid = table->entries[entry].pid,
        .alive = fkv_entry_alive(table, entry),
        .own = entry == table->entry && table->lock_word != 0,
        .start_ticks = table->entries[entry].start_ticks,
        .generation = FKV_IDENTITY_GENERATION(identity),
    };
    if (ret_activity != NULL)
        fkv_racy_copy(ret_activity, activity_page(table, entry), sizeof *ret_activity);
    return true;
}

bool fkv_read_load(const fkv_table *table, unsigned entry, fkv_load *ret) {
    uint64_t identity;
    if (readable_role(table, entry, &identity) != FKV_WORKER)
        return false;
    const fkv_activity *activity = activity_page(table, entry);
    ret->role_index = FKV_IDENTITY_INDEX(identity);
    ret->pid = table->entries[entry].pid;
    ret->connections = __atomic_load_n(&activity->counts[FKV_COUNT_connections], __ATOMIC_SEQ_CST);
    ret->heartbeat_ns = __atomic_load_n(&activity->heartbeat_ns, __ATOMIC_RELAXED);
    fkv_racy_copy(ret->state, activity->state, sizeof ret->state);
    return true;
}

fkv_activity *fkv_own_activity(fkv_table *table) {
    fkv_ready(table);
    return table->own;
}

/* ---- the departed --------------------------------------------------------------------------- */

/* Entry 0's page sums what departed participants had counted, so that totals never go down. Their
 * connections are gone with them. Killed in here: some are counted twice, which a hint may be. */
void fkv_add_departed_listed(fkv_table *table, unsigned entry) {
    if (!atomic_load(&table->entries[entry].page_reserved) || entry == 0)
        return;
    fkv_activity *sum = activity_page(table, 0);
    const fkv_activity *gone = activity_page(table, entry);
    for (unsigned i = 0; i < FKV_COUNTERS; i++)
        if (i != FKV_COUNT_connections)
            fkv_count_up(sum, i, gone->counts[i]);
    for (unsigned i = 0; i < FKV_COMMANDS; i++) {
        sum->commands[i].calls += gone->commands[i].calls;
        sum->commands[i].ns += gone->commands[i].ns;
        sum->commands[i].failed += gone->commands[i].failed;
    }
}

void fkv_read_departed(const fkv_table *table, fkv_activity *ret) {
    fkv_racy_copy(ret, activity_page(table, 0), sizeof *ret);
}
