"""``wirebird connect URI``: a WebSocket client for people and for pipes."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import re
import ssl
import time
from typing import Any

import click

from ..asyncio.client import ClientConnection, connect
from ..client import ClientProtocol
from ..exceptions import InvalidURI
from ..extensions.compression import COMPRESSIONS, client_extensions
from ..frames import Frame
from ..typing import Origin, Subprotocol
from ..uri import parse_uri
from .talk.console import Console, shown_time
from .talk.outcome import Exit, code_for_failure, explain_failure, without_password
from .talk.session import Session

__all__ = ["command"]

_EPILOG = """\
\b
Exit codes:
    0  the connection was closed normally (1000, 1001, or no code)
    1  it was closed with an error, or broke, or the output cannot be written
    2  wrong usage: an option, the URI, or input that is not UTF-8
    3  the server answered, but refused the opening handshake
    4  there was no connection: address, network, proxy, TLS or timeout
  130  interrupted (Ctrl-C)
  141  nobody reads the output any more

\b
At the prompt, /help shows the commands. Lines from a pipe are messages, and
never commands. On a terminal, control characters of the peer are escaped.
Into a pipe go payloads alone, one a line: a line break in a text is written
as \\n, a binary message in hexadecimal digits; all else goes to standard
error.
"""

HANG_UP_WITHIN_S = 2.0

# RFC 9110, 5.6.2: a token.
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the options say about the connection."""

    uri: str
    headers: list[tuple[str, str]]
    subprotocols: list[str]
    origin: str | None
    tls: ssl.SSLContext | None
    compression: tuple[str, ...]
    timeout_s: float | None
    max_size: int | None


def split_headers(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> list[tuple[str, str]]:
    """Split each ``Name: value``; refuse what cannot be in a header."""
    headers = []
    for header in value:
        name, colon, content = header.partition(":")
        if not colon or not _HEADER_NAME.fullmatch(name):
            raise click.BadParameter(f"{header!r} is not 'Name: value'", ctx, param)
        if any(character in content for character in "\r\n\0"):
            raise click.BadParameter("a header cannot contain CR, LF or NUL", ctx, param)
        headers.append((name, content.strip(" \t")))
    return headers


def check_seconds(ctx: click.Context, param: click.Parameter, value: float) -> float:
    """Refuse a time that is negative, or not a number; ``inf`` is for ever."""
    if not value >= 0:
        raise click.BadParameter(f"{value} is not a time in seconds", ctx, param)
    return value


@click.command("connect", short_help="Talk to a WebSocket server.", epilog=_EPILOG)
@click.argument("uri")
@click.option(
    "-H",
    "--header",
    "headers",
    callback=split_headers,
    multiple=True,
    metavar="'NAME: VALUE'",
    help="Send this header too; can be given several times.",
)
@click.option(
    "--subprotocol",
    "subprotocols",
    multiple=True,
    metavar="NAME",
    help="Offer this subprotocol; several in order of preference.",
)
@click.option("--origin", metavar="ORIGIN", help="Send this Origin, as a browser would.")
@click.option("--insecure", is_flag=True, help="With wss, trust every certificate.")
@click.option(
    "--cacert",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="With wss, trust the authorities in this file (PEM) instead of the system's.",
)
@click.option(
    "--compress/--no-compress",
    default=True,
    show_default=True,
    help="Offer to compress messages.",
)
@click.option(
    "--compression",
    "compressions",
    multiple=True,
    type=click.Choice(COMPRESSIONS),
    default=("deflate",),
    show_default=True,
    help="Offer this compression; several in order of preference.",
)
@click.option(
    "--timeout",
    type=float,
    callback=check_seconds,
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long connecting may take; inf waits for ever.",
)
@click.option(
    "--max-size",
    type=click.IntRange(0),
    default=64 * 2**20,
    show_default=True,
    metavar="BYTES",
    help="The longest message to accept.",
)
@click.option(
    "--wait",
    type=float,
    callback=check_seconds,
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="When the input is a pipe and has ended, go on receiving this long; inf until the "
    "server closes.",
)
@click.option("--binary", is_flag=True, help="Send lines from a pipe as binary messages.")
@click.option(
    "-0",
    "--null",
    is_flag=True,
    help="In pipes, messages end with NUL instead of a newline, and texts stay as they are.",
)
@click.option("-q", "--quiet", is_flag=True, help="Write nothing but messages and errors.")
@click.option("-v", "--verbose", is_flag=True, help="Show the opening handshake.")
def command(
    uri: str,
    headers: list[tuple[str, str]],
    subprotocols: tuple[str, ...],
    origin: str | None,
    insecure: bool,
    cacert: str | None,
    compress: bool,
    compressions: tuple[str, ...],
    timeout: float,
    max_size: int,
    wait: float,
    binary: bool,
    null: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Talk to the WebSocket server at URI (ws:// or wss://).

    Type a line to send it as a text message, and see each message that comes, with its kind,
    its size and the round-trip time, and the control frames. Ctrl-D closes the connection.
    """
    console = Console(quiet=quiet, null=null, verbose=verbose)
    settings = Settings(
        uri=uri,
        headers=headers,
        subprotocols=list(subprotocols),
        origin=origin,
        tls=tls_context(uri, insecure, cacert),
        compression=usable(compressions) if compress else (),
        timeout_s=None if timeout == math.inf else timeout,
        max_size=max_size,
    )
    try:
        return asyncio.run(talk(settings, console, binary=binary, null=null, wait_s=wait))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def usable(compressions: tuple[str, ...]) -> tuple[str, ...]:
    """Return them, if they are named once and what they need is installed.

    Raises:
        click.UsageError: they are not.
    """
    try:
        client_extensions(None, compressions)
    except (ImportError, ValueError) as exc:
        raise click.BadParameter(str(exc), param_hint="--compression") from exc
    return compressions


def tls_context(uri: str, insecure: bool, cacert: str | None) -> ssl.SSLContext | None:
    """Return how to trust the server; None where the URI asks for no TLS.

    Raises:
        click.UsageError: the URI is none, or the file holds no certificates.
    """
    try:
        secure = parse_uri(uri).secure
    except InvalidURI as exc:
        raise click.BadParameter(exc.msg, param_hint="URI") from exc
    if not secure:
        return None
    try:
        context = ssl.create_default_context(cafile=cacert)
    except (OSError, ssl.SSLError) as exc:
        raise click.BadParameter(
            f"no certificates in {cacert}: {exc}", param_hint="--cacert"
        ) from exc
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Connection(ClientConnection):
    """A connection that keeps the first frames, until somebody can be shown them."""

    def __init__(self, protocol: ClientProtocol, **options: Any) -> None:
        super().__init__(protocol, **options)
        self.first_frames: list[tuple[bool, Frame]] = []
        self.trace = self._keep

    def _keep(self, sent: bool, frame: Frame) -> None:
        self.first_frames.append((sent, frame))


async def open_connection(settings: Settings) -> Connection:
    """Connect as the options say."""
    options: dict[str, Any] = {} if settings.tls is None else {"ssl": settings.tls}
    connection = await connect(
        settings.uri,
        create_connection=Connection,
        additional_headers=settings.headers,
        subprotocols=[Subprotocol(name) for name in settings.subprotocols] or None,
        origin=None if settings.origin is None else Origin(settings.origin),
        compression=settings.compression,
        open_timeout=settings.timeout_s,
        max_size=settings.max_size,
        **options,
    )
    assert isinstance(connection, Connection)
    return connection


def show_handshake(connection: ClientConnection, console: Console) -> None:
    """Show the heads of the request and the response, to who wants to see them."""
    assert connection.request is not None
    assert connection.response is not None
    request, response = connection.request, connection.response
    console.detail(f"> GET {request.path} HTTP/1.1")
    for name, value in request.headers.raw_items():
        console.detail(f"> {name}: {value}")
    console.detail(f"< HTTP/1.1 {response.status_code} {response.reason_phrase}")
    for name, value in response.headers.raw_items():
        console.detail(f"< {name}: {value}")


def greeting(connection: ClientConnection, settings: Settings, seconds: float) -> str:
    """Say what the opening handshake agreed on."""
    facts = [
        f"subprotocol {connection.subprotocol}" if connection.subprotocol else "no subprotocol",
        *(extension.name for extension in connection.protocol.extensions),
    ]
    uri = without_password(settings.uri)
    return f"connected to {uri} in {shown_time(seconds)} ({', '.join(facts)})"


def _failed(exc: Exception, settings: Settings, console: Console) -> Exit:
    console.error(explain_failure(exc, settings.uri, settings.timeout_s))
    return code_for_failure(exc)


async def talk(
    settings: Settings, console: Console, *, binary: bool, null: bool, wait_s: float
) -> Exit:
    """Connect, talk, and return how it ended."""
    start = time.perf_counter()
    try:
        connection = await open_connection(settings)
    except ValueError as exc:
        if isinstance(exc, OSError):  # ssl.SSLCertVerificationError is both
            return _failed(exc, settings, console)
        raise click.UsageError(str(exc)) from exc
    except Exception as exc:
        return _failed(exc, settings, console)
    show_handshake(connection, console)
    console.note(greeting(connection, settings, time.perf_counter() - start))
    for sent, frame in connection.first_frames:
        console.frame(sent, frame)
    connection.trace = console.frame
    session = Session(connection, console, binary=binary, null=null, wait_s=wait_s)
    try:
        return await session.run()
    finally:
        await hang_up(connection)


async def hang_up(connection: ClientConnection) -> None:
    """Close a connection that nobody listens to any more; who interrupts us waits for little."""
    try:
        async with asyncio.timeout(HANG_UP_WITHIN_S):
            await connection.close()
    except TimeoutError:
        connection.transport.abort()
