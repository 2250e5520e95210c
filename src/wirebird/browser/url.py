"""The URL that a WebSocket is made with. WebSockets Standard, 3.1; URL Standard, 4.4 and 4.5.

Browsers read URLs leniently: in any case, with spaces around, with backslashes, relative to a
base. Here such a URL becomes the one that browsers show. The rest of Wirebird is stricter still
(``core.uri``), and is given that URL with the last differences taken out. What it refuses even so,
such as a name that cannot be looked up, is then a connection that fails, as it is in browsers.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
import urllib.parse

from .data import scalar_values
from .errors import DOMException

__all__ = ["origin_of", "strict_url", "websocket_url"]

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_PORTS = {"ws": "80", "wss": "443"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_AROUND = "".join(map(chr, range(0x21)))  # C0 controls and space
_FORBIDDEN_IN_HOST = re.compile(r"[\x00-\x20\x7f#%/:<>?@\[\\\]^|]")
_DOT_SEGMENT = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)
# What stays as it is in a path, in a query, and in user info; everything else is percent-encoded.
_PATH_SAFE = "/%:@!$&'()*+,;=~|[]\\"
_QUERY_SAFE = "/%:@!$&()*+,;=~|[]?^`{}\\"
_USER_SAFE = "%!$&'()*+,~"


def websocket_url(url: str, base: str | None = None) -> str:
    """Return a URL as a WebSocket shows it.

    Args:
        url: with the scheme ws, wss, http or https; or without one, relative to ``base``.
        base: a URL.

    Raises:
        DOMException: SyntaxError: it cannot be read, has another scheme, or has a fragment.
    """
    text = re.sub(r"[\t\n\r]", "", scalar_values(str(url)).strip(_AROUND))
    scheme = _SCHEME.match(text)
    if base is not None and (
        scheme is None
        or (scheme[1].lower() in _SCHEMES and not re.match(r"[/\\]", text[scheme.end() :]))
    ):
        text = urllib.parse.urljoin(websocket_url(base), text)
        scheme = _SCHEME.match(text)
    if scheme is None:
        raise _refused(url, "it is not absolute")
    kind = _SCHEMES.get(scheme[1].lower())
    if kind is None:
        raise _refused(url, "its scheme is not ws, wss, http or https")
    rest, hash_, _ = text[scheme.end() :].partition("#")
    if hash_:
        raise _refused(url, "it has a fragment")
    rest, question, query = rest.partition("?")
    authority, path = _apart(rest.replace("\\", "/"))
    whole = f"{kind}://{_authority(url, authority, kind)}{_path(path)}"
    if question:
        whole += "?" + urllib.parse.quote(query, safe=_QUERY_SAFE)
    return whole


def origin_of(url: str) -> str:
    """Return the origin of a URL that ``websocket_url`` made: scheme, host and port."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{re.split('[/?]', rest)[0].rpartition('@')[2]}"


def strict_url(url: str) -> str:
    """Return a URL that ``websocket_url`` made as ``core.uri`` takes it.

    In a query, browsers send backslashes as they are; in a URL, a user may have no password.
    """
    scheme, _, rest = url.partition("://")
    authority, place = re.fullmatch(r"([^/]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    user, at, host = authority.rpartition("@")
    if at and ":" not in user:
        authority = f"{user}:@{host}"
    return f"{scheme}://{authority}{place.replace(chr(0x5C), '%5C')}"


def _refused(url: object, why: str) -> DOMException:
    shown = str(url)
    return DOMException(f"{shown[:200]!r} is not the URL of a WebSocket: {why}", "SyntaxError")


def _apart(rest: str) -> tuple[str, str]:
    """Return authority and path; there may be any number of slashes before the authority."""
    authority, slash, path = rest.lstrip("/").partition("/")
    return authority, slash + path


def _authority(url: str, authority: str, scheme: str) -> str:
    user, at, place = authority.rpartition("@")
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]*))?", place)
    if found is None:
        raise _refused(url, "its host or port cannot be read")
    host, port = _host(url, found[1]), (found[2] or "").lstrip("0")
    if found[2] and not port:
        port = "0"
    if port and int(port[:6]) > 65535:
        raise _refused(url, "there is no such port")
    if port and port != _PORTS[scheme]:
        host += f":{port}"
    if at:
        name, colon, password = user.partition(":")
        name = urllib.parse.quote(name, safe=_USER_SAFE)
        password = urllib.parse.quote(password, safe=_USER_SAFE)
        if name or password:
            host = f"{name}{colon if password else ''}{password}@{host}"
    return host


def _host(url: str, host: str) -> str:
    """URL Standard, 3.5: an IPv6 address, a number that is an IPv4 address, or a domain."""
    if host.startswith("["):
        try:
            return f"[{_ipv6(host[1:-1])}]"
        except ValueError as exc:
            raise _refused(url, "its IPv6 address cannot be read") from exc
    domain = urllib.parse.unquote(host, errors="replace").lower()
    try:
        if not domain.isascii():
            domain = ".".join(_ascii_label(label) for label in re.split("[.。．｡]", domain))
    except UnicodeError as exc:
        raise _refused(url, "its host is no domain") from exc
    if not domain or _FORBIDDEN_IN_HOST.search(domain):
        raise _refused(url, "its host is no domain")
    if re.fullmatch(r"0x[0-9a-f]*|[0-9]+", domain.rstrip(".").rpartition(".")[2]):
        return _ipv4(url, domain)
    return domain


def _ascii_label(label: str) -> str:
    """Convert a label of a domain. Python knows IDNA 2003, in which "ß" and "ς" are no letters."""
    if "ß" in label or "ς" in label:
        return "xn--" + unicodedata.normalize("NFKC", label).encode("punycode").decode()
    return label.encode("idna").decode()


def _ipv6(address: str) -> str:
    """URL Standard, 3.6: in hexadecimal, the longest run of zeros left out, no zone."""
    if "%" in address:
        raise ValueError(address)
    number = int(ipaddress.IPv6Address(address))
    pieces = ":".join(f"{number >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))
    runs = list(re.finditer(r"(?<![0-9a-f])0(?::0(?![0-9a-f]))+", pieces))
    if not runs:
        return pieces
    longest = max(runs, key=lambda run: len(run[0]))  # the first of those
    before, after = pieces[: longest.start()], pieces[longest.end() :]
    return f"{before.removesuffix(':')}::{after.removeprefix(':')}"


def _ipv4(url: str, domain: str) -> str:
    """URL Standard, 3.5, the IPv4 parser: parts may be hexadecimal or octal, the last one long."""
    parts = domain.removesuffix(".").split(".")
    try:
        numbers = [_number(part) for part in parts]
        if len(numbers) > 4 or any(number > 255 for number in numbers[:-1]):
            raise ValueError(domain)
        value = numbers[-1]
        if value >= 256 ** (5 - len(numbers)):
            raise ValueError(domain)
        for at, number in enumerate(numbers[:-1]):
            value += number << (8 * (3 - at))
        return str(ipaddress.IPv4Address(value))
    except ValueError as exc:
        raise _refused(url, "its IPv4 address cannot be read") from exc


def _number(part: str) -> int:
    if len(part) > 20 or not part:
        raise ValueError(part)
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8) if part.startswith("0") else int(part)


def _path(path: str) -> str:
    """Percent-encode a path, and take the segments "." and ".." out of it."""
    segments: list[str] = []
    given = path.split("/")[1:]
    for at, segment in enumerate(given):
        is_last = at == len(given) - 1
        if not _DOT_SEGMENT.fullmatch(segment):
            segments.append(segment)
            continue
        if len(segment.lower().replace("%2e", ".")) == 2 and segments:
            segments.pop()
        if is_last:
            segments.append("")
    return "/" + urllib.parse.quote("/".join(segments), safe=_PATH_SAFE)
