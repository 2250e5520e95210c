"""Proxies for clients that run for real: tinyproxy (CONNECT), microsocks and Dante (SOCKS)."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
from collections.abc import Iterator

from tests import needs
from tests.interop.reverse_proxies import free_ports, wait_for

__all__ = ["PASSWORD", "USERNAME", "dante", "microsocks", "tinyproxy"]

USERNAME, PASSWORD = "somebody", "pass-word"


@contextlib.contextmanager
def _running(port: int, folder: pathlib.Path, *command: str) -> Iterator[None]:
    """Run a proxy that listens on a port; it has ended when the block is left."""
    log_path = folder / "log"
    with open(log_path, "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for([port], process, log_path)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    return free_ports({0})[0]


@contextlib.contextmanager
def tinyproxy(folder: pathlib.Path) -> Iterator[int]:
    """Run tinyproxy, which asks for credentials; gives its port."""
    port = _free_port()
    config = folder / "tinyproxy.conf"
    config.write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 20\nBasicAuth {USERNAME} {PASSWORD}\n"
    )
    with _running(port, folder, needs.TINYPROXY.path(), "-d", "-c", str(config)):
        yield port


@contextlib.contextmanager
def microsocks(folder: pathlib.Path) -> Iterator[int]:
    """Run microsocks (SOCKS5), which asks for credentials; gives its port."""
    port = _free_port()
    arguments = ["-i", "127.0.0.1", "-p", str(port), "-u", USERNAME, "-P", PASSWORD]
    with _running(port, folder, needs.MICROSOCKS.path(), *arguments):
        yield port


@contextlib.contextmanager
def dante(folder: pathlib.Path) -> Iterator[int]:
    """Run Dante (SOCKS4, not 4a, and 5), which asks for nothing; gives its port."""
    port = _free_port()
    config = folder / "danted.conf"
    everybody = "from: 0.0.0.0/0 to: 0.0.0.0/0"
    config.write_text(
        f"logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\n"
        f"socksmethod: none\nclientmethod: none\n"
        f"client pass {{ {everybody} }}\nsocks pass {{ {everybody} }}\n"
    )
    pid = folder / "danted.pid"
    with _running(port, folder, needs.DANTE.path(), "-f", str(config), "-p", str(pid)):
        yield port
