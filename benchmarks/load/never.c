/* A client that sends and never reads: what does the server's memory grow by, and does it still
 * serve another client? In the end all is read, and compared: what was taken must come back.
 *
 * With --fanout the other client publishes, and the one that never reads is a receiver. What the
 * server does about it is its choice.
 */
#include "load.h"

enum { WARM_UP_ECHOES = 100, NEVER_DONE = 1 << 30 };

static const double LOOK_EVERY_S = .05, DRAIN_LIMIT_S = 10;

static connection_t *greedy, *other;
static samples_t round_trips;
static bool was_cut; /* the server ended the connection that does not read */

static void handle(connection_t *connection, bool readable, bool writable) {
    if (connection == greedy) {
        if (readable && connection->is_deaf) {
            was_cut = true;
            unwatch(connection);
            return;
        }
        if (writable) push(connection);
        if (readable) receive(connection);
        return;
    }
    if (writable) push(connection);
    if (!readable || !receive(connection)) return;
    sample(&round_trips, now_ns() - connection->sent_at);
    send_messages(connection, 1);
}

static long most_memory(double seconds) {
    long most = 0;
    for (int64_t end = now_ns() + (int64_t)(seconds * 1e9); now_ns() < end;) {
        run_loop(LOOK_EVERY_S, handle, NULL);
        long now = server_rss_kb();
        if (now > most) most = now;
    }
    return most;
}

/* Send the message that is begun to its end, and read; return whether all came back. */
static bool read_all(void) {
    greedy->owed = greedy->sent ? 1 : 0;
    greedy->is_deaf = false;
    watch_again(greedy);
    int64_t limit = now_ns() + (int64_t)(DRAIN_LIMIT_S * 1e9);
    do run_loop(LOOK_EVERY_S, handle, NULL);
    while ((greedy->owed || greedy->messages < greedy->sent_messages) && now_ns() < limit);
    return greedy->messages == greedy->sent_messages;
}

void run_never_reading(void) {
    ring_t *ring = new_ring(options.size, 1, options.binary, false);
    connection_t *connections = open_connections(2, ring);
    greedy = &connections[0];
    other = &connections[1];
    watch(connections, 2);
    send_messages(other, 1);
    while (round_trips.count < WARM_UP_ECHOES) run_loop(.01, handle, NULL);
    long before = server_rss_kb();
    greedy->is_deaf = true;
    watch_again(greedy);
    if (!options.fanout) send_messages(greedy, NEVER_DONE);
    long most = most_memory(options.seconds);
    uint64_t taken = (options.fanout ? other : greedy)->sent_messages;
    if (!options.fanout && !was_cut && !read_all()) die("not all that was taken came back");
    printf("{\"grown_kb\":%ld,\"messages_taken\":%lu,\"was_cut\":%s,", most - before,
           (unsigned long)taken, was_cut ? "true" : "false");
    print_percentiles("other_round_trip_us", &round_trips);
    puts("}");
}
