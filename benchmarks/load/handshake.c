/* Opening handshakes, some at a time: connect, upgrade, hang up, and again.
 *
 * With --close the closing handshake is done before; else the connection is reset, which costs
 * the server least, and leaves no port behind that has to wait.
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGEST_RESPONSE = 4096, MOST_EVENTS = 256, LONGEST_WAIT_MS = 5 };

/* A Close frame with 1000, masked with zeros, and its answer. RFC 6455, 5.5.1. */
static const uint8_t close_frame[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8};
static const uint8_t close_answer[] = {0x88, 0x02, 0x03, 0xe8};

typedef struct {
    int fd;
    enum { CONNECTING, UPGRADING, CLOSING } state;
    char received[LARGEST_RESPONSE];
    size_t filled;
} attempt_t;

static int epoll;
static uint64_t done;

static void poll_for(attempt_t *attempt, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = attempt};
    if (epoll_ctl(epoll, operation, attempt->fd, &event) < 0) die("epoll_ctl: %s", strerror(errno));
}

static void begin(attempt_t *attempt) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    int on = 1;
    attempt->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (attempt->fd < 0) die("no socket: %s", strerror(errno));
    setsockopt(attempt->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(attempt->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (connect(attempt->fd, (struct sockaddr *)&address, sizeof address) < 0 &&
        errno != EINPROGRESS)
        die("cannot connect: %s", strerror(errno));
    attempt->state = CONNECTING;
    attempt->filled = 0;
    poll_for(attempt, EPOLL_CTL_ADD, EPOLLOUT);
}

static void end(attempt_t *attempt) {
    done++;
    close(attempt->fd);
    begin(attempt);
}

static void send_all(attempt_t *attempt, const void *data, size_t size) {
    if (send(attempt->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("the server took nothing: %s", strerror(errno));
}

static void upgrade(attempt_t *attempt) {
    char request[1024];
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) die("cannot connect: %s", strerror(error));
    send_all(attempt, request, write_request(request, sizeof request));
    attempt->state = UPGRADING;
    poll_for(attempt, EPOLL_CTL_MOD, EPOLLIN);
}

static void read_on(attempt_t *attempt) {
    ssize_t size = recv(attempt->fd, attempt->received + attempt->filled,
                        sizeof attempt->received - 1 - attempt->filled, 0);
    if (size <= 0) die("the server hung up in a handshake");
    attempt->filled += size;
    attempt->received[attempt->filled] = 0;
    if (attempt->state == CLOSING) {
        if (attempt->filled < sizeof close_answer) return;
        if (memcmp(attempt->received, close_answer, sizeof close_answer))
            die("the answer to a Close is not one");
        end(attempt);
    } else if (check_response(attempt->received)) {
        if (!options.close) {
            end(attempt);
            return;
        }
        attempt->filled = 0;
        attempt->state = CLOSING;
        send_all(attempt, close_frame, sizeof close_frame);
    }
}

static void run(double seconds) {
    struct epoll_event events[MOST_EVENTS];
    int64_t limit = now_ns() + (int64_t)(seconds * 1e9);
    while (now_ns() < limit) {
        int count = epoll_wait(epoll, events, MOST_EVENTS, LONGEST_WAIT_MS);
        for (int i = 0; i < count; i++) {
            attempt_t *attempt = events[i].data.ptr;
            if (attempt->state == CONNECTING) upgrade(attempt);
            else read_on(attempt);
        }
    }
}

void run_handshakes(void) {
    attempt_t *attempts = need(calloc(options.connections, sizeof *attempts));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < options.connections; i++) begin(&attempts[i]);
    run(options.warm_up_s);
    uint64_t before = done;
    start_meter();
    run(options.seconds);
    print_meter(done - before);
    puts("}");
}
