/* trace.h -- a child that is really killed, after a number of instructions. */
#ifndef FKV_TRACE_H
#define FKV_TRACE_H

#include "watch.h"

/* Runs `run` in a child, which has registered as a participant before if there is a `table`, and kills
 * it with SIGKILL after `most` instructions of it. Returns how many it made: fewer, if it ended first. */
size_t kill_after(size_t most, fkv_table *table, operation run, void *context);

#endif
