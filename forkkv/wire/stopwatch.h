/* stopwatch.h -- measures short spans cheaply, so that every command can be timed.
 *
 * On x86 with a constant-rate time stamp counter a reading costs about a third of clock_gettime();
 * elsewhere it is clock_gettime(). */
#ifndef FORKKV_STOPWATCH_H
#define FORKKV_STOPWATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define STOPWATCH_SHIFT 20 /* spans up to 2^44 counter steps, an hour or more, do not overflow */

typedef struct stopwatch {
    bool counter;     /* read the time stamp counter */
    uint64_t step_ns; /* nanoseconds per step, times 2^STOPWATCH_SHIFT */
} stopwatch;

/* Finds out what this machine has. Where it is a counter, measuring its rate takes 1 ms. */
stopwatch stopwatch_init(void);

static inline uint64_t stopwatch_clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The present reading, in steps. */
static inline uint64_t stopwatch_read(const stopwatch *self) {
#if defined(__x86_64__)
    if (self->counter)
        return __builtin_ia32_rdtsc();
#endif
    (void)self;
    return stopwatch_clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t stopwatch_ns(const stopwatch *self, uint64_t steps) {
    return self->counter ? steps * self->step_ns >> STOPWATCH_SHIFT : steps;
}

#endif
