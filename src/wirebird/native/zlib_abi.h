/* zlib without its header: its stable ABI declared by hand, its functions found at run time.
 *
 * The zlib that the interpreter's own module uses is taken where its functions can be reached, so
 * that both engines compress alike and nothing is loaded twice; else one that the process holds,
 * else the system's. A library that keeps zlib's ABI (zlib-ng built for compatibility, Cloudflare's)
 * does as well.
 */
#ifndef WIREBIRD_ZLIB_ABI_H
#define WIREBIRD_ZLIB_ABI_H

#include <stddef.h>
#include <string.h>
#ifndef _WIN32
#include <dlfcn.h>
#endif

enum {
    WB_Z_NO_FLUSH = 0,
    WB_Z_SYNC_FLUSH = 2,
    WB_Z_OK = 0,
    WB_Z_STREAM_END = 1,
    WB_Z_STREAM_ERROR = -2,
    WB_Z_DATA_ERROR = -3,
    WB_Z_MEM_ERROR = -4,
    WB_Z_BUF_ERROR = -5,
    WB_Z_DEFLATED = 8,
    WB_Z_HUFFMAN_ONLY = 2,
    /* data_type, as inflate() leaves it: unused bits of the last byte taken, and flags. */
    WB_Z_UNUSED_BITS = 63,
    WB_Z_LAST_BLOCK = 64,
    WB_Z_AFTER_BLOCK = 128
};

typedef struct {
    const unsigned char *next_in;
    unsigned int avail_in;
    unsigned long total_in;
    unsigned char *next_out;
    unsigned int avail_out;
    unsigned long total_out;
    const char *msg;
    void *state;
    void *(*zalloc)(void *, unsigned int, unsigned int);
    void (*zfree)(void *, void *);
    void *opaque;
    int data_type;
    unsigned long adler;
    unsigned long reserved;
} wb_z_stream;

static struct {
    const char *(*version)(void);
    int (*deflate_init)(wb_z_stream *, int, int, int, int, int, const char *, int);
    int (*deflate)(wb_z_stream *, int);
    int (*deflate_reset)(wb_z_stream *);
    int (*deflate_set_dictionary)(wb_z_stream *, const unsigned char *, unsigned int);
    int (*deflate_end)(wb_z_stream *);
    int (*inflate_init)(wb_z_stream *, int, const char *, int);
    int (*inflate)(wb_z_stream *, int);
    int (*inflate_reset)(wb_z_stream *);
    int (*inflate_end)(wb_z_stream *);
} wb_zlib;

#ifdef _WIN32
static int wb_zlib_load(const char *module) {
    (void)module;
    return 0;
}
#else
/* Take all functions from one library; nothing of one that lacks any. */
static int wb_zlib_bind(void *library) {
    static const char *const names[] = {
        "zlibVersion",  "deflateInit2_", "deflate", "deflateReset", "deflateSetDictionary",
        "deflateEnd",   "inflateInit2_", "inflate", "inflateReset", "inflateEnd",
    };
    enum { COUNT = sizeof names / sizeof *names };
    void *found[COUNT];
    const char *(*version)(void);
    for (int i = 0; i < COUNT; i++)
        if (!(found[i] = dlsym(library, names[i]))) return 0;
    memcpy(&version, &found[0], sizeof version);
    if (version()[0] != '1') return 0; /* as zlib itself judges whether an ABI is its own */
    /* POSIX lets a function's address be held in a void *, of which C knows nothing. */
    typedef char one_size[sizeof wb_zlib == sizeof found ? 1 : -1];
    (void)sizeof(one_size);
    memcpy(&wb_zlib, found, sizeof found);
    return 1;
}

/* Find zlib; ``module`` is the path of the interpreter's own zlib module, or NULL. */
static int wb_zlib_load(const char *module) {
    static const char *const names[] = {"libz.so.1", "libz.so", "libz.1.dylib", "libz.dylib"};
    void *library;
    if (wb_zlib.version) return 1;
    if (module && (library = dlopen(module, RTLD_NOW | RTLD_LOCAL))) {
        if (wb_zlib_bind(library)) return 1; /* also what that module is linked to */
        dlclose(library);
    }
    if (wb_zlib_bind(RTLD_DEFAULT)) return 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL))) {
            if (wb_zlib_bind(library)) return 1;
            dlclose(library);
        }
    return 0;
}
#endif

static int wb_deflate_init(wb_z_stream *z, int level, int window_bits, int mem_level,
                           int strategy) {
    return wb_zlib.deflate_init(z, level, WB_Z_DEFLATED, -window_bits, mem_level, strategy,
                                wb_zlib.version(), (int)sizeof *z);
}

static int wb_inflate_init(wb_z_stream *z, int window_bits) {
    return wb_zlib.inflate_init(z, -window_bits, wb_zlib.version(), (int)sizeof *z);
}

#endif
