/* The address of a peer, kept as the kernel gives it and read when somebody asks. */
#ifndef WIREBIRD_ADDRESS_H
#define WIREBIRD_ADDRESS_H

#include <Python.h>
#include <string.h>
#ifndef _WIN32
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    unsigned char bytes[sizeof(struct sockaddr_in6)];
} wb_address_t;

/* Accept a connection, not blocking; -1 with errno. */
static int wb_accept(int listening, wb_address_t *peer) {
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    int one = 1;
    memset(&from, 0, sizeof from);
#ifdef __linux__
    int fd = accept4(listening, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
    int fd = accept(listening, (struct sockaddr *)&from, &length);
#endif
    if (fd < 0) return -1;
#ifndef __linux__
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
#ifdef SO_NOSIGPIPE
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &one, sizeof one);
#endif
#endif
    if (from.ss_family == AF_INET || from.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    memcpy(peer->bytes, &from, sizeof peer->bytes);
    return fd;
}

/* As socket.getpeername() has it; a new reference. */
static PyObject *wb_address(const wb_address_t *address) {
    char host[INET6_ADDRSTRLEN + 1] = "";
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    memcpy(&v4, address->bytes, sizeof v4);
    if (v4.sin_family == AF_INET) {
        if (!inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host)) return PyErr_SetFromErrno(PyExc_OSError);
        return Py_BuildValue("si", host, (int)ntohs(v4.sin_port));
    }
    memcpy(&v6, address->bytes, sizeof v6);
    if (v6.sin6_family == AF_INET6) {
        if (!inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host)) return PyErr_SetFromErrno(PyExc_OSError);
        return Py_BuildValue("siII", host, (int)ntohs(v6.sin6_port), (unsigned)ntohl(v6.sin6_flowinfo),
                             (unsigned)v6.sin6_scope_id);
    }
    return PyUnicode_FromString("");
}

static int wb_listen(int fd, int backlog) { return listen(fd, backlog); }
#else
typedef struct {
    unsigned char bytes[1];
} wb_address_t;
static int wb_accept(int listening, wb_address_t *peer) { (void)listening; (void)peer; return -1; }
static PyObject *wb_address(const wb_address_t *address) { (void)address; Py_RETURN_NONE; }
static int wb_listen(int fd, int backlog) { (void)fd; (void)backlog; return -1; }
#endif

#endif
