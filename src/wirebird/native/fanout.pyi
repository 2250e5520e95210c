from collections.abc import Iterable
from typing import TypeVar

_Connection = TypeVar("_Connection")

def send_shared(
    connections: Iterable[_Connection], opcode: int, payload: bytes
) -> list[_Connection]: ...
