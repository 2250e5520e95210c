/* The messages that are sent, made before the clock starts.
 *
 * A ring holds so many different messages that an echo of the wrong one is seen, and so few that
 * they stay in the processor's cache: what is measured is the server.
 */
#include "load.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 4 << 20, MOST_MESSAGES = 256, LARGEST_HEAD = 14 };

/* Text like that of a ticker: it compresses as JSON does, and no two messages are alike. */
static void fill(uint8_t *payload, size_t size, size_t number) {
    static uint32_t state = 12345;
    char words[128];
    size_t filled = 0;
    while (filled < size) {
        state = state * 1664525 + 1013904223;
        int length = snprintf(words, sizeof words,
                              "%zu:{\"symbol\":\"BTC-USD\",\"price\":%u.%02u,\"size\":0.%04u}, ",
                              number, 40000 + (state >> 20), (state >> 12) % 100, state % 10000);
        size_t part = size - filled < (size_t)length ? size - filled : (size_t)length;
        memcpy(payload + filled, words, part);
        filled += part;
    }
}

/* Write the header of a masked frame, RFC 6455, 5.2; return its size. */
static size_t write_head(uint8_t *out, uint8_t first, size_t length, const uint8_t *key) {
    size_t used = 2;
    out[0] = first;
    if (length < 126) {
        out[1] = 0x80 | length;
    } else {
        int bytes = length < 65536 ? 2 : 8;
        out[1] = 0x80 | (bytes == 2 ? 126 : 127);
        for (int i = bytes - 1; i >= 0; i--) out[used++] = (uint64_t)length >> (8 * i);
    }
    memcpy(out + used, key, 4);
    return used + 4;
}

static size_t write_frame(uint8_t *out, uint8_t first, const uint8_t *body, size_t length,
                          uint32_t number) {
    uint32_t mixed = (number + 1) * 2654435761u;
    uint8_t key[4];
    memcpy(key, &mixed, 4);
    size_t head = write_head(out, first, length, key);
    for (size_t i = 0; i < length; i++) out[head + i] = body[i] ^ key[i % 4];
    return head + length;
}

ring_t *new_ring(size_t size, size_t depth, bool binary, bool deflate) {
    ring_t *ring = need(calloc(1, sizeof *ring));
    size_t most = MOST_BYTES / (size ? size : 1);
    ring->size = size;
    ring->count = most > MOST_MESSAGES ? MOST_MESSAGES : most < 2 ? 2 : most;
    if (depth > ring->count) ring->count = depth;
    size_t room = size + size / 8 + 64; /* of a message that does not compress */
    uint8_t *body = need(malloc(room));
    ring->payload = need(malloc(ring->count * size + 1));
    ring->frames = need(malloc(ring->count * (room + LARGEST_HEAD)));
    ring->offset = need(malloc((ring->count + 1) * sizeof *ring->offset));
    ring->offset[0] = 0;
    for (size_t i = 0; i < ring->count; i++) {
        uint8_t *payload = ring->payload + i * size;
        uint8_t first = 0x80 | (deflate ? 0x40 : 0) | (binary ? 2 : 1);
        fill(payload, size, i);
        size_t length = deflate ? deflate_message(payload, size, body, room) : size;
        uint8_t *out = ring->frames + ring->offset[i];
        size_t written = write_frame(out, first, deflate ? body : payload, length, i);
        ring->offset[i + 1] = ring->offset[i] + written;
    }
    free(body);
    return ring;
}
