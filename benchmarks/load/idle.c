/* What the server's memory grows by for open connections that are silent.
 *
 * Some connections talk and are kept before the first look, so that what a server needs only once
 * is not counted. Afterwards a message on each connection shows that all are alive.
 */
#include "load.h"

enum { EARLY = 10 };

static uint64_t messages;

static void handle(connection_t *connection, bool readable, bool writable) {
    if (writable) push(connection);
    if (readable) messages += receive(connection);
}

static void expect_echoes(connection_t *connections, int count) {
    int64_t limit = now_ns() + INT64_C(20000000000);
    messages = 0;
    for (int i = 0; i < count; i++) send_messages(&connections[i], 1);
    while (messages < (uint64_t)count) {
        if (now_ns() > limit) die("only %lu of %d echoes came", (unsigned long)messages, count);
        run_loop(.01, handle, NULL);
    }
}

void run_idle(void) {
    ring_t *ring = new_ring(options.size, 1, options.binary, false);
    connection_t *early = open_connections(EARLY, ring);
    watch(early, EARLY);
    expect_echoes(early, EARLY);
    run_loop(options.warm_up_s, handle, NULL);
    long before = server_rss_kb();
    int64_t start = now_ns();
    connection_t *connections = open_connections(options.connections, ring);
    double opened = (now_ns() - start) / 1e9;
    watch(connections, options.connections);
    run_loop(options.seconds, handle, NULL);
    long after = server_rss_kb();
    expect_echoes(connections, options.connections);
    printf("{\"kb_per_connection\":%.3f,\"connections\":%d,\"rss_kb_before\":%ld,"
           "\"rss_kb_after\":%ld,\"opened_in_s\":%.3f,\"rss_kb_after_echoes\":%ld}\n",
           (double)(after - before) / options.connections, options.connections, before, after,
           opened, server_rss_kb());
}
