/* The clock that asyncio's loops tell the time by, in seconds. */
#ifndef WIREBIRD_CLOCK_H
#define WIREBIRD_CLOCK_H

#ifndef _WIN32
#include <time.h>

static double wb_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
#else
#include <windows.h>

static double wb_time(void) { return 1e-3 * (double)GetTickCount64(); }
#endif

#endif
