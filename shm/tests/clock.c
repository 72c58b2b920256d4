/* clock.c -- the wall clock of a test program, which a test may set.
 *
 * The machine's clock is left alone: this file's clock_gettime takes the place of the library's in
 * the test program, for CLOCK_REALTIME. Waiting goes by another clock, and notices nothing. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

_Atomic long clock_step_s;
_Atomic int64_t clock_stand_ms, clock_creep_ms;

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = (int)syscall(SYS_clock_gettime, clock, at);
    if (clock != CLOCK_REALTIME)
        return result;
    int64_t stand = atomic_load(&clock_stand_ms);
    at->tv_sec += atomic_load(&clock_step_s);
    if (stand != 0) {
        *at = (struct timespec){.tv_sec = stand / 1000, .tv_nsec = stand % 1000 * 1000000};
        atomic_fetch_add(&clock_stand_ms, atomic_load(&clock_creep_ms));
    }
    return result;
}
