/* zlib, loaded at run time: neither its header nor its library is needed to build this. */
#include "load.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* As in zlib.h; the layout is part of zlib's stable interface. */
typedef struct {
    const uint8_t *next_in;
    unsigned avail_in;
    unsigned long total_in;
    uint8_t *next_out;
    unsigned avail_out;
    unsigned long total_out;
    const char *message;
    void *state, *allocate, *free, *opaque;
    int data_type;
    unsigned long adler, reserved;
} z_stream;

enum { Z_SYNC_FLUSH = 2, Z_OK = 0, Z_BUF_ERROR = -5, Z_DEFLATED = 8 };
enum { LEVEL = 6, MEMORY_LEVEL = 8 };

/* Servers may ask for a smaller window of the client's: what is compressed here with the
 * smallest that zlib has suits all of them. RFC 7692, 7.1.2.2. */
enum { DEFLATE_WINDOW_BITS = 9, INFLATE_WINDOW_BITS = 15 };

struct inflater {
    z_stream stream;
};

static const char *(*version)(void);
static int (*deflate_init)(z_stream *, int, int, int, int, int, const char *, int);
static int (*deflate)(z_stream *, int);
static int (*deflate_end)(z_stream *);
static int (*inflate_init)(z_stream *, int, const char *, int);
static int (*inflate)(z_stream *, int);

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) die("zlib has no %s", name);
    return found;
}

static void load_zlib(void) {
    if (version) return;
    void *library = dlopen("libz.so.1", RTLD_NOW);
    if (!library) die("zlib is not there: %s", dlerror());
    deflate_init = symbol(library, "deflateInit2_");
    deflate = symbol(library, "deflate");
    deflate_end = symbol(library, "deflateEnd");
    inflate_init = symbol(library, "inflateInit2_");
    inflate = symbol(library, "inflate");
    version = symbol(library, "zlibVersion");
}

size_t deflate_message(const uint8_t *data, size_t size, uint8_t *out, size_t room) {
    load_zlib();
    z_stream stream = {0};
    if (deflate_init(&stream, LEVEL, Z_DEFLATED, -DEFLATE_WINDOW_BITS, MEMORY_LEVEL, 0, version(),
                     sizeof stream) != Z_OK)
        die("deflateInit2 failed");
    stream.next_in = data;
    stream.avail_in = size;
    stream.next_out = out;
    stream.avail_out = room;
    if (deflate(&stream, Z_SYNC_FLUSH) != Z_OK || stream.avail_in) die("deflate failed");
    deflate_end(&stream);
    return room - stream.avail_out - 4; /* RFC 7692, 7.2.1 */
}

inflater_t *new_inflater(void) {
    load_zlib();
    inflater_t *inflater = need(calloc(1, sizeof *inflater));
    if (inflate_init(&inflater->stream, -INFLATE_WINDOW_BITS, version(), sizeof(z_stream)) != Z_OK)
        die("inflateInit2 failed");
    return inflater;
}

size_t inflate_some(inflater_t *inflater, const uint8_t *data, size_t size, bool last,
                    uint8_t *out, size_t room) {
    static const uint8_t tail[] = {0, 0, 0xff, 0xff}; /* RFC 7692, 7.2.2 */
    z_stream *stream = &inflater->stream;
    stream->next_out = out;
    stream->avail_out = room;
    for (int step = 0; step < (last ? 2 : 1); step++) {
        stream->next_in = step ? tail : data;
        stream->avail_in = step ? sizeof tail : size;
        int status = inflate(stream, Z_SYNC_FLUSH);
        if ((status != Z_OK && status != Z_BUF_ERROR) || stream->avail_in)
            die("a message cannot be inflated: %s", stream->message ? stream->message : "too long");
    }
    return room - stream->avail_out;
}
