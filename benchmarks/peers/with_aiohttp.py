"""aiohttp's server."""

from __future__ import annotations

from aiohttp import WSMessage, WSMsgType, web

from benchmarks.peers.common import HOST, LARGEST_MESSAGE, Options, run, versions

connections: set[web.WebSocketResponse] = set()


async def send(ws: web.WebSocketResponse, message: WSMessage) -> None:
    """Send a message like one that came."""
    if message.type is WSMsgType.TEXT:
        await ws.send_str(message.data)
    else:
        await ws.send_bytes(message.data)


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send back what comes."""
    ws = web.WebSocketResponse(max_msg_size=LARGEST_MESSAGE)
    await ws.prepare(request)
    async for message in ws:
        await send(ws, message)
    return ws


async def fan_out(request: web.Request) -> web.WebSocketResponse:
    """Send to all what comes."""
    ws = web.WebSocketResponse(max_msg_size=LARGEST_MESSAGE)
    await ws.prepare(request)
    connections.add(ws)
    try:
        async for message in ws:
            for other in list(connections):
                await send(other, message)
    finally:
        connections.remove(ws)
    return ws


async def start(options: Options) -> web.AppRunner:
    """Listen."""
    application = web.Application()
    application.router.add_get("/", fan_out if options.is_fanout else echo)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, HOST, options.port, ssl_context=options.ssl_context(), backlog=4096)
    await site.start()
    return runner


if __name__ == "__main__":
    run(start, lambda: versions("aiohttp"))
