/* What goes wrong, time, percentiles, and what /proc says of the server. */
#include "load.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MOST_SAMPLES = 4 << 20 };

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void *need(void *pointer) {
    if (!pointer) die("out of memory");
    return pointer;
}

int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* Read a file of /proc about a process into text; return whether there is one. */
static bool read_proc(int pid, const char *file, char *text, size_t room) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    FILE *stream = pid ? fopen(path, "r") : NULL;
    if (!stream) return false;
    size_t size = fread(text, 1, room - 1, stream);
    text[size] = 0;
    fclose(stream);
    return true;
}

long server_rss_kb(void) {
    char text[4096];
    if (!read_proc(options.pid, "status", text, sizeof text)) die("the server's memory cannot be read");
    char *line = strstr(text, "VmRSS:");
    if (!line) die("the server is gone");
    return strtol(line + 6, NULL, 10);
}

static double server_cpu_s(void) {
    char text[1024];
    unsigned long user = 0, system = 0;
    if (!read_proc(options.pid, "stat", text, sizeof text)) return 0;
    char *name_end = strrchr(text, ')');
    if (name_end)
        sscanf(name_end + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double seconds_of(struct timeval time) { return time.tv_sec + time.tv_usec / 1e6; }

static double own_cpu_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

/* How long a process was ready to run while another one had its core. */
static double waited_s(int pid) {
    char text[256];
    unsigned long long ran = 0, waited = 0;
    if (read_proc(pid, "schedstat", text, sizeof text)) sscanf(text, "%llu %llu", &ran, &waited);
    return waited / 1e9;
}

static struct {
    double server_s, server_waited_s, own_s, own_waited_s;
    int64_t start;
} meter;

void start_meter(void) {
    meter.server_s = server_cpu_s();
    meter.server_waited_s = waited_s(options.pid);
    meter.own_s = own_cpu_s();
    meter.own_waited_s = waited_s(getpid());
    meter.start = now_ns();
}

void print_meter(uint64_t done) {
    double elapsed = (now_ns() - meter.start) / 1e9;
    if (!done) die("nothing was done in %.2f s", elapsed);
    printf("{\"per_s\":%.2f,\"server_busy\":%.3f,\"server_waited\":%.3f,", done / elapsed,
           (server_cpu_s() - meter.server_s) / elapsed,
           (waited_s(options.pid) - meter.server_waited_s) / elapsed);
    printf("\"load_busy\":%.3f,\"load_waited\":%.3f", (own_cpu_s() - meter.own_s) / elapsed,
           (waited_s(getpid()) - meter.own_waited_s) / elapsed);
}

void sample(samples_t *samples, int64_t ns) {
    if (samples->count == samples->room) {
        if (samples->room >= MOST_SAMPLES) return;
        samples->room = samples->room ? samples->room * 2 : 1 << 16;
        samples->ns = need(realloc(samples->ns, samples->room * sizeof *samples->ns));
    }
    samples->ns[samples->count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static int compare(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

double percentile_us(samples_t *samples, double share) {
    if (!samples->count) return 0;
    qsort(samples->ns, samples->count, sizeof *samples->ns, compare);
    return samples->ns[(size_t)((samples->count - 1) * share)] / 1e3;
}

void print_percentiles(const char *name, samples_t *samples) {
    double p50 = percentile_us(samples, .5), p99 = percentile_us(samples, .99);
    printf("\"%s\":{\"p50\":%.2f,\"p99\":%.2f,\"count\":%zu}", name, p50, p99, samples->count);
}
