"""The page's files over plain HTTP, from memory: what is not in the folder does not exist.

They are read once, at the start; a path is looked up and never joined, so that no path leads
out of the folder. Browsers ask again each time (``no-cache``) and are told 304 by the ETag.
"""

from __future__ import annotations

import dataclasses
import email.utils
import hashlib
import http
import importlib.resources
from importlib.resources.abc import Traversable
from typing import Self

from ...datastructures import Headers
from ...http11 import Request, Response

__all__ = ["Files", "secure"]

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX = "index.html"

# The page loads nothing from elsewhere, runs no inline script, makes no markup of text, and
# cannot be framed.
_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclasses.dataclass(frozen=True)
class _File:
    content_type: str
    body: bytes
    etag: str


class Files:
    """A folder of files.

    Args:
        folder: the folder; files in it whose type is not known are left out.
    """

    def __init__(self, folder: Traversable) -> None:
        self._files: dict[str, _File] = {}
        for entry in folder.iterdir():
            content_type = _TYPES.get("." + entry.name.rpartition(".")[2])
            if content_type is None or not entry.is_file():
                continue
            body = entry.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
            self._files["/" + entry.name] = _File(content_type, body, etag)
        if "/" + _INDEX in self._files:
            self._files["/"] = self._files.pop("/" + _INDEX)

    @classmethod
    def of_the_page(cls) -> Self:
        """Read the files that come with the package."""
        return cls(importlib.resources.files(__package__.rpartition(".")[0]) / "page")

    def respond(self, request: Request) -> Response:
        """Answer a request: 200, 304, 404, or 405 for methods other than GET and HEAD."""
        if request.method not in {"GET", "HEAD"}:
            response = _plain(http.HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD.\n")
            response.headers["Allow"] = "GET, HEAD"
            return response
        file = self._files.get(request.path.partition("?")[0])
        if file is None:
            response = _plain(http.HTTPStatus.NOT_FOUND, "There is nothing here. Try /\n")
        elif _matches(request.headers.get_all("If-None-Match"), file.etag):
            response = _response(http.HTTPStatus.NOT_MODIFIED, b"", ETag=file.etag)
        else:
            response = _response(
                http.HTTPStatus.OK,
                file.body,
                Content_Type=file.content_type,
                Content_Length=str(len(file.body)),
                ETag=file.etag,
            )
        response.headers["Cache-Control"] = "no-cache"
        if request.method == "HEAD":
            response.body = b""  # with the Content-Length that GET has: RFC 9110, 9.3.2
        return response


def secure(response: Response) -> Response:
    """Add the security headers to a response, and return it."""
    for name, value in _SECURITY_HEADERS.items():
        response.headers[name] = value
    return response


def _plain(status: http.HTTPStatus, text: str) -> Response:
    body = text.encode()
    return _response(
        status,
        body,
        Content_Type="text/plain; charset=utf-8",
        Content_Length=str(len(body)),
    )


def _response(status: http.HTTPStatus, body: bytes, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    date = email.utils.formatdate(usegmt=True)
    return secure(
        Response(
            status.value,
            status.phrase,
            Headers({"Date": date, "Connection": "close", **named}),
            body,
        )
    )


def _matches(if_none_match: list[str], etag: str) -> bool:
    """Compare entity tags, weakly. RFC 9110, 13.1.2."""
    tags = [tag.strip() for value in if_none_match for tag in value.split(",")]
    return "*" in tags or etag in [tag.removeprefix("W/") for tag in tags]
