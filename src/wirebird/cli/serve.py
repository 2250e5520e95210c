"""``wirebird serve``: the demonstration server, until somebody presses Ctrl-C.

Exit codes: 0 when it was asked to stop, 1 when it could not start, 2 for a wrong command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterator, Sequence

import click

from ..core.origins import normalize_origin
from .demo.app import Demo

__all__ = ["command"]


@click.command("serve", short_help="Run the demonstration server.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8765,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--cert",
    type=click.Path(),
    metavar="FILE",
    help="Certificate chain (PEM), to serve https:// and wss://.",
)
@click.option(
    "--key",
    type=click.Path(),
    metavar="FILE",
    help="Private key (PEM) of --cert, unless it is in the same file.",
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Origin whose pages may connect, such as https://example.com; can be given several "
    "times. By default, only the pages of this server, under its address, localhost, --host, or "
    "this machine's name. Clients that are no browsers send no origin and are always accepted.",
)
@click.option(
    "--drain",
    "drain_s",
    default=5.0,
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long connections may take to end when the server is stopped.",
)
def command(
    host: str,
    port: int,
    cert: str | None,
    key: str | None,
    origins: tuple[str, ...],
    drain_s: float,
) -> int:
    """Run the demonstration server: a page, a room for its tabs, and an echo.

    Open the printed URL in two tabs and let them talk. Other programs find an echo at /echo.
    """
    try:
        allowed = [normalize_origin(origin) for origin in origins]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--origin") from error
    tls = tls_context(cert, key)
    try:
        asyncio.run(serve_until_stopped(host, port, tls, allowed, drain_s))
    except KeyboardInterrupt:
        pass  # where signal handlers cannot be set, Ctrl-C arrives this way
    except (OSError, UnicodeError) as error:
        raise click.ClickException(explain(error, host, port)) from error
    return 0


def tls_context(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    """Read a certificate and its key.

    Raises:
        click.ClickException: one of them cannot be read, or they do not belong together.
    """
    if cert is None:
        if key is not None:
            raise click.UsageError("--key is the key of a certificate: give --cert too")
        return None

    def refuse_password() -> str:
        raise click.ClickException(
            f"the key in {key or cert} is encrypted; give one without a passphrase "
            "(openssl pkey -in KEY -out PLAIN_KEY)"
        )

    for path, option in ((cert, "--cert"), (key or cert, "--key")):
        # The errors of load_cert_chain do not say which file they mean.
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise click.ClickException(f"{option} {path}: {error.strerror}") from error
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password=refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise click.ClickException(f"{key or cert} is not the key of {cert}") from error
        raise click.ClickException(
            f"no certificate and key in PEM form in {cert}"
            + (f" and {key}" if key else "; give the key with --key")
            + f" ({error.reason or error})"
        ) from error
    return context


def explain(error: OSError | UnicodeError, host: str, port: int) -> str:
    """Say why listening failed, and what to do about it."""
    where = f"port {port} of {host}"
    if isinstance(error, UnicodeError):  # such as a label of more than 63 characters
        return f"{host[:80]!a} is not the name of a host"
    if isinstance(error, socket.gaierror):
        return f"cannot find the address {host!r}: {error.strerror}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use: stop what listens there, or choose another with --port"
    # Python 3.13 gives this one no number, after it has tried every address of the host.
    if error.errno == errno.EADDRNOTAVAIL or "could not bind on any address" in str(error):
        return f"{host} is not an address of this machine; choose one with --host"
    if error.errno == errno.EACCES:
        return f"{where} needs privileges: choose one above 1023 with --port"
    return f"cannot listen on {where}: {error.strerror or error}"


async def serve_until_stopped(
    host: str, port: int, tls: ssl.SSLContext | None, origins: list[str], drain_s: float
) -> None:
    """Serve, print the URL to open, and close every connection with 1001 when told to stop.

    Args:
        host, port, tls, origins: of the server.
        drain_s: seconds after which connections are cut that have not ended by then.
    """
    demo = Demo(origins=origins, names=own_names(host))
    with stop_signals() as stop:
        async with demo.serve(host, port, ssl=tls) as server:
            scheme = "https" if tls else "http"
            where = f"{for_url(host)}:{port_to_open(server.sockets)}"
            say(f"Wirebird is listening. Open {scheme}://{where}/")
            say("Ctrl-C ends it.")
            await stop.wait()
            await demo.say_goodbye()
            cut = await server.drain(drain_s)
    say("Closed." if not cut else f"Closed; {cut} connections had to be cut.")


def say(line: str) -> None:
    """Print a line; where nobody reads it, or it cannot be written, we serve all the same."""
    try:
        click.echo(line)
    except OSError:
        # What is still in the buffer would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def port_to_open(sockets: Sequence[socket.socket]) -> int:
    """Return the port of the URL: with ``--port 0``, IPv4 and IPv6 have each their own.

    That of IPv4, which ``localhost`` leads to on every machine.
    """
    chosen = min(sockets, key=lambda listening: listening.family != socket.AF_INET)
    port: int = chosen.getsockname()[1]
    return port


def own_names(host: str) -> set[str]:
    """Return what pages of this server may be addressed by: ``host``, and this machine's name."""
    machine = socket.gethostname().lower()
    return {host.lower(), machine, machine.partition(".")[0] + ".local"}


def for_url(host: str) -> str:
    """Return a host as it stands in a URL that this machine's browser can open."""
    if host in {"", "*", "0.0.0.0", "::"}:
        return "localhost"
    return f"[{host}]" if ":" in host else host


@contextlib.contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """Turn the first SIGINT or SIGTERM into an event; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    caught: list[signal.Signals] = []

    def first() -> None:
        stop.set()
        for number in caught:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in before:
        try:
            loop.add_signal_handler(number, first)
        except (NotImplementedError, RuntimeError):
            continue  # Windows, or not the main thread: KeyboardInterrupt cancels us instead
        caught.append(number)
    try:
        yield stop
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
