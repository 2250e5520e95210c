/* The load generator: what its files share. main.c says how it is called. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What the command line says. */
typedef struct {
    const char *mode;
    const char *path; /* of the request */
    int port;
    int connections;
    int depth;   /* messages of a connection that are under way */
    size_t size; /* of a message, in bytes */
    double seconds, warm_up_s;
    bool binary, deflate, tls;
    bool announce; /* echo mode: say OPEN before what is measured */
    bool fanout; /* never mode: the one that never reads does not send either */
    bool close; /* handshake mode: with the closing handshake */
    int pid;    /* of the server, 0 if not known */
} options_t;

extern options_t options;

/* machine.c: what goes wrong, time, percentiles, and what /proc says. */

void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void *need(void *pointer); /* ends the program where there is no memory */
int64_t now_ns(void);
long server_rss_kb(void);

void start_meter(void);
/* Print how much was done a second since then, and how busy both sides were: an open object. */
void print_meter(uint64_t done);

typedef struct {
    uint32_t *ns;
    size_t count, room;
} samples_t;

void sample(samples_t *samples, int64_t ns); /* what exceeds 4 s counts as 4 s */
double percentile_us(samples_t *samples, double share); /* sorts them */
void print_percentiles(const char *name, samples_t *samples);

/* zlib.c: zlib, loaded at run time. */

typedef struct inflater inflater_t;

size_t deflate_message(const uint8_t *data, size_t size, uint8_t *out, size_t room);
inflater_t *new_inflater(void);
/* Inflates some of a message into out; ends it where last is set. Returns how much came out. */
size_t inflate_some(inflater_t *inflater, const uint8_t *data, size_t size, bool last,
                    uint8_t *out, size_t room);

/* ring.c: the messages that are sent, made before the clock starts. */

typedef struct {
    size_t count;     /* how many different messages there are; then they begin again */
    size_t size;      /* of each */
    uint8_t *payload; /* all payloads, one after the other */
    uint8_t *frames;  /* the masked frames, one after the other */
    size_t *offset;   /* where each frame begins; and at [count], where all end */
} ring_t;

ring_t *new_ring(size_t size, size_t depth, bool binary, bool deflate);

/* stream.c: bytes over TCP, or over TLS with OpenSSL loaded at run time. */

typedef struct {
    int fd;
    void *tls;
} stream_t;

enum { STREAM_AGAIN = -1, STREAM_ENDED = -2 };

stream_t open_stream(int port, bool tls); /* blocking */
void set_nonblocking(stream_t *stream);
long stream_receive(stream_t *stream, void *buffer, size_t room);
long stream_send(stream_t *stream, const void *data, size_t size);

/* connection.c: one WebSocket connection. */

typedef struct {
    stream_t stream;
    const ring_t *ring;
    /* what goes out */
    size_t next_out; /* the message in the ring that is sent next, or is being sent */
    size_t owed;     /* messages to send, that one included */
    size_t sent;     /* bytes of that one that are sent */
    bool is_blocked; /* the stream takes no more: EPOLLOUT is awaited */
    bool is_deaf;    /* nothing is to be read */
    uint64_t sent_messages;
    int64_t sent_at; /* when the last batch was sent */
    /* what comes in */
    size_t next_in; /* the message in the ring that is expected */
    size_t offset;  /* how much of it has come and was compared */
    uint8_t head[10];
    size_t head_size; /* bytes of a header that has not come whole */
    uint64_t left;    /* bytes of the frame's payload that are still to come */
    uint8_t opcode;
    bool in_payload, is_final, is_compressed;
    inflater_t *inflater;
    uint8_t control[125];
    size_t control_size;
    uint64_t messages, compressed; /* that came back */
    bool is_closed;
} connection_t;

/* The request; with permessage-deflate offered as browsers do, where options say so. */
size_t write_request(char *out, size_t room);
/* Whether a whole response has come; ends the program where it is not the right one. */
bool check_response(const char *response);
connection_t *open_connections(int count, const ring_t *ring);
/* Send what is owed, as far as the stream takes it. */
void push(connection_t *connection);
/* Owe some more messages, and push. */
void send_messages(connection_t *connection, size_t count);
/* Compare what came with what was sent. Returns how many messages were completed by it. */
size_t take(connection_t *connection, const uint8_t *data, size_t size);
/* Read what has come, once, or with TLS until there is no more; and take it. */
size_t receive(connection_t *connection);

/* poll.c: the loop around epoll. */

typedef void (*event_handler_t)(connection_t *connection, bool readable, bool writable);

void watch(connection_t *connections, int count);
void unwatch(connection_t *connection);
/* Await what the connection's flags say, is_blocked and is_deaf. */
void watch_again(connection_t *connection);
/* Hand events out for a time; turn, unless NULL, is called after each batch of them. */
void run_loop(double seconds, event_handler_t handler, void (*turn)(void));

/* The modes, a file each. Each prints one JSON object. */

void run_echo(void);
void run_fanout(void);
void run_idle(void);
void run_handshakes(void);
void run_flood(void);
void run_never_reading(void);

#endif
