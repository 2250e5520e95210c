"""What is logged of a head: never a secret in it.

Logs are kept longer, and read by more people, than connections. What authenticates somebody is
shown as ``<hidden>``: credentials and cookies; in the query the values of parameters that by their
name may be secrets; among subprotocols the tokens that browsers bring there for want of a header.
"""

from __future__ import annotations

import re
import urllib.parse

__all__ = ["HIDDEN", "hide_parameter", "shown_header", "shown_target", "shown_uri"]

HIDDEN = "<hidden>"

_AUTHORIZATION = {"authorization", "proxy-authorization"}
_COOKIES = {"cookie", "set-cookie"}

_secret_name = re.compile(
    r"token|secret|passw|pwd|auth|jwt|bearer|ticket|session|sid|key|code|sig|cred", re.IGNORECASE
)
_further_names: set[str] = set()  # that do not tell what they are; once known they stay secrets
_parameter = re.compile(r"([?&])([^=&]*)=([^&]*)")
_cookie_value = re.compile(r"=[^;]*")
_announces_token = re.compile(r"bearer|token|jwt|auth", re.IGNORECASE)
_LONGEST_SUBPROTOCOL = 40


def shown_target(target: str) -> str:
    """Return a request target as it may be logged: secrets in its query are hidden."""
    if "?" not in target:
        return target

    def shown(match: re.Match[str]) -> str:
        name = urllib.parse.unquote_plus(match[2])
        is_secret = name in _further_names or _secret_name.search(name)
        return f"{match[1]}{match[2]}={HIDDEN}" if is_secret else match[0]

    return _parameter.sub(shown, target)


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


def shown_header(name: str, value: str) -> str:
    """Return the value of a header as it may be logged."""
    lowered = name.lower()
    if lowered in _AUTHORIZATION:
        scheme, space, _ = value.partition(" ")
        return f"{scheme} {HIDDEN}" if space else HIDDEN
    if lowered in _COOKIES:
        # Attributes of Set-Cookie are no secrets, but nobody looks for them in a log either.
        return _cookie_value.sub(f"={HIDDEN}", value) if "=" in value else HIDDEN
    if lowered == "sec-websocket-protocol":
        return _shown_subprotocols(value)
    return value


def _shown_subprotocols(value: str) -> str:
    """Hide what a name announces, what holds both, and what is as long as no name is."""
    shown: list[str] = []
    is_announced = False
    for item in value.split(","):
        name = item.strip(" \t")
        announces = _announces_token.search(name) is not None
        is_secret = is_announced or len(name) >= _LONGEST_SUBPROTOCOL or (announces and "." in name)
        shown.append(item.replace(name, HIDDEN) if is_secret and name else item)
        is_announced = announces and not is_secret
    return ",".join(shown)
