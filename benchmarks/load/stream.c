/* Bytes over TCP, or over TLS with OpenSSL loaded at run time: its header is not needed. */
#include "load.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of OpenSSL's stable interface. */
enum { SSL_ERROR_WANT_READ = 2, SSL_ERROR_WANT_WRITE = 3 };
enum { SSL_CTRL_MODE = 33, PARTIAL_WRITE = 1, MOVING_WRITE_BUFFER = 2 };

static void *tls_context;
static void *(*SSL_new)(void *);
static int (*SSL_set_fd)(void *, int);
static int (*SSL_connect)(void *);
static int (*SSL_read)(void *, void *, int);
static int (*SSL_write)(void *, const void *, int);
static int (*SSL_get_error)(const void *, int);

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) die("OpenSSL has no %s", name);
    return found;
}

static void load_tls(void) {
    if (tls_context) return;
    void *library = dlopen("libssl.so.3", RTLD_NOW);
    if (!library) die("OpenSSL 3 is not there: %s", dlerror());
    SSL_new = symbol(library, "SSL_new");
    SSL_set_fd = symbol(library, "SSL_set_fd");
    SSL_connect = symbol(library, "SSL_connect");
    SSL_read = symbol(library, "SSL_read");
    SSL_write = symbol(library, "SSL_write");
    SSL_get_error = symbol(library, "SSL_get_error");
    const void *(*method)(void) = symbol(library, "TLS_client_method");
    void *(*new_context)(const void *) = symbol(library, "SSL_CTX_new");
    long (*control)(void *, int, long, void *) = symbol(library, "SSL_CTX_ctrl");
    tls_context = need(new_context(method()));
    control(tls_context, SSL_CTRL_MODE, PARTIAL_WRITE | MOVING_WRITE_BUFFER, NULL);
}

stream_t open_stream(int port, bool tls) {
    stream_t stream = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    if (stream.fd < 0) die("no socket: %s", strerror(errno));
    setsockopt(stream.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(stream.fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("cannot connect: %s", strerror(errno));
    if (tls) {
        load_tls();
        stream.tls = need(SSL_new(tls_context));
        SSL_set_fd(stream.tls, stream.fd);
        if (SSL_connect(stream.tls) != 1) die("the TLS handshake failed");
    }
    return stream;
}

void set_nonblocking(stream_t *stream) {
    fcntl(stream->fd, F_SETFL, fcntl(stream->fd, F_GETFL) | O_NONBLOCK);
}

static long tls_result(stream_t *stream, int result) {
    if (result > 0) return result;
    int error = SSL_get_error(stream->tls, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? STREAM_AGAIN
                                                                         : STREAM_ENDED;
}

long stream_receive(stream_t *stream, void *buffer, size_t room) {
    if (stream->tls) return tls_result(stream, SSL_read(stream->tls, buffer, (int)room));
    ssize_t size = recv(stream->fd, buffer, room, 0);
    if (size > 0) return size;
    return size < 0 && errno == EAGAIN ? STREAM_AGAIN : STREAM_ENDED;
}

long stream_send(stream_t *stream, const void *data, size_t size) {
    if (stream->tls) return tls_result(stream, SSL_write(stream->tls, data, (int)size));
    ssize_t sent = send(stream->fd, data, size, MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    return errno == EAGAIN ? STREAM_AGAIN : STREAM_ENDED;
}
