"""What a line of the prompt orders: a message to send, or a command that begins with a slash.

A line from a pipe is never a command: programs that send what they were given must not be made
to close a connection by it.
"""

from __future__ import annotations

import dataclasses

from ...exceptions import ProtocolError
from ...frames import Close

__all__ = ["HELP", "BadOrder", "CloseIt", "Help", "Order", "Ping", "Pong", "Send", "parse_order"]

HELP = """\
TEXT                   send it as a text message (//TEXT, where it begins with a slash)
/binary HEX            send a binary message, such as /binary 00 ff
/ping [TEXT]           send a ping, and show the round trip
/pong [TEXT]           send a pong that nobody asked for
/close [CODE [REASON]] close the connection; 1000 when no code is given
/quit                  the same, as Ctrl-D does
/help                  show this"""


@dataclasses.dataclass(frozen=True)
class Send:
    """Send a message: text, or binary."""

    message: str | bytes


@dataclasses.dataclass(frozen=True)
class Ping:
    """Send a ping; without a payload, one that is unique."""

    payload: str | None


@dataclasses.dataclass(frozen=True)
class Pong:
    """Send a pong."""

    payload: str


@dataclasses.dataclass(frozen=True)
class CloseIt:
    """Close the connection."""

    code: int = 1000
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Help:
    """Show the commands."""


Order = Send | Ping | Pong | CloseIt | Help


class BadOrder(ValueError):
    """The line is no order; the message says why, and what would be one."""


def parse_order(line: str) -> Order:
    """Read a line of the prompt.

    Raises:
        BadOrder: it begins with a slash and is no command.
    """
    if not line.startswith("/"):
        return Send(line)
    if line.startswith("//"):
        return Send(line[1:])
    name, _, rest = line[1:].partition(" ")
    rest = rest.strip()
    match name:
        case "binary":
            return Send(_from_hex(rest))
        case "ping":
            return Ping(_control_payload(rest) or None)
        case "pong":
            return Pong(_control_payload(rest))
        case "close":
            return _close(rest)
        case "quit":
            return CloseIt()
        case "help":
            return Help()
    raise BadOrder(f"no command /{name}; /help shows them, //{line[1:]} sends this as text")


def _from_hex(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise BadOrder("/binary takes bytes as pairs of hexadecimal digits: 00 ff") from None


def _control_payload(text: str) -> str:
    length = len(text.encode())
    if length > 125:  # RFC 6455, 5.5
        raise BadOrder(f"a ping or pong holds at most 125 bytes, not {length}")
    return text


def _close(rest: str) -> CloseIt:
    if not rest:
        return CloseIt()
    digits, _, reason = rest.partition(" ")
    try:
        close = Close(int(digits), reason.strip())
        close.check()
    except (ValueError, ProtocolError) as exc:
        raise BadOrder(f"/close takes 1000-1014 or 3000-4999, and a short reason: {exc}") from None
    return CloseIt(int(close.code), close.reason)
