/* One WebSocket connection: it sends messages of a ring, and compares every byte that comes back.
 *
 * What is sent is masked, as RFC 6455, 5.3 asks of clients; the key in the opening handshake is
 * always that of RFC 6455, 1.3, whose answer is known.
 */
#define _GNU_SOURCE
#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

enum { ROOM = 1 << 20, LARGEST_RESPONSE = 4096 };

static uint8_t received[ROOM], inflated[ROOM];

/* The opening handshake. */

size_t write_request(char *out, size_t room) {
    return snprintf(out, room,
                    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n"
                    "Sec-WebSocket-Version: 13\r\n%s\r\n",
                    options.path, options.port,
                    options.deflate ? "Sec-WebSocket-Extensions: permessage-deflate; "
                                      "client_max_window_bits\r\n"
                                    : "");
}

bool check_response(const char *response) {
    if (!strstr(response, "\r\n\r\n")) return false;
    if (strncmp(response, "HTTP/1.1 101", 12) || !strstr(response, ACCEPT))
        die("the handshake was refused: %.300s", response);
    return true;
}

static void shake_hands(stream_t *stream) {
    char request[1024], response[LARGEST_RESPONSE];
    size_t size = write_request(request, sizeof request), filled = 0;
    if (stream_send(stream, request, size) != (long)size) die("the request was not taken");
    do {
        if (filled == sizeof response - 1) die("the response is too long");
        long got = stream_receive(stream, response + filled, sizeof response - 1 - filled);
        if (got <= 0) die("the server hung up in the handshake");
        filled += got;
        response[filled] = 0;
    } while (!check_response(response));
    if (strlen(strstr(response, "\r\n\r\n")) != 4) die("the server spoke first");
    if (options.deflate != !!strcasestr(response, "permessage-deflate"))
        die("the server did not agree on compression as it was asked to");
}

connection_t *open_connections(int count, const ring_t *ring) {
    connection_t *connections = need(calloc(count, sizeof *connections));
    for (int i = 0; i < count; i++) {
        connections[i].stream = open_stream(options.port, options.tls);
        connections[i].ring = ring;
        shake_hands(&connections[i].stream);
        set_nonblocking(&connections[i].stream);
    }
    return connections;
}

/* What goes out. */

static void advance(connection_t *connection, size_t sent) {
    const ring_t *ring = connection->ring;
    connection->sent += sent;
    while (connection->owed) {
        size_t *offset = ring->offset + connection->next_out;
        if (connection->sent < offset[1] - offset[0]) break;
        connection->sent -= offset[1] - offset[0];
        connection->next_out = (connection->next_out + 1) % ring->count;
        connection->owed--;
        connection->sent_messages++;
    }
}

static void set_blocked(connection_t *connection, bool is_blocked) {
    if (connection->is_blocked == is_blocked) return;
    connection->is_blocked = is_blocked;
    watch_again(connection);
}

void push(connection_t *connection) {
    const ring_t *ring = connection->ring;
    while (connection->owed) {
        size_t next = connection->next_out;
        size_t last = next + connection->owed < ring->count ? next + connection->owed : ring->count;
        size_t from = ring->offset[next] + connection->sent;
        long sent = stream_send(&connection->stream, ring->frames + from, ring->offset[last] - from);
        if (sent == STREAM_AGAIN) {
            set_blocked(connection, true);
            return;
        }
        if (sent < 0) die("the server hung up");
        advance(connection, sent);
    }
    set_blocked(connection, false);
}

void send_messages(connection_t *connection, size_t count) {
    connection->owed += count;
    connection->sent_at = now_ns();
    if (!connection->is_blocked) push(connection);
}

static void send_pong(connection_t *connection) {
    uint8_t frame[6 + 125] = {0x8a, 0x80 | connection->control_size}; /* masked with zeros */
    memcpy(frame + 6, connection->control, connection->control_size);
    if (connection->owed) die("a ping came in the midst of a message; that is not provided for");
    long size = 6 + connection->control_size;
    if (stream_send(&connection->stream, frame, size) != size) die("a pong was not taken");
}

/* What comes in. */

static size_t whole_head(uint8_t second) {
    return (second & 0x7f) < 126 ? 2 : (second & 0x7f) == 126 ? 4 : 10;
}

static void begin_frame(connection_t *connection, const uint8_t *head) {
    uint64_t length = head[1] & 0x7f;
    if (head[1] & 0x80) die("a masked frame came from the server");
    if (length >= 126) {
        size_t size = whole_head(head[1]);
        length = 0;
        for (size_t i = 2; i < size; i++) length = length << 8 | head[i];
    }
    connection->left = length;
    connection->opcode = head[0] & 0x0f;
    connection->in_payload = true;
    connection->control_size = 0;
    if (connection->opcode >= 8) return;
    connection->is_final = head[0] & 0x80;
    if (connection->opcode) {
        connection->offset = 0;
        connection->is_compressed = head[0] & 0x40;
        if (connection->opcode != (options.binary ? 2 : 1)) die("a message of the wrong type came");
    }
}

/* Take what belongs to a header; return how much that was. */
static size_t take_head(connection_t *connection, const uint8_t *data, size_t size) {
    if (!connection->head_size && size >= sizeof connection->head) {
        begin_frame(connection, data);
        return whole_head(data[1]);
    }
    size_t used = 0;
    while (used < size) {
        connection->head[connection->head_size++] = data[used++];
        if (connection->head_size >= 2 &&
            connection->head_size == whole_head(connection->head[1])) {
            connection->head_size = 0;
            begin_frame(connection, connection->head);
            break;
        }
    }
    return used;
}

static void compare(connection_t *connection, const uint8_t *data, size_t size) {
    const ring_t *ring = connection->ring;
    const uint8_t *expected = ring->payload + connection->next_in * ring->size;
    if (size > ring->size - connection->offset ||
        memcmp(expected + connection->offset, data, size))
        die("what came back is not what was sent, after %zu bytes of message %zu",
            connection->offset, connection->next_in);
    connection->offset += size;
}

static void take_payload(connection_t *connection, const uint8_t *data, size_t size, bool last) {
    if (connection->opcode >= 8) {
        if (connection->control_size + size > sizeof connection->control)
            die("a control frame is too long");
        memcpy(connection->control + connection->control_size, data, size);
        connection->control_size += size;
    } else if (connection->is_compressed) {
        if (!connection->inflater) connection->inflater = new_inflater();
        size_t room = sizeof inflated;
        size = inflate_some(connection->inflater, data, size, last && connection->is_final, inflated,
                            room);
        if (size == room) die("messages of this size cannot be inflated here");
        compare(connection, inflated, size);
    } else {
        compare(connection, data, size);
    }
}

/* Note the end of a frame; return how many messages it completed. */
static size_t end_frame(connection_t *connection) {
    connection->in_payload = false;
    if (connection->opcode == 9) send_pong(connection);
    if (connection->opcode == 8) connection->is_closed = true;
    if (connection->opcode >= 8 || !connection->is_final) return 0;
    if (connection->offset != connection->ring->size) die("a message came back too short");
    connection->next_in = (connection->next_in + 1) % connection->ring->count;
    connection->messages++;
    connection->compressed += connection->is_compressed;
    return 1;
}

size_t take(connection_t *connection, const uint8_t *data, size_t size) {
    size_t completed = 0;
    while (size || (connection->in_payload && !connection->left)) { /* an empty one has no more */
        if (!connection->in_payload) {
            size_t used = take_head(connection, data, size);
            data += used;
            size -= used;
            if (!connection->in_payload) break;
        }
        size_t part = size < connection->left ? size : connection->left;
        connection->left -= part;
        take_payload(connection, data, part, !connection->left);
        data += part;
        size -= part;
        if (!connection->left) completed += end_frame(connection);
    }
    return completed;
}

size_t receive(connection_t *connection) {
    size_t completed = 0;
    for (;;) {
        long size = stream_receive(&connection->stream, received, sizeof received);
        if (size == STREAM_AGAIN) return completed;
        if (size < 0) die("the server hung up");
        completed += take(connection, received, size);
        if (connection->is_closed) die("the server closed the connection");
        if (!connection->stream.tls) return completed;
    }
}
