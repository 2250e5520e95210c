"""``wirebird run``: serve an ASGI application with uvicorn, and its WebSockets with Wirebird.

It is ``uvicorn --ws wirebird.asgi:WebSocketProtocol`` with the settings that most applications
need; for any other, call uvicorn. Exit codes: 0 when it was asked to stop with Ctrl-C, 1 without
uvicorn, 2 for a wrong command line, 3 when the application or the server could not start; other
signals end it as they end any program, after uvicorn has shut down.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ..core.origins import parse_origins
from ..engine import engine_name
from .serve import for_url, own_names, port_to_open, say, tls_context

if TYPE_CHECKING:
    import uvicorn

__all__ = ["command"]

_CLASS = "wirebird.asgi:WebSocketProtocol"
_LEVELS = ("critical", "error", "warning", "info", "debug", "trace")
_COULD_NOT_START = 3


@click.command("run", short_help="Serve an ASGI application, such as FastAPI's.")
@click.argument("app", metavar="MODULE:APP")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes a free one.",
)
@click.option("--uds", metavar="PATH", help="Unix socket to listen on, instead of a port.")
@click.option("--app-dir", default=".", show_default=True, help="Where the module is looked for.")
@click.option("--factory", is_flag=True, help="APP is a function that returns the application.")
@click.option("--reload", is_flag=True, help="Start again when a file changes.")
@click.option(
    "--workers", type=click.IntRange(1), help="Number of processes; WEB_CONCURRENCY, or else 1."
)
@click.option("--root-path", default="", help="Path under which a proxy shows the application.")
@click.option(
    "--proxy-headers/--no-proxy-headers",
    default=True,
    help="Believe X-Forwarded-For and X-Forwarded-Proto of --forwarded-allow-ips; on by default.",
)
@click.option(
    "--forwarded-allow-ips",
    metavar="ADDRESSES",
    help="Addresses and networks of proxies, separated by commas; FORWARDED_ALLOW_IPS, or else "
    "this machine.",
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Origin whose pages may open WebSockets, such as https://example.com; can be given "
    "several times; '*' for all. By default, only the pages of this server, under its address, "
    "localhost, --host, or this machine's name. Clients that are no browsers send no origin and "
    "are always accepted.",
)
@click.option(
    "--cert",
    "ssl_certfile",
    type=click.Path(),
    metavar="FILE",
    help="Certificate chain (PEM), to serve https:// and wss://.",
)
@click.option(
    "--key",
    "ssl_keyfile",
    type=click.Path(),
    metavar="FILE",
    help="Private key (PEM) of --cert, unless it is in the same file.",
)
@click.option("--log-level", type=click.Choice(_LEVELS), help="What is logged; info by default.")
@click.option("--access-log/--no-access-log", default=True, help="Log each request of HTTP.")
@click.option(
    "--ws-max-size",
    default=16 * 2**20,
    show_default=True,
    type=click.IntRange(1),
    help="Of an incoming message, in bytes; what is longer closes the connection (1009).",
)
@click.option(
    "--ws-max-queue",
    default=32,
    show_default=True,
    type=click.IntRange(1),
    help="Unread frames of a connection above which it is not read from.",
)
@click.option(
    "--ws-ping-interval",
    default=20.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds between two pings; 0 for none.",
)
@click.option(
    "--ws-ping-timeout",
    default=20.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds of silence after a ping until a client is given up (1011); 0 for never.",
)
@click.option(
    "--ws-per-message-deflate/--no-ws-per-message-deflate",
    default=True,
    help="Compress messages for clients that can; on by default.",
)
@click.option(
    "--limit-concurrency",
    type=click.IntRange(1),
    help="Connections at once; others are refused (503).",
)
@click.option(
    "--timeout-graceful-shutdown",
    type=click.IntRange(0),
    metavar="SECONDS",
    help="How long the application may take to end; no limit by default.",
)
def command(app: str, **settings: Any) -> int:
    """Serve an ASGI application with uvicorn, and its WebSockets with Wirebird.

    MODULE:APP is where it is: for an application named app in main.py, main:app.
    """
    if ":" not in app:
        raise click.BadParameter(
            f"{app} names no application: main:app is app in main.py", param_hint="MODULE:APP"
        )
    tls_context(settings["ssl_certfile"], settings["ssl_keyfile"])  # it says what is wrong
    origins = _origins(settings.pop("origins"), settings["host"])
    try:
        import uvicorn

        from .. import asgi
    except ModuleNotFoundError as error:
        if error.name != "uvicorn":
            raise
        raise click.ClickException(
            "this needs uvicorn, which is not installed: pip install 'wirebird[asgi]'"
        ) from error
    del asgi
    sys.path.insert(0, os.path.abspath(settings.pop("app_dir")))
    say(f"WebSockets by Wirebird, {engine_name()} engine, under uvicorn {uvicorn.__version__}.")
    os.environ["WIREBIRD_ORIGINS"] = origins  # for the processes that uvicorn starts, too
    workers = settings["workers"] or int(os.environ.get("WEB_CONCURRENCY") or 1)
    if settings["reload"] or workers > 1:
        uvicorn.run(app, ws=_CLASS, **settings)  # in other processes; it says where they listen
        return 0
    return run(uvicorn.Config(app, ws=_CLASS, **settings))


def _origins(given: Sequence[str], host: str) -> str:
    """Return whose pages may connect, as ``parse_origins`` reads it.

    Raises:
        click.BadParameter: one of them is not an origin.
    """
    text = " ".join(given) if given else f"same:{','.join(sorted(own_names(host)))}"
    try:
        parse_origins(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--origin") from error
    return text


def run(config: uvicorn.Config) -> int:
    """Serve in this process, and print the URL.

    Args:
        config: uvicorn's.

    Returns:
        The exit code.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                say(_where(config, [one for s in self.servers for one in s.sockets]))

    server = Server(config)
    try:
        server.run()
    except KeyboardInterrupt:
        pass  # after it has shut down
    return 0 if server.started else _COULD_NOT_START


def _where(config: uvicorn.Config, sockets: list[socket.socket]) -> str:
    """Say where a server can be reached."""
    if config.uds:
        return f"Listening on the Unix socket {config.uds}"
    scheme = "https" if config.is_ssl else "http"
    return f"Open {scheme}://{for_url(config.host)}:{port_to_open(sockets)}/"
