/* Readiness of many sockets: epoll on Linux, kqueue on macOS and the BSDs, nothing elsewhere. */
#ifndef WIREBIRD_POLL_H
#define WIREBIRD_POLL_H

#include <stdint.h>

enum { WB_READ = 1, WB_WRITE = 2, WB_HANG_UP = 4 };

typedef struct {
    void *what;
    uint32_t events;
} wb_event_t;

enum { WB_EVENTS_MAX = 64 };

#if defined(__linux__)
#define WB_HAS_POLL 1
#include <sys/epoll.h>
#include <unistd.h>

static int wb_poll_new(void) { return epoll_create1(EPOLL_CLOEXEC); }

/* Watch a socket for these events. */
static int wb_poll_set(int poll, int fd, void *what, uint32_t now, uint32_t before, int is_new) {
    struct epoll_event event;
    (void)before;
    event.events = (now & WB_READ ? EPOLLIN : 0) | (now & WB_WRITE ? EPOLLOUT : 0) |
                   (now & WB_HANG_UP ? EPOLLRDHUP : 0);
    event.data.ptr = what;
    return epoll_ctl(poll, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
}

static void wb_poll_forget(int poll, int fd) {
    struct epoll_event event;
    epoll_ctl(poll, EPOLL_CTL_DEL, fd, &event);
}

static int wb_poll_wait(int poll, wb_event_t *events) {
    struct epoll_event found[WB_EVENTS_MAX];
    int n = epoll_wait(poll, found, WB_EVENTS_MAX, 0);
    for (int i = 0; i < n; i++) {
        uint32_t mask = found[i].events;
        events[i].what = found[i].data.ptr;
        events[i].events = (mask & EPOLLIN ? WB_READ : 0) | (mask & EPOLLOUT ? WB_WRITE : 0) |
                           (mask & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? WB_HANG_UP : 0);
    }
    return n;
}

#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__)
#define WB_HAS_POLL 1
#include <sys/event.h>
#include <sys/time.h>
#include <sys/types.h>
#include <unistd.h>

static int wb_poll_new(void) { return kqueue(); }

static int wb_poll_set(int poll, int fd, void *what, uint32_t now, uint32_t before, int is_new) {
    struct kevent changes[2];
    int n = 0;
    /* Without reading, the filter stays for its EV_EOF, and tells of data once at most. */
    uint32_t input = now & (WB_READ | WB_HANG_UP);
    if (is_new || input != (before & (WB_READ | WB_HANG_UP))) {
        int how = !input ? EV_DELETE : EV_ADD | (now & WB_READ ? 0 : EV_CLEAR);
        EV_SET(&changes[n], fd, EVFILT_READ, how, 0, 0, what);
        n++;
    }
    if ((now & WB_WRITE) != (before & WB_WRITE)) {
        EV_SET(&changes[n], fd, EVFILT_WRITE, now & WB_WRITE ? EV_ADD : EV_DELETE, 0, 0, what);
        n++;
    }
    return n ? kevent(poll, changes, n, NULL, 0, NULL) : 0;
}

static void wb_poll_forget(int poll, int fd) {
    struct kevent change;
    EV_SET(&change, fd, EVFILT_READ, EV_DELETE, 0, 0, NULL);
    kevent(poll, &change, 1, NULL, 0, NULL);
    EV_SET(&change, fd, EVFILT_WRITE, EV_DELETE, 0, 0, NULL);
    kevent(poll, &change, 1, NULL, 0, NULL);
}

static int wb_poll_wait(int poll, wb_event_t *events) {
    struct kevent found[WB_EVENTS_MAX];
    struct timespec none = {0, 0};
    int n = kevent(poll, NULL, 0, found, WB_EVENTS_MAX, &none);
    for (int i = 0; i < n; i++) {
        events[i].what = (void *)found[i].udata;
        events[i].events = found[i].filter == EVFILT_WRITE ? WB_WRITE : WB_READ;
        if (found[i].flags & (EV_EOF | EV_ERROR)) events[i].events |= WB_HANG_UP;
    }
    return n;
}

#else
#define WB_HAS_POLL 0
static int wb_poll_new(void) { return -1; }
static int wb_poll_set(int poll, int fd, void *what, uint32_t now, uint32_t before, int is_new) {
    (void)poll; (void)fd; (void)what; (void)now; (void)before; (void)is_new;
    return -1;
}
static void wb_poll_forget(int poll, int fd) { (void)poll; (void)fd; }
static int wb_poll_wait(int poll, wb_event_t *events) { (void)poll; (void)events; return -1; }
#endif

#endif
