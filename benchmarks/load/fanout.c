/* One connection publishes, and all receive. What counts is every message that somebody received.
 *
 * At most `depth` publications are under way: not yet with every receiver. So nobody falls behind,
 * and no server has to hold more.
 */
#include "load.h"

static connection_t *connections;
static uint64_t published, delivered;

static void handle(connection_t *connection, bool readable, bool writable) {
    if (writable) push(connection);
    if (readable) delivered += receive(connection);
}

/* Publish when half of what may be under way has come to everybody, so that batches form. */
static void publish(void) {
    uint64_t with_everybody = delivered / options.connections;
    uint64_t room = with_everybody + options.depth - published;
    if (room < (uint64_t)(options.depth + 1) / 2) return;
    published += room;
    send_messages(&connections[0], room);
}

void run_fanout(void) {
    ring_t *ring = new_ring(options.size, options.depth, options.binary, options.deflate);
    connections = open_connections(options.connections, ring);
    watch(connections, options.connections);
    publish();
    run_loop(options.warm_up_s, handle, publish);
    uint64_t before = delivered;
    start_meter();
    run_loop(options.seconds, handle, publish);
    print_meter(delivered - before);
    puts("}");
}
