/* A load generator for WebSocket servers: one thread around epoll, so that the server is what
 * limits. Everything that comes back is compared with what was sent; the first difference ends it.
 *
 *   load echo      --port P [--connections N] [--size S] [--depth K] [--binary] [--deflate] [--tls]
 *   load fanout    --port P  --connections N  [--size S] [--depth K]
 *   load idle      --port P  --connections N   --pid SERVER [--deflate]
 *   load handshake --port P  --connections N  [--close]
 *   load flood     --port P  --connections N   one more connection floods empty messages
 *   load never     --port P  --size S          --pid SERVER  [--fanout]
 *
 * --announce prints OPEN before echoes are measured.
 * --seconds and --warm-up are the times of measuring and before it. Prints one JSON object, or
 * what went wrong, with exit code 1.
 */
#include "load.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

options_t options = {
    .mode = "echo", .path = "/", .connections = 1, .depth = 1, .size = 32, .seconds = 1, .warm_up_s = .2};

static const struct {
    const char *name;
    void (*run)(void);
} modes[] = {{"echo", run_echo},           {"fanout", run_fanout}, {"idle", run_idle},
             {"handshake", run_handshakes}, {"flood", run_flood},   {"never", run_never_reading}};

static void parse_flag(const char *name) {
    if (!strcmp(name, "--binary")) options.binary = true;
    else if (!strcmp(name, "--deflate")) options.deflate = true;
    else if (!strcmp(name, "--tls")) options.tls = true;
    else if (!strcmp(name, "--announce")) options.announce = true;
    else if (!strcmp(name, "--fanout")) options.fanout = true;
    else if (!strcmp(name, "--close")) options.close = true;
    else die("what is %s?", name);
}

static bool parse_value(const char *name, const char *value) {
    if (!value) return false;
    if (!strcmp(name, "--port")) options.port = atoi(value);
    else if (!strcmp(name, "--connections")) options.connections = atoi(value);
    else if (!strcmp(name, "--depth")) options.depth = atoi(value);
    else if (!strcmp(name, "--size")) options.size = strtoul(value, NULL, 10);
    else if (!strcmp(name, "--seconds")) options.seconds = atof(value);
    else if (!strcmp(name, "--warm-up")) options.warm_up_s = atof(value);
    else if (!strcmp(name, "--pid")) options.pid = atoi(value);
    else if (!strcmp(name, "--path")) options.path = value;
    else return false;
    return true;
}

static void allow_many_descriptors(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int count, char **arguments) {
    if (count > 1) options.mode = arguments[1];
    for (int i = 2; i < count; i++) {
        if (parse_value(arguments[i], arguments[i + 1])) i++;
        else parse_flag(arguments[i]);
    }
    if (options.connections < 1 || options.depth < 1) die("counts begin at 1");
    signal(SIGPIPE, SIG_IGN);
    allow_many_descriptors();
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(options.mode, modes[i].name)) continue;
        modes[i].run();
        return 0;
    }
    die("what is %s?", options.mode);
}
