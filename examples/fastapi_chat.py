"""A chat with rooms on FastAPI, over Wirebird's connections: a guest who is slow delays nobody.

python examples/fastapi_chat.py [PORT], then several times:
wirebird connect 'ws://localhost:8000/rooms/lobby?name=YOU'
http://localhost:8000/rooms shows who is where. What is served for real is started by a command:
wirebird run --app-dir examples fastapi_chat:app
"""

import socket
import sys
from collections import defaultdict

import uvicorn
from fastapi import FastAPI, WebSocket

from wirebird import broadcast
from wirebird.asgi import connection_of
from wirebird.asyncio.server import ServerConnection

app = FastAPI()
rooms: defaultdict[str, dict[ServerConnection, str]] = defaultdict(dict)


@app.get("/rooms")
def show_rooms() -> dict[str, list[str]]:
    """Who is where."""
    return {room: sorted(guests.values()) for room, guests in rooms.items()}


@app.websocket("/rooms/{room}")
async def chat(websocket: WebSocket, room: str, name: str = "somebody") -> None:
    """Let a guest into a room, and tell everybody there what they say."""
    await websocket.accept()
    guests, guest = rooms[room], connection_of(websocket)
    guests[guest] = name
    broadcast(guests, f"{name} is here")
    try:
        async for text in websocket.iter_text():
            broadcast(guests, f"{name}: {text}")
    finally:
        del guests[guest]
        broadcast(guests, f"{name} has left")
        if not guests:
            rooms.pop(room, None)


def main(port: int = 8000) -> None:
    """Serve until interrupted."""
    listening = socket.create_server(("localhost", port))
    print(f"listening on port {listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, ws="wirebird.asgi:WebSocketProtocol", log_level="warning")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
