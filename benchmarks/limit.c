/* The limit: a WebSocket server that does what none can leave out, and nothing else.
 *
 *   limit echo|fanout PORT
 *
 * One thread around epoll. It answers the opening handshake, unmasks what comes, and sends it back,
 * or to all; what one read brought goes out in one send. It checks nothing, knows no limits, no
 * fragments, no control frames but Close, and makes no objects of messages. A library that comes
 * near it does its work for nearly nothing. Clients are measured against it, too.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_AT_ONCE = 256 << 10, MOST_EVENTS = 1024, LARGEST_HEAD = 14 };

typedef struct {
    uint8_t *data;
    size_t size, room;
} buffer_t;

typedef struct {
    int fd;
    bool is_open, is_blocked, is_closing;
    buffer_t in;  /* what has come of a frame that is not whole */
    buffer_t out; /* what the socket did not take yet */
    size_t place; /* in the table of all connections */
} connection_t;

static int epoll, listener;
static bool is_fanout;
static connection_t **connections;
static size_t connection_count, connection_room;
static uint8_t received[READ_AT_ONCE];
static buffer_t replies; /* to what one read brought; empty between two reads */

static void die(const char *what) {
    perror(what);
    exit(1);
}

static uint8_t *reserve(buffer_t *buffer, size_t more) {
    if (buffer->size + more > buffer->room) {
        buffer->room = (buffer->size + more) * 3 / 2;
        buffer->data = realloc(buffer->data, buffer->room);
        if (!buffer->data) die("realloc");
    }
    return buffer->data + buffer->size;
}

static void append(buffer_t *buffer, const void *data, size_t size) {
    memcpy(reserve(buffer, size), data, size);
    buffer->size += size;
}

static void drop(buffer_t *buffer, size_t size) {
    buffer->size -= size;
    if (buffer->size) memmove(buffer->data, buffer->data + size, buffer->size);
}

/* SHA-1 and base64, for the opening handshake. RFC 3174, RFC 4648, RFC 6455, 4.2.2. */

static uint32_t rotate(uint32_t value, int bits) { return value << bits | value >> (32 - bits); }

static void hash_block(uint32_t state[5], const uint8_t *block) {
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 |
               block[4 * i + 3];
    for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) f = (b & c) | (~b & d), k = 0x5a827999;
        else if (i < 40) f = b ^ c ^ d, k = 0x6ed9eba1;
        else if (i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
        else f = b ^ c ^ d, k = 0xca62c1d6;
        uint32_t next = rotate(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

/* The hash of exactly 60 bytes, a key and the GUID: with padding that is two blocks. */
static void hash_key(const char *key, uint8_t digest[21]) {
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t blocks[128] = {0};
    memcpy(blocks, key, 24);
    memcpy(blocks + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    blocks[60] = 0x80;
    blocks[126] = 60 * 8 >> 8;
    blocks[127] = 60 * 8 & 0xff;
    hash_block(state, blocks);
    hash_block(state, blocks + 64);
    for (int i = 0; i < 20; i++) digest[i] = state[i / 4] >> (24 - 8 * (i % 4));
    digest[20] = 0;
}

static void write_accept(const char *key, char accept[29]) {
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t digest[21];
    hash_key(key, digest);
    for (int i = 0; i < 7; i++) {
        uint32_t bits = digest[3 * i] << 16 | digest[3 * i + 1] << 8 | digest[3 * i + 2];
        for (int j = 0; j < 4; j++) accept[4 * i + j] = alphabet[bits >> (18 - 6 * j) & 63];
    }
    accept[27] = '='; /* 20 bytes are 27 characters */
    accept[28] = 0;
}

/* Connections. */

static void poll_for(connection_t *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(epoll, operation, connection->fd, &event) < 0) die("epoll_ctl");
}

static void accept_connection(void) {
    int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return; /* the client is gone again */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection_t *connection = calloc(1, sizeof *connection);
    if (connection_count == connection_room) {
        connection_room = connection_room ? connection_room * 2 : 1024;
        connections = realloc(connections, connection_room * sizeof *connections);
    }
    if (!connection || !connections) die("out of memory");
    connection->fd = fd;
    connection->place = connection_count;
    connections[connection_count++] = connection;
    poll_for(connection, EPOLL_CTL_ADD, EPOLLIN);
}

static void end(connection_t *connection) {
    connections[connection->place] = connections[--connection_count];
    connections[connection->place]->place = connection->place;
    close(connection->fd);
    free(connection->in.data);
    free(connection->out.data);
    free(connection);
}

/* Send behind what waits. While something waits, nothing more is read. */
static void send_bytes(connection_t *connection, const uint8_t *data, size_t size) {
    ssize_t sent = 0;
    if (!connection->out.size) {
        sent = send(connection->fd, data, size, MSG_NOSIGNAL);
        if (sent < 0) sent = 0; /* full; or gone, and then reading says so */
    }
    if ((size_t)sent < size) append(&connection->out, data + sent, size - sent);
    if (connection->out.size && !connection->is_blocked) {
        connection->is_blocked = true;
        poll_for(connection, EPOLL_CTL_MOD, EPOLLOUT);
    }
}

static bool send_waiting(connection_t *connection) {
    ssize_t sent = send(connection->fd, connection->out.data, connection->out.size, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    drop(&connection->out, sent);
    if (!connection->out.size) {
        connection->is_blocked = false;
        poll_for(connection, EPOLL_CTL_MOD, EPOLLIN);
    }
    return true;
}

/* Answer a request when it is whole; return how much of the input that took. */
static size_t shake_hands(connection_t *connection, const uint8_t *data, size_t size) {
    const uint8_t *head_end = memmem(data, size, "\r\n\r\n", 4);
    if (!head_end) return 0;
    char head[4096], accept[29], response[256];
    size_t head_size = head_end + 4 - data;
    if (head_size >= sizeof head) return 0;
    memcpy(head, data, head_size);
    head[head_size] = 0;
    char *key = strcasestr(head, "\r\nSec-WebSocket-Key: ");
    if (!key) return 0;
    write_accept(key + strlen("\r\nSec-WebSocket-Key: "), accept);
    int length = snprintf(response, sizeof response,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                          accept);
    connection->is_open = true;
    send_bytes(connection, (uint8_t *)response, length);
    return head_size;
}

/* Frames. RFC 6455, 5.2. */

static void unmask(uint8_t *out, const uint8_t *in, size_t size, const uint8_t *key_bytes) {
    uint32_t key;
    memcpy(&key, key_bytes, 4);
    uint64_t wide = (uint64_t)key << 32 | key;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t block;
        memcpy(&block, in + i, 8);
        block ^= wide;
        memcpy(out + i, &block, 8);
    }
    for (; i < size; i++) out[i] = in[i] ^ key_bytes[i % 4];
}

/* Return the size of a frame's header, with its key, and set the payload's; 0 for not yet whole. */
static size_t parse_head(const uint8_t *data, size_t size, uint64_t *length) {
    if (size < 2) return 0;
    size_t extended = (data[1] & 0x7f) < 126 ? 0 : (data[1] & 0x7f) == 126 ? 2 : 8;
    if (size < 2 + extended + 4) return 0;
    *length = extended ? 0 : data[1] & 0x7f;
    for (size_t i = 0; i < extended; i++) *length = *length << 8 | data[2 + i];
    return 2 + extended + 4;
}

/* Turn whole frames into replies; return how much of the input that took. */
static size_t take_frames(connection_t *connection, const uint8_t *data, size_t size) {
    size_t used = 0;
    while (used < size) {
        uint64_t length;
        const uint8_t *frame = data + used;
        size_t head = parse_head(frame, size - used, &length);
        if (!head || size - used - head < length) break;
        uint8_t *out = reserve(&replies, length + LARGEST_HEAD);
        memcpy(out, frame, head - 4);
        out[1] &= 0x7f;
        unmask(out + head - 4, frame + head, length, frame + head - 4);
        replies.size += head - 4 + length;
        if ((frame[0] & 0x0f) == 8) connection->is_closing = true;
        used += head + length;
    }
    return used;
}

static void send_replies(connection_t *connection) {
    if (!replies.size) return;
    if (is_fanout && !connection->is_closing) {
        for (size_t i = 0; i < connection_count; i++)
            if (connections[i]->is_open) send_bytes(connections[i], replies.data, replies.size);
    } else {
        send_bytes(connection, replies.data, replies.size);
    }
    replies.size = 0;
}

static void take(connection_t *connection, const uint8_t *data, size_t size) {
    size_t used = connection->is_open ? 0 : shake_hands(connection, data, size);
    if (connection->is_open) used += take_frames(connection, data + used, size - used);
    if (data == connection->in.data) drop(&connection->in, used);
    else append(&connection->in, data + used, size - used);
    send_replies(connection);
}

/* Read once: into the common buffer, or behind the part of a frame that has come. */
static bool read_on(connection_t *connection) {
    buffer_t *in = &connection->in;
    uint8_t *into = in->size ? reserve(in, READ_AT_ONCE) : received;
    ssize_t size = recv(connection->fd, into, READ_AT_ONCE, 0);
    if (size <= 0) return size < 0 && errno == EAGAIN;
    if (into == received) {
        take(connection, received, size);
    } else {
        in->size += size;
        take(connection, in->data, in->size);
    }
    return !connection->is_closing;
}

static void listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (listen(listener, 4096) < 0) die("listen");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll_ctl");
}

static void run(void) {
    struct epoll_event events[MOST_EVENTS];
    for (;;) {
        int count = epoll_wait(epoll, events, MOST_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            connection_t *connection = events[i].data.ptr;
            if (!connection) accept_connection();
            else if (!(connection->is_blocked ? send_waiting : read_on)(connection))
                end(connection);
        }
    }
}

int main(int count, char **arguments) {
    struct rlimit limit;
    if (count != 3) return 2;
    is_fanout = !strcmp(arguments[1], "fanout");
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    listen_on(atoi(arguments[2]));
    puts("READY");
    fflush(stdout);
    run();
}
