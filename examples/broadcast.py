"""A push service by topic: whoever subscribes to a topic gets what is published there.

python examples/broadcast.py [PORT], then: wirebird connect ws://localhost:8765/
and say: {"subscribe": "weather"}, or {"publish": "weather", "data": "rain"}

Each message is framed, and compressed, once for all who get it; a slow subscriber delays nobody.
"""

import asyncio
import json
import sys
from collections import defaultdict

from wirebird.asyncio.server import ServerConnection, broadcast, serve

MAX_TOPICS = 100
subscribers: defaultdict[str, set[ServerConnection]] = defaultdict(set)


def act(ws: ServerConnection, order: object) -> dict[str, object]:
    """Do what a client asks, and say what was done."""
    match order:
        case {"subscribe": str(topic)}:
            if topic not in subscribers and len(subscribers) >= MAX_TOPICS:
                return {"error": "there are too many topics"}
            subscribers[topic].add(ws)
            return {"subscribed": topic}
        case {"unsubscribe": str(topic)}:
            leave(ws, topic)
            return {"unsubscribed": topic}
        case {"publish": str(topic), "data": data}:
            audience = subscribers.get(topic, set())
            broadcast(audience, json.dumps({"topic": topic, "data": data}))
            return {"published": topic, "to": len(audience)}
    return {"error": "an order is a subscribe, an unsubscribe or a publish"}


def leave(ws: ServerConnection, topic: str) -> None:
    """End a subscription; a topic without subscribers is no topic."""
    if topic in subscribers:
        subscribers[topic].discard(ws)
        if not subscribers[topic]:
            del subscribers[topic]


async def handle(ws: ServerConnection) -> None:
    """Take orders until the client has gone."""
    try:
        async for message in ws:
            try:
                order = json.loads(message)
            except ValueError:
                order = None
            await ws.send(json.dumps(act(ws, order)))
    finally:
        for topic in list(subscribers):
            leave(ws, topic)


async def main(port: int = 8765) -> None:
    """Serve until interrupted."""
    async with serve(handle, "localhost", port, slow_consumer="drop-oldest") as server:
        print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
