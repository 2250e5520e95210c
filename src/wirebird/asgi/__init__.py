"""WebSockets for ASGI applications: the class that uvicorn loads, and what it offers them.

    uvicorn --ws wirebird.asgi:WebSocketProtocol app:app

FastAPI, Starlette and other ASGI applications run unchanged; the connection below them is
Wirebird's, with its engine, limits and deadlines. uvicorn reads the request, this package hands the
connection that is asked for to the application:

- ``protocol.py``: the connection, as uvicorn makes and ends it. Read it first.
- ``conversation.py``: what the application receives and sends, as the ASGI specification has it.
- ``scope.py``: what the application is told about the request.
- ``served.py``: what all connections of one uvicorn server share.
- ``extension.py``: the Wirebird connection, for applications that want more than ASGI has.

No rule of the protocol is here. It may import the asyncio adapter and uvicorn (the extra ``asgi``).
"""

from __future__ import annotations

try:
    import uvicorn
except ModuleNotFoundError as error:
    if error.name != "uvicorn":
        raise
    raise ModuleNotFoundError(
        "wirebird.asgi needs uvicorn, which is not installed; "
        "install it with: pip install 'wirebird[asgi]'",
        name="uvicorn",
    ) from error

del uvicorn

from .extension import connection_of, run_handler  # noqa: E402
from .protocol import WebSocketProtocol  # noqa: E402

__all__ = ["WebSocketProtocol", "connection_of", "run_handler"]
