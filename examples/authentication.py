"""Who is it? A page that brings its token as a subprotocol, and programs that bring it in a header.

    python examples/authentication.py [PORT]

Open the printed port of localhost in a browser and choose a name. The page asks for a token over
HTTP, as it would after a login, and connects with it: a page cannot set headers for a WebSocket.
Tokens are JSON Web Tokens (pip install 'wirebird[jwt]') and hold for a minute; then the connection
is closed, and the page must ask for another.
"""

import asyncio
import secrets
import sys
import time
import urllib.parse
from collections.abc import Awaitable

import jwt

from wirebird import Request, Response, SameOrigin, ServerConnection, connect, serve
from wirebird.auth import jwt_check, token_auth

SECRET = secrets.token_hex(32)
HOLDS_S = 60
PAGE = """<!doctype html>
<title>Who is it?</title>
<form><input name="name" value="ann"><button>Connect</button></form>
<output></output>
<script>
const say = (text) => document.querySelector("output").append(text, document.createElement("br"));
document.querySelector("form").onsubmit = async (event) => {
  event.preventDefault();
  const name = encodeURIComponent(event.target.name.value);
  const token = await (await fetch(`/token?name=${name}`)).text();
  const socket = new WebSocket(location.href.replace("http", "ws"), ["bearer", token]);
  socket.onmessage = (event) => say(event.data);
  socket.onclose = (event) => say(`closed: ${event.code} ${event.reason}`);
};
</script>
"""


def make_token(name: str) -> str:
    """Sign a token; a real server asks for a password before."""
    return jwt.encode({"sub": name, "exp": int(time.time()) + HOLDS_S}, SECRET, "HS256")


def html(connection: ServerConnection) -> Response:
    response = connection.respond(200, PAGE)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "text/html; charset=utf-8"
    return response


authenticate = token_auth(jwt_check(SECRET, algorithms=["HS256"]))


def process_request(
    connection: ServerConnection, request: Request
) -> Awaitable[Response | None] | Response | None:
    """Serve the page and tokens over HTTP, and ask for a token where a WebSocket is wanted."""
    url = urllib.parse.urlsplit(request.path)
    if "Upgrade" in request.headers:
        return authenticate(connection, request)
    if url.path == "/token":
        name = dict(urllib.parse.parse_qsl(url.query)).get("name", "nobody")
        return connection.respond(200, make_token(name))
    return html(connection)


async def greet(ws: ServerConnection) -> None:
    await ws.send(f"hello {ws.username}")
    async for message in ws:
        await ws.send(message)


async def main(port: int) -> None:
    own_pages = [SameOrigin([]), None]  # under localhost and addresses; and programs
    async with serve(
        greet, "localhost", port, process_request=process_request, origins=own_pages
    ) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on port {port}", flush=True)
        headers = {"Authorization": f"Bearer {make_token('a program')}"}
        async with connect(f"ws://localhost:{port}/", additional_headers=headers) as ws:
            print(await ws.recv(), flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8765))
