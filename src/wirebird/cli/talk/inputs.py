"""Where lines come from: a person at a prompt, or a pipe.

Both are asynchronous iterators of lines, without their ends, that stop at the end of the input.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

__all__ = ["history_path", "is_interactive", "lines_of_pipe", "lines_of_prompt", "prompt_around"]

PROMPT = "» "
_CHUNK_BYTES = 64 * 1024
_WAITING_LINES = 64


def is_interactive() -> bool:
    """Whether a person types, and sees what is typed."""
    return sys.stdin.isatty() and (sys.stdout.isatty() or sys.stderr.isatty())


def history_path() -> Path:
    """Return where the lines of earlier conversations are kept (XDG base directories)."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "wirebird" / "history"


def open_history() -> History:
    """Return the history; one that lasts until the end where no file can be written."""
    path = history_path()
    try:
        # What people type may be a secret: nobody else reads it.
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)


@contextlib.contextmanager
def prompt_around() -> Iterator[None]:
    """Keep the prompt below what is written while it waits."""
    # The prompt, and what is written around it, go to the terminal: where standard output is
    # none, to standard error. (An application session of our own would not do: the thread with
    # which prompt-toolkit writes knows only the default one.)
    terminal = sys.stdout if sys.stdout.isatty() else sys.stderr
    with contextlib.redirect_stdout(terminal), patch_stdout(raw=True):
        yield


async def lines_of_prompt() -> AsyncGenerator[str]:
    """Yield what a person types, until Ctrl-D.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    session: PromptSession[str] = PromptSession(history=open_history())
    while True:
        try:
            line = await session.prompt_async(PROMPT)
        except EOFError:
            return
        if line:
            yield line


async def lines_of_pipe(descriptor: int, end: bytes = b"\n") -> AsyncGenerator[bytes]:
    """Yield the lines of a file, a pipe or anything else that can be read.

    A thread reads, since event loops cannot wait for regular files. It is a daemon, and reads
    the descriptor itself: it neither holds up the end of the program nor a lock that is needed
    then. When lines are not taken it waits.

    Args:
        descriptor: of the input.
        end: the byte that ends a line; with a newline, a CR before it is left out too.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | OSError | None] = asyncio.Queue(_WAITING_LINES)

    def put(item: bytes | OSError | None) -> None:
        asyncio.run_coroutine_threadsafe(queue.put(item), loop).result()

    def read() -> None:
        # The loop is gone when the conversation ended first: then nobody wants the rest.
        with contextlib.suppress(RuntimeError, asyncio.CancelledError):
            try:
                for line in _split(descriptor, end):
                    put(line)
            except OSError as exc:
                put(exc)
            put(None)

    threading.Thread(target=read, name="wirebird-input", daemon=True).start()
    while (item := await queue.get()) is not None:
        if isinstance(item, OSError):
            raise item
        yield item


def _split(descriptor: int, end: bytes) -> Iterator[bytes]:
    pieces: list[bytes] = []
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        *complete, rest = chunk.split(end)
        for line in complete:
            yield _without_cr(b"".join([*pieces, line]), end)
            pieces.clear()
        if rest:
            pieces.append(rest)
    if pieces:
        yield _without_cr(b"".join(pieces), end)


def _without_cr(line: bytes, end: bytes) -> bytes:
    return line.removesuffix(b"\r") if end == b"\n" else line
