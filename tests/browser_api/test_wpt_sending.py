"""web-platform-tests: messages, their types, and what is counted until they are gone."""

from __future__ import annotations

import array
import ssl
from typing import Any

import pytest
from tests.browser_api.peers import peers
from tests.browser_api.wpt import cases, heard, opened, serving, wpt

from wirebird.browser import ArrayBuffer, Blob, DOMException, WebSocket

INTS = array.array("H", range(8))
FLOATS = array.array("d", [0.5, -1.0])
VIEW = memoryview(bytes(range(16)))

# What is sent, and what comes back.
MESSAGES: dict[str, tuple[Any, str | bytes]] = {
    "Send-0byte-data.any.js": ("", ""),
    "Send-65K-data.any.js": ("c" * 65000, "c" * 65000),
    "Send-data.any.js": ("Message to send", "Message to send"),
    "Send-unicode-data.any.js": ("¥¥¥¥¥¥", "¥¥¥¥¥¥"),
    "Send-paired-surrogates.any.js": ("\ud801\udc07", "\U00010407"),
    "Send-Unpaired-Surrogates.any.js": ("\ud807", "\ufffd"),
    "Send-binary-65K-arraybuffer.any.js": (ArrayBuffer(65000 * b"\x01"), 65000 * b"\x01"),
    "Send-binary-arraybuffer.any.js": (ArrayBuffer(bytes(15)), bytes(15)),
    "Send-binary-arraybufferview-int16-offset.any.js": (memoryview(INTS)[2:], INTS.tobytes()[4:]),
    "Send-binary-arraybufferview-int8.any.js": (array.array("b", [-1, 1]), b"\xff\x01"),
    "Send-binary-blob.any.js": (Blob([bytes(range(200))]), bytes(range(200))),
    "interfaces/WebSocket/send/003.html": ("test", "test"),
    "interfaces/WebSocket/send/005.html": ("", ""),
    "interfaces/WebSocket/send/006.html": ("a\ud800b\udc00", "a\ufffdb\ufffd"),
    "interfaces/WebSocket/send/008.html": ("x" * 0x10000, "x" * 0x10000),
    "interfaces/WebSocket/send/009.html": ("x" * 0xFFFF, "x" * 0xFFFF),
    "interfaces/WebSocket/send/011.html": ("\u0000\u00e5\u4f60\U0001f600", "\0å你\U0001f600"),
}
SECURE: dict[str, tuple[Any, str | bytes]] = {
    "Secure-Send-65K-data.any.js": MESSAGES["Send-65K-data.any.js"],
    "Secure-Send-binary-65K-arraybuffer.any.js": MESSAGES["Send-binary-65K-arraybuffer.any.js"],
    "Secure-Send-binary-arraybuffer.any.js": MESSAGES["Send-binary-arraybuffer.any.js"],
    "Secure-Send-binary-arraybufferview-float32.any.js": (
        array.array("f", [1.5]), array.array("f", [1.5]).tobytes(),
    ),
    "Secure-Send-binary-arraybufferview-float64.any.js": (FLOATS, FLOATS.tobytes()),
    "Secure-Send-binary-arraybufferview-int32.any.js": (
        array.array("i", [-5]), array.array("i", [-5]).tobytes(),
    ),
    "Secure-Send-binary-arraybufferview-uint16-offset-length.any.js": (
        memoryview(INTS)[1:3], INTS.tobytes()[2:6],
    ),
    "Secure-Send-binary-arraybufferview-uint32-offset.any.js": (
        VIEW.cast("I")[1:], bytes(VIEW)[4:],
    ),
    "Secure-Send-binary-arraybufferview-uint8-offset-length.any.js": (VIEW[2:6], bytes(VIEW)[2:6]),
    "Secure-Send-binary-arraybufferview-uint8-offset.any.js": (VIEW[2:], bytes(VIEW)[2:]),
    "Secure-Send-binary-blob.any.js": MESSAGES["Send-binary-blob.any.js"],
    "Secure-Send-data.any.js": MESSAGES["Send-data.any.js"],
    "Secure-Send-paired-surrogates.any.js": MESSAGES["Send-paired-surrogates.any.js"],
    "Secure-Send-unicode-data.any.js": MESSAGES["Send-unicode-data.any.js"],
    "Secure-Send-unpaired-surrogates.any.js": MESSAGES["Send-Unpaired-Surrogates.any.js"],
}  # fmt: skip


async def there_and_back(url: str, message: tuple[Any, str | bytes], **options: Any) -> None:
    given, expected = message
    async with opened(url, **options) as ws:
        ws.binaryType = "arraybuffer"
        back = heard(ws, "message")
        ws.send(given)
        data = (await back).data
        assert data == expected
        assert isinstance(data, str if isinstance(expected, str) else ArrayBuffer)
        assert ws.bufferedAmount == 0


@cases("message", MESSAGES)
async def test_there_and_back(message: tuple[Any, str | bytes]) -> None:
    async with serving() as base:
        await there_and_back(base + "/echo", message)


@cases("message", SECURE)
async def test_there_and_back_over_tls(
    message: tuple[Any, str | bytes], server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with serving(server_tls) as base:
        await there_and_back(base + "/echo", message, ssl=client_tls)


@wpt("extended-payload-length.any.js", "extended-payload-length.html")
@pytest.mark.parametrize("size", [125, 126, 0xFFFF, 0x10000])
async def test_every_form_of_a_length(size: int) -> None:
    async with serving() as base:
        await there_and_back(base + "/echo", ("a" * size, "a" * size))


@wpt("Send-before-open.any.js", "interfaces/WebSocket/send/001.html")
async def test_sending_while_it_connects() -> None:
    async with peers() as base:
        ws = WebSocket(base + "/silence", proxy=None)
        with pytest.raises(DOMException) as raised:
            ws.send("too early")
        assert (raised.value.name, raised.value.code) == ("InvalidStateError", 11)
        assert ws.bufferedAmount == 0
        closed = heard(ws, "close")
        ws.close()
        await closed


@wpt("interfaces/WebSocket/send/004.html")
async def test_nothing_but_text_and_bytes_is_sent() -> None:
    async with serving() as base, opened(base + "/echo") as ws:
        with pytest.raises(TypeError):
            ws.send()  # type: ignore[call-arg]
        for wrong in (None, 1, {}, ["a"], object()):
            with pytest.raises(TypeError, match="str or bytes-like"):
                ws.send(wrong)  # type: ignore[arg-type]
        assert ws.bufferedAmount == 0
        assert ws.readyState == ws.OPEN


@wpt("interfaces/WebSocket/send/007.html")
async def test_sending_after_close_does_nothing() -> None:
    async with serving() as base, opened(base + "/echo") as ws:
        got: list[Any] = []
        ws.onmessage = ws.onerror = got.append
        closed = heard(ws, "close")
        ws.close()
        assert ws.send("test") is None  # type: ignore[func-returns-value]
        await closed
        assert got == []


@cases("kind", {"binary/001.html": "blob", "binary/005.html": "blob"})
async def test_blobs(kind: str) -> None:
    async with serving() as base, opened(base + "/echo") as ws:
        assert ws.binaryType == kind
        back = heard(ws, "message")
        ws.send(Blob([b"one", "zwölf"], type="Text/Plain"))
        blob = (await back).data
        assert isinstance(blob, Blob)
        assert blob.size == 9
        assert blob.type == ""
        assert await blob.text() == "onezwölf"
        assert await blob.arrayBuffer() == b"one" + "zwölf".encode()
        assert await blob.slice(3, -2).text() == "zwö"


@cases("size", {"binary/002.html": 15, "binary/004.html": 0})
async def test_array_buffers(size: int) -> None:
    async with serving() as base, opened(base + "/echo") as ws:
        ws.binaryType = "arraybuffer"
        back = heard(ws, "message")
        ws.send(bytes(size))
        data = (await back).data
        assert isinstance(data, ArrayBuffer)
        assert data.byteLength == size
        assert data == bytes(size)


@wpt("binaryType-wrong-value.any.js")
async def test_other_binary_types_are_ignored() -> None:
    ws = WebSocket("ws://example.invalid/")
    for wrong in ("", "notBlobOrArrayBuffer", "Blob", None, 1):
        ws.binaryType = wrong  # type: ignore[assignment]
        assert ws.binaryType == "blob"
    ws.binaryType = "arraybuffer"
    ws.binaryType = "x"
    assert ws.binaryType == "arraybuffer"
    closed = heard(ws, "close")
    ws.close()
    await closed


# What is counted.

BUFFERED = "interfaces/WebSocket/bufferedAmount/"


@wpt(BUFFERED + "001.html", BUFFERED + "bufferedAmount-getting.html", BUFFERED + "002.html")
async def test_nothing_is_buffered_at_first() -> None:
    ws = WebSocket("ws://example.invalid/")
    assert ws.bufferedAmount == 0
    with pytest.raises(AttributeError):
        ws.bufferedAmount = 5  # type: ignore[misc]
    assert ws.bufferedAmount == 0
    closed = heard(ws, "close")
    ws.close()
    await closed


@cases(
    "message",
    {
        BUFFERED + "004.html": ("x", 1),
        BUFFERED + "007.html": ("x" * 1000, 1000),
        BUFFERED + "008.html": (ArrayBuffer(bytes(10)), 10),
        BUFFERED + "009.html": (Blob([bytes(10)]), 10),
        BUFFERED + "010.html": ("å\ud800", 5),
        BUFFERED + "bufferedAmount-arraybuffer.html": (ArrayBuffer(bytes(10)), 10),
        BUFFERED + "bufferedAmount-blob.html": (Blob([bytes(10)]), 10),
        BUFFERED + "bufferedAmount-large.html": ("x" * 600_000, 600_000),
        BUFFERED + "bufferedAmount-unicode.html": ("å", 2),
    },
)
async def test_what_is_sent_is_counted_at_once(message: tuple[Any, int]) -> None:
    data, size = message
    async with serving() as base, opened(base + "/echo") as ws:
        back = heard(ws, "message")
        ws.send(data)
        assert ws.bufferedAmount == size
        await back
        assert ws.bufferedAmount == 0
        closed = heard(ws, "close")
        ws.close()
        ws.send(data)
        ws.send(data)
        assert ws.bufferedAmount == 2 * size
        await closed
        assert ws.bufferedAmount == 2 * size  # it never shrinks, and grows on
        ws.send(data)
        assert ws.bufferedAmount == 3 * size
