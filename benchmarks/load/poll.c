/* The loop around epoll. */
#include "load.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum { MOST_EVENTS = 512, LONGEST_WAIT_MS = 5 };

static int epoll = -1;

static void control(connection_t *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll < 0) epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(epoll, operation, connection->stream.fd, &event) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

void watch(connection_t *connections, int count) {
    for (int i = 0; i < count; i++) control(&connections[i], EPOLL_CTL_ADD, EPOLLIN);
}

void unwatch(connection_t *connection) { control(connection, EPOLL_CTL_DEL, 0); }

void watch_again(connection_t *connection) {
    control(connection, EPOLL_CTL_MOD,
            (connection->is_deaf ? 0 : EPOLLIN) | (connection->is_blocked ? EPOLLOUT : 0));
}

void run_loop(double seconds, event_handler_t handler, void (*turn)(void)) {
    struct epoll_event events[MOST_EVENTS];
    int64_t end = now_ns() + (int64_t)(seconds * 1e9);
    while (now_ns() < end) {
        int count = epoll_wait(epoll, events, MOST_EVENTS, LONGEST_WAIT_MS);
        for (int i = 0; i < count; i++)
            handler(events[i].data.ptr, events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR),
                    events[i].events & EPOLLOUT);
        if (turn) turn();
    }
}
