"""What is written: payloads to standard output, everything else to standard error.

On a terminal, each message is a line that says its kind, size and latency, and then shows it,
escaped and shortened. Into a pipe goes the payload alone, whole, one message a line: a line break
within a text is written as ``\\n``, and a binary message in hexadecimal digits. With ``null``
each message ends with NUL instead, and texts stay as they are, line breaks and all.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys

from rich.console import Console as RichConsole
from rich.text import Text

from ...exceptions import ProtocolError
from ...frames import CTRL_OPCODES, Close, Frame, Opcode
from .escape import one_line, printable
from .outputs import Output

__all__ = ["Console", "shown_time"]

# A terminal shows this much of a message: more scrolls away what one looks for.
SHOWN_CHARACTERS = 2000
SHOWN_BYTES = 256

RECEIVED, SENT = "<", ">"


class Console:
    """Writes for a person, a program, or one of each.

    Args:
        quiet: leave out everything but payloads and errors.
        verbose: show details too.
        null: in a pipe, end messages with NUL.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False, null: bool = False) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._null = null
        # The prompt replaces sys.stdout while it is there: a pipe must be kept as it is.
        self._pipe = None if sys.stdout.isatty() else Output(sys.stdout.fileno())
        if isinstance(sys.stdout, io.TextIOWrapper):
            # What the terminal's encoding lacks is shown as its escape, as on standard error.
            sys.stdout.reconfigure(errors="backslashreplace")
        self._out = _rich_console(stderr=False)
        self._err = _rich_console(stderr=True)

    async def message(self, message: str | bytes, latency_s: float) -> None:
        """Write a message that came; wait until a pipe has taken it.

        Args:
            message: str for text, bytes for binary.
            latency_s: the last measured round trip, in seconds; 0 when there is none.

        Raises:
            BrokenPipeError: nobody reads the pipe any more.
            OSError: it cannot be written.
        """
        if self._pipe is not None:
            await self._pipe.write(self._as_line(message))
            return
        kind = "text" if isinstance(message, str) else "binary"
        size = len(message.encode() if isinstance(message, str) else message)
        facts = f"{kind} {shown_size(size)}"
        if latency_s:
            facts += f", {shown_time(latency_s)}"
        body = shown_text(message) if isinstance(message, str) else shown_bytes(message)
        self._out.print(Text.assemble((f"{RECEIVED} {facts}", "cyan"), "  ", body))

    def frame(self, sent: bool, frame: Frame) -> None:
        """Write a control frame that went by; others are messages, or parts of them."""
        if frame.opcode not in CTRL_OPCODES or self._quiet:
            return
        payload = bytes(frame.data)
        facts = frame.opcode.name.lower()
        if frame.opcode is Opcode.CLOSE:
            body = shown_close(payload)
        else:
            facts += f" {shown_size(len(payload))}"
            body = shown_control(payload)
        arrow = SENT if sent else RECEIVED
        self._note(Text.assemble((f"{arrow} {facts}", "magenta"), "  " if body else "", body))

    def note(self, text: str) -> None:
        """Tell a person something; what a peer said in it is escaped."""
        if not self._quiet:
            self._note(Text(printable(text), "dim"))

    def detail(self, text: str) -> None:
        """Tell more, to who asked for it; what a peer said in it is escaped."""
        if self._verbose:
            self._note(Text(printable(text), "dim"))

    def help(self, text: str) -> None:
        """Show our own text of several lines."""
        self._note(Text(text))

    def error(self, text: str) -> None:
        """Say what went wrong; what a peer said in it is escaped."""
        self._note(Text.assemble(("wirebird: ", "bold red"), printable(text)))

    def _note(self, line: Text) -> None:
        # Where standard error cannot be written, there is nobody to tell.
        with contextlib.suppress(OSError):
            self._err.print(line)

    def _as_line(self, message: str | bytes) -> bytes:
        text = message if isinstance(message, str) else message.hex()
        return text.encode() + b"\0" if self._null else one_line(text).encode() + b"\n"


class _RichConsole(RichConsole):
    def on_broken_pipe(self) -> None:
        """Leave the error to the caller, instead of ending the program."""
        raise


def _rich_console(*, stderr: bool) -> RichConsole:
    """Return what writes to a terminal, found anew each time: a prompt replaces the streams."""
    stream = sys.stderr if stderr else sys.stdout
    # https://no-color.org: any value but the empty one.
    wants_colours = stream.isatty() and not os.environ.get("NO_COLOR")
    return _RichConsole(
        stderr=stderr,
        color_system="auto" if wants_colours else None,
        force_terminal=wants_colours,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=True,
    )


def shown_size(size: int) -> str:
    """Return a size in bytes for people."""
    return f"{size:,} B"


def shown_time(seconds: float) -> str:
    """Return a short time for people."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def shown_text(text: str) -> str:
    """Return a text for a terminal: on one line, and not too long."""
    rest = len(text) - SHOWN_CHARACTERS
    end = f" ... and {rest:,} more characters" if rest > 0 else ""
    return printable(text[:SHOWN_CHARACTERS]) + end


def shown_bytes(data: bytes) -> str:
    """Return bytes for a terminal: in hexadecimal digits, and not too many."""
    rest = len(data) - SHOWN_BYTES
    end = f" ... and {rest:,} more bytes" if rest > 0 else ""
    return data[:SHOWN_BYTES].hex(" ") + end


def shown_control(payload: bytes) -> str:
    """Return the payload of a ping or pong for a terminal: as text where it is some."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return shown_bytes(payload)
    return text if printable(text) == text else shown_bytes(payload)


def shown_close(payload: bytes) -> str:
    """Return what a Close says, for a terminal."""
    try:
        return printable(str(Close.parse(payload)))
    except (ProtocolError, UnicodeDecodeError):
        return shown_bytes(payload)
