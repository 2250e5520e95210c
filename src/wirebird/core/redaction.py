"""What is logged of a head: never a secret in it.

Logs are kept longer, and read by more people, than connections. What authenticates somebody is
shown as ``<hidden>``: credentials and cookies; headers, and in a query the values of parameters,
that by their name may be secrets; among subprotocols the tokens that browsers bring there for want
of a header. Lines that are shown to say what is wrong with them may hold all that too.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Iterator

__all__ = [
    "HIDDEN",
    "hide_parameter",
    "hide_subprotocol",
    "shown_header",
    "shown_headers",
    "shown_line",
    "shown_target",
    "shown_uri",
]

HIDDEN = "<hidden>"

_AUTHORIZATION = {"authorization", "proxy-authorization"}
_COOKIES = {"cookie", "set-cookie"}
_SUBPROTOCOLS = "sec-websocket-protocol"

_secret_name = re.compile(
    r"token|secret|passw|pwd|auth|jwt|bearer|ticket|session|sid|key|code|sig|cred", re.IGNORECASE
)
_secret_header = re.compile(
    r"token|secret|passw|api-?key|authorization|x-.*auth|credential|session|jwt|signature",
    re.IGNORECASE,
)
# That do not tell what they are; once known they stay secrets.
_further_names: set[str] = set()
_markers: set[str] = set()
_beginnings: set[str] = set()

_name = re.compile(r"(?:^|;)([^=;]*)=")
_cookie_value = re.compile(r"=[^;]*")
_user_info = re.compile(r"(?<=//)[^/?#@\s]+(?=@)")
_announces_token = re.compile(r"bearer|token|jwt|auth", re.IGNORECASE)
_LONGEST_SUBPROTOCOL = 40


def shown_target(target: str) -> str:
    """Return a request target as it may be logged: secrets in its query are hidden."""
    path, mark, query = target.partition("?")
    return path + mark + "&".join(map(_shown_parameter, query.split("&"))) if mark else target


def _shown_parameter(parameter: str) -> str:
    """Hide the value of a parameter; some programs separate several with semicolons."""
    for match in _name.finditer(parameter):
        name = urllib.parse.unquote_plus(match[1])
        if name in _further_names or _secret_name.search(name):
            return parameter[: match.end()] + HIDDEN
    return parameter


def shown_uri(uri: str) -> str:
    """Return a URI, which need not be a valid one, without the password, or token, before its @."""
    before, at, address = uri.rpartition("@")
    if not at:
        return uri
    scheme, slashes, user_info = before.rpartition("//")
    username, colon, _ = user_info.partition(":")
    shown = f"{username}:***" if colon else "***"
    return f"{scheme}{slashes}{shown}@{address}"


def hide_parameter(name: str) -> None:
    """Hide the values of parameters of this name, in all of the process."""
    _further_names.add(name)


def hide_subprotocol(marker: str, *, is_joined: bool) -> None:
    """Hide the subprotocol that follows a marker, or begins with it, in all of the process."""
    (_beginnings if is_joined else _markers).add(marker)


def shown_headers(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Return headers as they may be logged.

    Args:
        headers: all of a head; a token may be on another line than what announces it.
    """
    is_announced = False
    for name, value in headers:
        if name.lower() == _SUBPROTOCOLS:
            shown, is_announced = _shown_subprotocols(value, is_announced)
            yield name, shown
        else:
            yield name, shown_header(name, value)


def shown_header(name: str, value: str) -> str:
    """Return the value of a single header as it may be logged."""
    lowered = name.lower()
    if lowered in _AUTHORIZATION:
        scheme, space, _ = value.partition(" ")
        return f"{scheme} {HIDDEN}" if space else HIDDEN
    if lowered in _COOKIES:
        # Attributes of Set-Cookie are no secrets, but nobody looks for them in a log either.
        return _cookie_value.sub(f"={HIDDEN}", value) if "=" in value else HIDDEN
    if lowered == _SUBPROTOCOLS:
        return _shown_subprotocols(value, False)[0]
    if _secret_header.search(name):
        return HIDDEN
    return _user_info.sub(HIDDEN, shown_target(value))  # such as of Referer and Location


def shown_line(line: str) -> str:
    """Return a line of a head, which need not be a proper one, as it may be shown."""
    if " HTTP/" in line or line.startswith("HTTP/"):
        return shown_target(line)
    name, colon, value = line.partition(":")
    if colon and name[:1].strip():
        return f"{name}:{shown_header(name.strip(), value)}"
    # It may go on with the line before, or have lost the colon.
    shown = re.match(r"\s*\S*", line)[0] if name[:1].strip() else name[:1]  # type: ignore[index]
    return shown if shown == line else f"{shown} {HIDDEN}"


def _shown_subprotocols(value: str, is_announced: bool) -> tuple[str, bool]:
    """Hide what a name announces, what holds both, and what is as long as no name is.

    Returns:
        What to show, and whether the next one is announced.
    """
    shown: list[str] = []
    for item in value.split(","):
        name = item.strip(" \t")
        announces = name in _markers or _announces_token.search(name) is not None
        is_secret = (
            is_announced
            or len(name) >= _LONGEST_SUBPROTOCOL
            or (announces and "." in name and name not in _markers)
            or any(map(name.startswith, _beginnings))
        )
        shown.append(item.replace(name, HIDDEN) if is_secret and name else item)
        is_announced = announces and not is_secret
    return ",".join(shown), is_announced
