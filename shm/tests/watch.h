/* watch.h -- what the shared memory looked like after every single store of an operation.
 *
 * A process that is killed leaves shared memory exactly as its last store left it. So the states
 * after each store are all the states that kill -9 at any instruction can leave. */
#ifndef FKV_WATCH_H
#define FKV_WATCH_H

#include "test.h"

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define WATCH_WORKS 1
#else
#define WATCH_WORKS 0 /* stepping over one store is done with the trap flag of x86 */
#endif

typedef void (*operation)(fkv_table *table, void *context);

/* The object before an operation, and each store that the operation made to it, in order. */
typedef struct recording recording;

/* Runs `run` on `table`, whose mapping is written to by nobody else meanwhile. */
recording *record(fkv_table *table, operation run, void *context);
void free_recording(recording *r);
size_t store_count(const recording *r);

/* Whether store `n` (from 1) went to the data of segments, where it is private until published. */
bool store_is_data(const recording *r, size_t n);

/* A participant of `table` that is alive on a copy of the object where all the others are dead.
 * `replay` puts the copy into the state after `n` stores (0: before the operation). */
fkv_table *new_survivor(const fkv_table *table);
void replay(fkv_table *survivor, recording *r, size_t n);
/* Makes participant `other` alive on the survivor's copy, too. */
void keep_alive(const fkv_table *survivor, const fkv_table *other);
void free_survivor(fkv_table *survivor);

#endif
