"""The load: connections of plain sockets that send, take back, and compare every byte.

All frames are made before the clock starts, but for compressed ones: what they are on the wire
depends on all that went before, so they are made and read while the clock runs, which costs this
side far less than the server. Nothing of a WebSocket library is used.
"""

from __future__ import annotations

import base64
import dataclasses
import os
import select
import socket
import time
import zlib

__all__ = ["SCENARIOS", "Scenario", "measure"]

TIMEOUT_S = 20.0
_VARIETY = 16  # different batches, sent in turn


@dataclasses.dataclass(frozen=True)
class Scenario:
    """What is sent.

    Args:
        name: for people.
        connections: how many, each with its own batch under way.
        depth: messages of a batch; the next batch is sent when all came back.
        size: of a message, in bytes.
        text: whether it is sent as Text.
        deflate: whether permessage-deflate is negotiated and used.
    """

    name: str
    connections: int
    depth: int
    size: int
    text: bool = True
    deflate: bool = False


SCENARIOS = (
    Scenario("ping-pong, 1 connection, 32 B", 1, 1, 32),
    Scenario("ping-pong, 50 connections, 32 B", 50, 1, 32),
    Scenario("pipelined, 64 deep, 32 B", 1, 64, 32),
    Scenario("binary, 64 KB", 1, 1, 64 * 1024, text=False),
    Scenario("deflate, 1 KB", 1, 1, 1024, deflate=True),
)


class WrongEcho(Exception):
    """What came back is not what was sent."""


def payload(scenario: Scenario, number: int) -> bytes:
    """Return a message; each number gives another, of words that compress as prose does."""
    if not scenario.text:
        return (os.urandom(1024) * (scenario.size // 1024 + 1))[: scenario.size]
    words = b" ".join(b"%x" % (number * 7919 + i * 104729) for i in range(scenario.size // 3 + 1))
    return words[: scenario.size]


def frame(scenario: Scenario, data: bytes, *, mask: bool) -> bytes:
    """Return a whole message as one frame. RFC 6455, 5.2."""
    first = 0x80 | (0x40 if scenario.deflate else 0) | (0x1 if scenario.text else 0x2)
    length = len(data)
    masked = 0x80 if mask else 0
    if length < 126:
        head = bytes([first, masked | length])
    elif length < 65536:
        head = bytes([first, masked | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([first, masked | 127]) + length.to_bytes(8, "big")
    if not mask:
        return head + data
    key = os.urandom(4)
    keys = int.from_bytes((key * (length // 4 + 1))[:length], "big")
    return head + key + (int.from_bytes(data, "big") ^ keys).to_bytes(length, "big")


class PlainTalk:
    """Frames that were made before, and exactly those are expected back."""

    def __init__(self, scenario: Scenario) -> None:
        self._batches: list[tuple[bytes, bytes]] = []
        for batch in range(_VARIETY):
            messages = [
                payload(scenario, batch * scenario.depth + i) for i in range(scenario.depth)
            ]
            self._batches.append(
                (
                    b"".join(frame(scenario, message, mask=True) for message in messages),
                    b"".join(frame(scenario, message, mask=False) for message in messages),
                )
            )
        self._next = 0

    def next_batch(self) -> bytes:
        """Return what to send."""
        self._next = (self._next + 1) % _VARIETY
        return self._batches[self._next][0]

    def is_complete(self, received: bytearray) -> bool:
        """Whether all has come back; raises WrongEcho when something else came."""
        expected = self._batches[self._next][1]
        if len(received) < len(expected):
            return False
        if received != expected:
            raise WrongEcho(f"sent {expected[:80]!r}, received {bytes(received[:80])!r}")
        return True


class DeflatedTalk:
    """Compressed messages, one at a time, with contexts that both sides keep. RFC 7692."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._messages = [payload(scenario, number) for number in range(_VARIETY)]
        self._next = 0
        self._deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
        self._inflate = zlib.decompressobj(-15)

    def next_batch(self) -> bytes:
        """Return what to send."""
        self._next = (self._next + 1) % _VARIETY
        data = self._deflate.compress(self._messages[self._next])
        data += self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return frame(self._scenario, data.removesuffix(b"\x00\x00\xff\xff"), mask=True)

    def is_complete(self, received: bytearray) -> bool:
        """Whether the frame has come back; raises WrongEcho when it holds something else."""
        if len(received) < 4:
            return False
        start, length = 2, received[1]
        if length == 126:
            start, length = 4, int.from_bytes(received[2:4], "big")
        if len(received) < start + length:
            return False
        if received[0] != 0xC1 or len(received) > start + length:
            raise WrongEcho(f"not a compressed text message: {bytes(received[:8])!r}")
        message = self._inflate.decompress(bytes(received[start:]) + b"\x00\x00\xff\xff")
        if message != self._messages[self._next]:
            raise WrongEcho(f"sent {self._messages[self._next][:80]!r}, received {message[:80]!r}")
        return True


class Client:
    """One connection of the load."""

    def __init__(self, port: int, scenario: Scenario) -> None:
        self.talk = DeflatedTalk(scenario) if scenario.deflate else PlainTalk(scenario)
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._shake_hands(port, scenario)
        self._received = bytearray()

    def _shake_hands(self, port: int, scenario: Scenario) -> None:
        lines = [
            "GET / HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
        ]
        if scenario.deflate:
            lines.append("Sec-WebSocket-Extensions: permessage-deflate")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            chunk = self.socket.recv(1)
            if not chunk:
                raise WrongEcho(f"the handshake ended after {head!r}")
            head += chunk
        if not head.startswith(b"HTTP/1.1 101 ") or (
            scenario.deflate != (b"permessage-deflate" in head)
        ):
            raise WrongEcho(f"the handshake was refused: {head!r}")

    def send(self) -> None:
        """Send the next batch."""
        self.socket.sendall(self.talk.next_batch())

    def receive(self) -> bool:
        """Take what came; return whether the batch is complete."""
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            raise WrongEcho("the server closed the connection")
        self._received += chunk
        if not self.talk.is_complete(self._received):
            return False
        self._received.clear()
        return True

    def close(self) -> None:
        """Do the closing handshake, so that the server has nothing to complain of."""
        with self.socket:
            try:
                self.socket.sendall(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
                while self.socket.recv(1 << 18):
                    pass
            except OSError:
                pass  # after a failure that is reported already


def measure(port: int, scenario: Scenario, seconds: float) -> tuple[float, float]:
    """Put a server under load.

    Args:
        port: where it listens.
        scenario: what to send.
        seconds: how long to measure, after a fifth of it to warm up.

    Returns:
        Messages that came back per second, and this process's own share of its core.

    Raises:
        WrongEcho: something came back that was not sent.
    """
    clients = [Client(port, scenario) for _ in range(scenario.connections)]
    try:
        _run(clients, seconds / 5)
        cpu, start = time.process_time(), time.perf_counter()
        batches = _run(clients, seconds)
        elapsed = time.perf_counter() - start
        return batches * scenario.depth / elapsed, (time.process_time() - cpu) / elapsed
    finally:
        for client in clients:
            client.close()


def _run(clients: list[Client], seconds: float) -> int:
    """Send and receive for a time, and until all is back; return the number of batches."""
    end = time.perf_counter() + seconds
    batches = 0
    waiting = len(clients)
    by_descriptor = {client.socket.fileno(): client for client in clients}
    poll = select.poll()
    for descriptor, client in by_descriptor.items():
        poll.register(descriptor, select.POLLIN)
        client.send()
    while waiting:
        ready = poll.poll(TIMEOUT_S * 1000)
        if not ready:
            raise WrongEcho(f"nothing came back for {TIMEOUT_S:g} s")
        is_over = time.perf_counter() >= end
        for descriptor, _ in ready:
            client = by_descriptor[descriptor]
            if not client.receive():
                continue
            batches += 1
            if is_over:
                waiting -= 1
            else:
                client.send()
    return batches
