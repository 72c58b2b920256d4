/* wait.c -- how a thread waits: whoever lends it a lock of its own, as Python does, gets it back
 * meanwhile.
 *
 * No other file sleeps, or blocks on the turn, without a word to the hooks. The turn is tried first
 * and then waited for without the GIL: its holder may be waiting for the GIL. Whoever holds a lock
 * of the table keeps the GIL: else other processes would wait for our threads to give it back. */
#include <time.h>

#include "internal.h"

void fkv_set_wait_hooks(fkv_table *table, const fkv_wait_hooks *hooks) {
    table->wait_hooks = hooks;
}

unsigned fkv_waiting(const fkv_table *table) {
    return atomic_load(&table->waiting);
}

static _Thread_local bool given_up; /* waits may lie within waits */

/* From here to fkv_wait_end the caller calls no sink and no visitor. */
void *fkv_wait_begin(fkv_table *table) {
    if (table->wait_hooks == NULL || given_up || fkv_holding > 0)
        return NULL;
    atomic_fetch_add(&table->waiting, 1);
    given_up = true;
    return table->wait_hooks->before();
}

void fkv_wait_end(fkv_table *table, void *begun) {
    if (begun == NULL)
        return;
    table->wait_hooks->after(begun);
    given_up = false;
    atomic_fetch_sub(&table->waiting, 1);
}

void fkv_nap(fkv_table *table, unsigned microseconds) {
    struct timespec nap = {microseconds / 1000000, microseconds % 1000000 * 1000L};
    void *begun = fkv_wait_begin(table);
    nanosleep(&nap, NULL);
    fkv_wait_end(table, begun);
}

/* Threads of one process write one at a time. */
void fkv_await_turn(fkv_table *table) {
    void *begun = fkv_wait_begin(table);
    pthread_mutex_lock(&table->writers);
    fkv_wait_end(table, begun);
}

/* fkv_partition_settle for who has not begun to write: it may have to register first. */
fkv_status fkv_pass_partition(fkv_table *table, fkv_partition *partition) {
    fkv_status status = table->observer ? FKV_READ_ONLY : fkv_ready(table);
    return status == FKV_OK ? fkv_partition_settle(table, partition) : status;
}

fkv_status fkv_await_all(fkv_table *table) {
    fkv_status status = FKV_OK;
    for (uint32_t i = 0; status == FKV_OK && i < table->geometry.partition_count; i++)
        status = fkv_await_partition(table, &table->partitions[i]);
    return status;
}
