"""The page's files over plain HTTP."""

from __future__ import annotations

import html.parser
import pathlib

import pytest

from wirebird.cli.demo.files import Files
from wirebird.datastructures import Headers
from wirebird.http11 import Request, Response

PAGE = pathlib.Path(__file__).parents[3] / "src" / "wirebird" / "cli" / "page"


def ask(files: Files, path: str, method: str = "GET", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return files.respond(Request(path, Headers(named), method))


@pytest.fixture
def files(tmp_path: pathlib.Path) -> Files:
    folder = tmp_path / "page"
    (folder / "deeper").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>")
    (folder / "a.js").write_text("let a;")
    (folder / "secret.pem").write_text("key")
    (folder / "deeper" / "b.js").write_text("let b;")
    (tmp_path / "outside.js").write_text("let c;")
    return Files(folder)


@pytest.mark.parametrize("path", ["/", "/?x=1"])
def test_the_page(files: Files, path: str) -> None:
    response = ask(files, path)
    assert (response.status_code, response.body) == (200, b"<!doctype html>")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Content-Length"] == "15"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["Connection"] == "close"


@pytest.mark.parametrize(
    "path",
    [
        "/b.js",
        "/A.JS",
        "/a.js/",
        "//a.js",
        "/deeper/b.js",
        "/deeper",
        "/secret.pem",
        "/../outside.js",
        "/%2e%2e/outside.js",
        "/..%2foutside.js",
        "/index.html",
        "a.js",
        "*",
        "http://127.0.0.1/a.js",
    ],
)
def test_what_is_not_in_the_folder_does_not_exist(files: Files, path: str) -> None:
    response = ask(files, path)
    assert response.status_code == 404
    assert response.body
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_head_has_the_headers_of_get(files: Files) -> None:
    for path in ("/a.js", "/nothing"):
        get, head = ask(files, path), ask(files, path, "HEAD")
        assert head.body == b""
        assert head.status_code == get.status_code
        assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_other_methods(files: Files, method: str) -> None:
    response = ask(files, "/a.js", method)
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"


def test_a_browser_that_has_it_is_told_so(files: Files) -> None:
    etag = ask(files, "/a.js").headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = ask(files, "/a.js", If_None_Match=known)
        assert (response.status_code, response.body) == (304, b"")
        assert response.headers["ETag"] == etag
    assert ask(files, "/a.js", If_None_Match='"other"').status_code == 200
    assert ask(files, "/", If_None_Match=etag).status_code == 200


def test_every_response_is_guarded(files: Files) -> None:
    for response in (ask(files, "/"), ask(files, "/nothing"), ask(files, "/", "POST")):
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"


class _Inline(html.parser.HTMLParser):
    """Finds what the policy would forbid, and addresses elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]
        self.addresses += [
            value for name, value in attrs if name in {"src", "href"} and value is not None
        ]


def test_the_page_obeys_its_own_policy() -> None:
    files = Files.of_the_page()
    page = _Inline()
    page.feed(bytes(ask(files, "/").body).decode())
    assert page.found == []
    linked = [address for address in page.addresses if not address.startswith("#")]
    assert {"/style.css", "/main.js"} <= set(linked)
    assert [ask(files, address).status_code for address in linked] == [200] * len(linked)


def test_every_file_of_the_page_is_served() -> None:
    files = Files.of_the_page()
    names = {path.name for path in PAGE.iterdir()} - {"index.html"}
    assert names
    assert {name for name in names if ask(files, f"/{name}").status_code != 200} == set()


def test_strangers_words_never_become_markup() -> None:
    for path in PAGE.glob("*.js"):
        source = path.read_text()
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way not in source, f"{path.name} has {way}"
