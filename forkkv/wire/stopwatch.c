/* stopwatch.c -- measures the rate of the time stamp counter once. */
#include "stopwatch.h"

#if defined(__x86_64__)
#include <cpuid.h>

#define CALIBRATION_NS 1000000
#define CPUID_POWER 0x80000007u /* leaf of advanced power management */
#define CONSTANT_RATE (1u << 8) /* EDX: the counter runs at one rate in every power state */

static bool has_constant_counter(void) {
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(CPUID_POWER, &eax, &ebx, &ecx, &edx) && (edx & CONSTANT_RATE);
}

stopwatch stopwatch_init(void) {
    if (!has_constant_counter())
        return (stopwatch){false, 0};
    uint64_t start_ns = stopwatch_clock_ns(CLOCK_MONOTONIC), now_ns;
    uint64_t start = __builtin_ia32_rdtsc();
    do
        now_ns = stopwatch_clock_ns(CLOCK_MONOTONIC);
    while (now_ns - start_ns < CALIBRATION_NS);
    uint64_t steps = __builtin_ia32_rdtsc() - start;
    return (stopwatch){true, ((now_ns - start_ns) << STOPWATCH_SHIFT) / steps};
}

#else

stopwatch stopwatch_init(void) {
    return (stopwatch){false, 0};
}

#endif
