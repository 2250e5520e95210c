/* Connections that each have some messages under way, and send one for each that comes back. */
#include "load.h"

static samples_t round_trips;
static bool is_measuring;
static uint64_t messages;

static void handle(connection_t *connection, bool readable, bool writable) {
    if (writable) push(connection);
    size_t completed = readable ? receive(connection) : 0;
    if (!completed) return;
    if (is_measuring) {
        messages += completed;
        if (options.depth == 1) sample(&round_trips, now_ns() - connection->sent_at);
    }
    send_messages(connection, completed);
}

static void check_compression(const connection_t *connections) {
    uint64_t compressed = 0;
    for (int i = 0; i < options.connections; i++) compressed += connections[i].compressed;
    if (options.deflate && !compressed) die("nothing came back compressed");
}

void run_echo(void) {
    ring_t *ring = new_ring(options.size, options.depth, options.binary, options.deflate);
    connection_t *connections = open_connections(options.connections, ring);
    watch(connections, options.connections);
    for (int i = 0; i < options.connections; i++) send_messages(&connections[i], options.depth);
    run_loop(options.warm_up_s, handle, NULL);
    is_measuring = true;
    if (options.announce) {
        puts("OPEN");
        fflush(stdout);
    }
    start_meter();
    run_loop(options.seconds, handle, NULL);
    print_meter(messages);
    check_compression(connections);
    putchar(',');
    print_percentiles("round_trip_us", &round_trips);
    puts("}");
}
