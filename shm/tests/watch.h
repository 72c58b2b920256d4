/* watch.h -- what the shared object looked like after every single step that an operation took on it.
 *
 * A process that is killed leaves the object exactly as its last step left it: the last instruction that
 * stored to it, or the last system call that reserved or gave back a piece of it. No instruction is
 * killed half way (a string move is many). So the states after each step are all the states that
 * kill -9 at any instruction can leave. */
#ifndef FKV_WATCH_H
#define FKV_WATCH_H

#include "test.h"

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define WATCH_WORKS 1
#else
#define WATCH_WORKS 0 /* stepping over one store is done with the trap flag of x86 */
#endif

typedef void (*operation)(fkv_table *table, void *context);

/* The object before an operation, and each step of the operation, in order. */
typedef struct recording recording;

/* Runs `run` on `table`, whose mapping is written to by nobody else meanwhile. */
recording *record(fkv_table *table, operation run, void *context);

/* Runs `run` (with no table), which opens the object behind `fd` and is watched from its mmap on. The
 * object is as large as that of `like`, or will be. */
recording *record_opening(int fd, const fkv_table *like, operation run, void *context);

void free_recording(recording *r);
size_t step_count(const recording *r);

/* Whether step `n` (from 1) went to the data of segments, where it is private until published. */
bool step_is_data(const recording *r, size_t n);
/* Whether it was a system call, which reserved a piece of the object or gave one back. */
bool step_is_call(const recording *r, size_t n);

/* Makes the object behind `fd` what it was after `n` steps (0: before the operation). A store to memory
 * that was not reserved fails the test: with /dev/shm full it would have been a SIGBUS. */
void put_state(recording *r, size_t n, int fd);

/* A participant of `table` that is alive on a copy of the object where all the others are dead.
 * `replay` puts the copy into the state after `n` steps. */
fkv_table *new_survivor(const fkv_table *table);
void replay(fkv_table *survivor, recording *r, size_t n);
/* Makes participant `other` alive on the survivor's copy, too. */
void keep_alive(const fkv_table *survivor, const fkv_table *other);
void free_survivor(fkv_table *survivor);

#endif
