"""Reverse proxies that run for real, each with the configuration that is its example.

Of the configuration nothing is changed but ports, the paths of the certificate, and how long a
connection may say nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
import trustme
from tests import needs

__all__ = ["PROXIES", "ReverseProxy", "running"]

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
PROXIES = {
    "caddy": (needs.CADDY, "behind-caddy/Caddyfile"),
    "haproxy": (needs.HAPROXY, "behind-haproxy/haproxy.cfg"),
    "nginx": (needs.NGINX, "behind-nginx/nginx.conf"),
}
START_TIMEOUT_S = 20.0
IDLE_S = 1


@dataclasses.dataclass(frozen=True)
class ReverseProxy:
    """A proxy that runs.

    Args:
        name: of the program.
        ports: by those in its example: where it listens, and where it connects to.
    """

    name: str
    ports: dict[int, int]


def free_ports(numbers: set[int]) -> dict[int, int]:
    """Choose a free port for each of the numbers."""
    with contextlib.ExitStack() as stack:
        held = {
            number: stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            for number in sorted(numbers)
        }
        return {number: free.getsockname()[1] for number, free in held.items()}


def adapted(text: str, ports: dict[int, int], folder: pathlib.Path) -> str:
    """Return a configuration with other ports, paths and times."""
    text = re.sub(r"(?<=[: ])8\d\d\d\b", lambda match: str(ports[int(match[0])]), text)
    text = re.sub(r"/etc/(?:ssl|haproxy)/example\.com", f"{folder}/example.com", text)
    text = re.sub(r"(timeout +(?:\w+ +)?)60s", rf"\g<1>{IDLE_S}s", text)
    # Where nginx may write without being root.
    paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{name}_temp_path {folder}/{name}; " for name in paths)
    return text.replace("http {\n", f"http {{ {temporary} access_log off;\n")


def command(name: str, path: str, config: pathlib.Path) -> list[str]:
    """Return how the program is started in the foreground."""
    if name == "caddy":
        return [path, "run", "--config", str(config), "--adapter", "caddyfile"]
    if name == "haproxy":
        return [path, "-db", "-f", str(config)]
    arguments = f"daemon off; pid {config.parent}/nginx.pid; error_log stderr;"
    return [path, "-c", str(config), "-g", arguments]


@contextlib.contextmanager
def running(name: str, folder: pathlib.Path, authority: trustme.CA) -> Iterator[ReverseProxy]:
    """Run a proxy; it has ended when the block is left."""
    program, example = PROXIES[name]
    path = program.path()
    text = (EXAMPLES / example).read_text(encoding="utf-8")
    ports = free_ports({int(number) for number in re.findall(r"(?<=[: ])8\d\d\d\b", text)})
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "example.com.pem")
    certificate.private_key_pem.write_to_path(folder / "example.com.key")
    config = folder / pathlib.Path(example).name
    config.write_text(adapted(text, ports, folder), encoding="utf-8")
    log_path = folder / "log"
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            command(name, path, config),
            env={**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        listening = [port for number, port in ports.items() if not 8765 <= number <= 8767]
        wait_for(listening, process, log_path)
        yield ReverseProxy(name, ports)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(ports: list[int], process: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    """Wait until a process listens on all ports."""
    deadline = time.monotonic() + START_TIMEOUT_S
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"it did not start:\n{log.read_text(errors='replace')}")
                time.sleep(0.02)
