/* How long a round trip takes some connections while another floods the server: it sends empty
 * messages as fast as they are taken, and reads what comes back. First without the flood.
 *
 * The flood sends and reads little at a time, so that this program delays the others little.
 */
#include "load.h"

#include <string.h>

enum { SENT_AT_ONCE = 2048, READ_AT_ONCE = 4096 };

static connection_t *flooder;
static uint8_t echoes[READ_AT_ONCE + 2]; /* empty messages, as the server sends them */
static uint64_t replied_bytes;
static samples_t round_trips;

static void flood(bool readable, bool writable) {
    uint8_t buffer[READ_AT_ONCE];
    if (readable) {
        long size = stream_receive(&flooder->stream, buffer, sizeof buffer);
        if (size == STREAM_ENDED) die("the server hung up on the flood");
        if (size > 0 && memcmp(buffer, echoes + replied_bytes % 2, size))
            die("what came back is not an empty message");
        if (size > 0) replied_bytes += size;
    }
    if (writable) {
        const ring_t *ring = flooder->ring;
        size_t from = ring->offset[flooder->next_out] + flooder->sent;
        size_t size = ring->offset[ring->count] - from;
        long sent = stream_send(&flooder->stream, ring->frames + from, size);
        if (sent == STREAM_ENDED) die("the server hung up on the flood");
        if (sent < 0) return;
        size_t at = from + sent, frame = ring->offset[1];
        flooder->next_out = at / frame % ring->count;
        flooder->sent = at % frame;
    }
}

static void handle(connection_t *connection, bool readable, bool writable) {
    if (connection == flooder) {
        flood(readable, writable);
        return;
    }
    if (writable) push(connection);
    if (!readable || !receive(connection)) return;
    sample(&round_trips, now_ns() - connection->sent_at);
    send_messages(connection, 1);
}

static void measure(const char *name) {
    run_loop(options.warm_up_s, handle, NULL);
    round_trips.count = 0;
    run_loop(options.seconds, handle, NULL);
    if (!round_trips.count) die("no echo came in %.2f s (%s)", options.seconds, name);
    print_percentiles(name, &round_trips);
}

void run_flood(void) {
    for (size_t i = 0; i < sizeof echoes; i++) echoes[i] = i % 2 ? 0 : options.binary ? 0x82 : 0x81;
    ring_t *ring = new_ring(options.size, 1, options.binary, false);
    connection_t *others = open_connections(options.connections, ring);
    watch(others, options.connections);
    for (int i = 0; i < options.connections; i++) send_messages(&others[i], 1);
    putchar('{');
    measure("quiet_us");
    flooder = open_connections(1, new_ring(0, SENT_AT_ONCE, options.binary, false));
    watch(flooder, 1);
    flooder->is_blocked = true;
    watch_again(flooder);
    putchar(',');
    measure("flooded_us");
    printf(",\"flood_per_s\":%.0f}\n", replied_bytes / 2 / (options.warm_up_s + options.seconds));
}
