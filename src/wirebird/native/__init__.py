"""The native engine: the hot path of an open connection again, in Cython and a little C.

What is here does the same as its namesake in ``core``, which is the specification; whatever is
decided seldom (handshakes, negotiation, closing, errors) is the core's and is called from here.
It may import ``core`` and ``exceptions`` alone. Read ``connection.pyx`` first.

    kernels.h       unmasking, copying and the ASCII test in one pass; UTF-8 as it comes
    kernels.pyx     which instructions they use here
    deflate.pyx     zlib, called from C
    inbound.pyx     what comes in: scanner and reader
    outbound.pyx    what goes out: framing, and buffers that a socket takes as they are
    connection.pyx  the endpoint
    poller.pyx      the sockets of a loop, and the turns in which they are served
    sockets.pyx     a socket that the engine owns, as a transport
    listener.pyx    accepting connections on such sockets
    tls.pyx         TLS on such a socket
    base.pyx        receiving and sending for asyncio
    fanout.pyx      one message to many
    awaitable.h     awaitables that cost nothing when they need not wait
    out_buffer.h    what waits to be sent
    recycled.h      big bytes objects, used again
    poll.h          epoll, kqueue
    address.h clock.h
"""
