"""Negotiation and frames of permessage-deflate. RFC 7692, 6 and 7."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterable
from typing import Any, Literal

import pytest
import websockets.exceptions
import websockets.frames
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions import permessage_deflate as peer

import wirebird.extensions
import wirebird.extensions.base
import wirebird.extensions.permessage_deflate as facade
from wirebird.core.extensions import base
from wirebird.core.extensions import permessage_deflate as ours
from wirebird.core.extensions.base import ClientExtensionFactory, Extension, ServerExtensionFactory
from wirebird.core.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
    enable_client_permessage_deflate,
    enable_server_permessage_deflate,
)
from wirebird.core.frames import RSV1, Frame
from wirebird.core.rules import Opcode
from wirebird.core.types import ExtensionName
from wirebird.exceptions import (
    InvalidParameterValue,
    NegotiationError,
    PayloadTooBig,
    ProtocolError,
)

CONT, TEXT, BINARY = Opcode.CONT, Opcode.TEXT, Opcode.BINARY
CONTROL = Opcode.CLOSE, Opcode.PING, Opcode.PONG
HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")  # RFC 7692, 7.2.3.1

Bits = int | Literal[True] | None
SOME_BITS: list[int | None] = [None, 8, 9, 12, 15]
FLAGS = [False, True]


def extension(threshold: int = 0) -> PerMessageDeflate:
    return PerMessageDeflate(False, False, 15, 15, threshold=threshold)


def settings_of(extension: Any) -> tuple[bool, bool, int, int, dict[str, Any]]:
    return (
        extension.remote_no_context_takeover,
        extension.local_no_context_takeover,
        extension.remote_max_window_bits,
        extension.local_max_window_bits,
        extension.compress_settings,
    )


def mirrored(settings: tuple[bool, bool, int, int, dict[str, Any]]) -> tuple[Any, ...]:
    """The same settings, seen from the peer."""
    return settings[1], settings[0], settings[3], settings[2], settings[4]


# The names, parameters and defaults of websockets.


@pytest.mark.parametrize("name", peer.__all__)
def test_the_surface_is_that_of_websockets(name: str) -> None:
    actual = inspect.signature(getattr(ours, name)).parameters
    expected = inspect.signature(getattr(peer, name)).parameters
    shared = list(actual.values())[: len(expected)]
    assert [(p.name, p.kind, p.default) for p in shared] == [
        (p.name, p.kind, p.default) for p in expected.values()
    ]
    further = list(actual.values())[len(expected) :]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in further)


def test_the_facades_show_the_same_objects() -> None:
    assert sorted(facade.__all__) == sorted(peer.__all__) == sorted(ours.__all__)
    for name in peer.__all__:
        assert getattr(facade, name) is getattr(ours, name)
    for module in (wirebird.extensions, wirebird.extensions.base):
        assert sorted(module.__all__) == sorted(base.__all__)
        for name in base.__all__:
            assert getattr(module, name) is getattr(base, name)


def test_what_it_says_to_a_connection() -> None:
    assert PerMessageDeflate.name == ClientPerMessageDeflateFactory.name == "permessage-deflate"
    assert ServerPerMessageDeflateFactory.name == "permessage-deflate"
    assert PerMessageDeflate.first_frame_rsv == RSV1
    assert PerMessageDeflate.other_frame_rsv == 0
    assert PerMessageDeflate.may_skip is True


def test_repr() -> None:
    assert repr(PerMessageDeflate(True, False, 10, 12)) == (
        repr(peer.PerMessageDeflate(True, False, 10, 12))
    )


# Arguments.


@pytest.mark.parametrize("bits", [7, 16, 0])
def test_windows_out_of_range(bits: int) -> None:
    with pytest.raises(ValueError, match="remote_max_window_bits"):
        PerMessageDeflate(False, False, bits, 15)
    with pytest.raises(ValueError, match="local_max_window_bits"):
        PerMessageDeflate(False, False, 15, bits)
    for factory in (ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory):
        with pytest.raises(ValueError, match="server_max_window_bits"):
            factory(server_max_window_bits=bits)
        with pytest.raises(ValueError, match="client_max_window_bits"):
            factory(client_max_window_bits=bits)


def test_true_is_for_the_clients_own_window_alone() -> None:
    ClientPerMessageDeflateFactory(client_max_window_bits=True)
    with pytest.raises(ValueError):
        ClientPerMessageDeflateFactory(server_max_window_bits=True)
    with pytest.raises(ValueError):
        ServerPerMessageDeflateFactory(client_max_window_bits=True)


def test_other_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="set client_max_window_bits"):
        ClientPerMessageDeflateFactory(compress_settings={"wbits": 12})
    with pytest.raises(ValueError, match="set server_max_window_bits"):
        ServerPerMessageDeflateFactory(compress_settings={"wbits": 12})
    with pytest.raises(ValueError, match="require_client_max_window_bits"):
        ServerPerMessageDeflateFactory(require_client_max_window_bits=True)
    for factory in (ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory):
        with pytest.raises(ValueError, match="threshold"):
            factory(threshold=-1)
        with pytest.raises(ValueError):
            factory(compress_settings={"memLevel": 0})
    with pytest.raises(ValueError, match="threshold"):
        extension(threshold=-1)


# Negotiation, against websockets as the other peer and in the same place.

CLIENTS: list[tuple[bool, bool, int | None, Bits]] = list(
    itertools.product(FLAGS, FLAGS, SOME_BITS, [*SOME_BITS, True])
)
SERVERS: list[tuple[bool, bool, int | None, int | None, bool]] = [
    settings
    for settings in itertools.product(FLAGS, FLAGS, SOME_BITS, SOME_BITS, FLAGS)
    if settings[3] is not None or not settings[4]
]


NAMES = (
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
    "require_client_max_window_bits",
)


def named(settings: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(NAMES, settings, strict=False))


def our_client(*settings: Any) -> ClientPerMessageDeflateFactory:
    return ClientPerMessageDeflateFactory(**named(settings))


def our_server(*settings: Any) -> ServerPerMessageDeflateFactory:
    return ServerPerMessageDeflateFactory(**named(settings))


def their_client(*settings: Any) -> Any:
    return peer.ClientPerMessageDeflateFactory(**named(settings))


def their_server(*settings: Any) -> Any:
    return peer.ServerPerMessageDeflateFactory(**named(settings))


def outcome(process: Any, params: Any) -> Any:
    """What a factory makes of parameters: settings and answer, or the error by name and text."""
    try:
        result = process(list(params), [])
    except (NegotiationError, websockets.exceptions.NegotiationError) as exc:
        if type(exc).__name__ == "NegotiationError":  # its text is free
            return "NegotiationError"
        return type(exc).__name__, str(exc)
    if isinstance(result, tuple):
        return result[0], settings_of(result[1])
    return settings_of(result)


# Deviation 1: windows of 8 bits on the compressing side. websockets takes 8 neither in the
# settings of that side nor from the peer, since zlib does not; here Huffman coding alone does it.


def all_offers() -> Iterable[list[tuple[str, str | None]]]:
    for client in CLIENTS:
        yield list(our_client(*client).get_request_params())


@pytest.mark.parametrize("client", CLIENTS)
def test_offers(client: tuple[bool, bool, int | None, Bits]) -> None:
    offer = our_client(*client).get_request_params()
    assert sum(value is not None for _, value in offer) == sum(type(bits) is int for bits in client)
    if client[3] == 8 and client[3] is not True:
        with pytest.raises(ValueError):
            their_client(*client)  # deviation 1
        assert ("client_max_window_bits", "8") in offer
    else:
        assert offer == their_client(*client).get_request_params()


@pytest.mark.parametrize("server", SERVERS)
def test_answers_to_every_offer(server: tuple[bool, bool, int | None, int | None, bool]) -> None:
    factory = our_server(*server)
    for offer in all_offers():
        actual = outcome(factory.process_request_params, offer)
        if server[2] == 8:  # deviation 1: the answer is that for 9, but for the window
            assert actual[0] != "NegotiationError" or (server[4] and not has_client_bits(offer))
            if actual != "NegotiationError":
                assert ("server_max_window_bits", "8") in actual[0]
                assert actual[1][3] == 8
            continue
        expected = outcome(their_server(*server).process_request_params, offer)
        if ("server_max_window_bits", "8") in offer and actual != expected:
            assert expected == "NegotiationError"  # deviation 1
            assert ("server_max_window_bits", "8") in actual[0]
            assert actual[1][3] == 8
        else:
            assert actual == expected


def has_client_bits(params: Iterable[tuple[str, str | None]]) -> bool:
    return any(name == "client_max_window_bits" for name, _ in params)


@pytest.mark.parametrize("client", CLIENTS)
def test_every_answer_is_judged_as_websockets_judges_it(
    client: tuple[bool, bool, int | None, Bits],
) -> None:
    factory = our_client(*client)
    for answer in all_offers():  # among them those with client_max_window_bits without a value
        actual = outcome(factory.process_response_params, answer)
        if client[3] == 8 and client[3] is not True:  # deviation 1: compare with 9
            if ("client_max_window_bits", "9") in answer:
                assert actual == "NegotiationError"
                continue
            answer = [
                (name, "9" if (name, value) == ("client_max_window_bits", "8") else value)
                for name, value in answer
            ]
            expected = outcome(their_client(*client[:3], 9).process_response_params, answer)
            if not isinstance(expected[0], str):
                assert expected[3] == 9
                expected = (*expected[:3], 8, expected[4])
            assert actual == expected
            continue
        expected = outcome(their_client(*client).process_response_params, answer)
        if ("client_max_window_bits", "8") in answer and actual != expected:
            assert expected == "NegotiationError"  # deviation 1
            assert actual[3] == 8
        else:
            assert actual == expected


@pytest.mark.parametrize("client", CLIENTS)
def test_peers_agree(client: tuple[bool, bool, int | None, Bits]) -> None:
    agreed = 0
    offer = our_client(*client).get_request_params()
    for server in SERVERS:
        for make_client, make_server in (
            (our_client, our_server),
            (their_client, our_server),
            (our_client, their_server),
        ):
            try:
                client_factory, server_factory = make_client(*client), make_server(*server)
            except ValueError:
                assert 8 in (client[3], server[2])  # deviation 1
                continue
            try:
                answer, at_server = server_factory.process_request_params(list(offer), [])
            except (NegotiationError, websockets.exceptions.NegotiationError):
                assert server[4] or ("server_max_window_bits", "8") in offer
                continue
            try:
                at_client = client_factory.process_response_params(list(answer), [])
            except websockets.exceptions.NegotiationError:
                assert ("client_max_window_bits", "8") in answer  # deviation 1
                continue
            seen_by_server = settings_of(at_server)
            seen_by_client = settings_of(at_client)
            # The client may keep what it said of itself though the server did not repeat it.
            assert seen_by_client[0] == seen_by_server[1]
            assert seen_by_client[2] == seen_by_server[3]
            assert seen_by_client[1] >= seen_by_server[0]
            assert seen_by_client[3] <= seen_by_server[2]
            if make_server is our_server:
                assert seen_by_client == mirrored(seen_by_server)
            agreed += 1
    assert agreed > 100


# What RFC 7692, 7.1 says, one by one.


@pytest.mark.parametrize(
    ("settings", "answer", "problem"),
    [
        ({"server_no_context_takeover": True}, [], "expected server_no_context_takeover"),
        ({"server_max_window_bits": 10}, [], "expected server_max_window_bits of at most 10"),
        (
            {"server_max_window_bits": 10},
            [("server_max_window_bits", "11")],
            "unsupported server_max_window_bits: 11, the offer was 10",
        ),
        (
            {"client_max_window_bits": None},
            [("client_max_window_bits", "15")],
            "unexpected client_max_window_bits: it was not offered",
        ),
        (
            {"client_max_window_bits": 10},
            [("client_max_window_bits", "11")],
            "unsupported client_max_window_bits: 11, the offer was 10",
        ),
    ],
)
def test_answers_that_are_none_to_the_offer(
    settings: dict[str, Any], answer: list[tuple[str, str | None]], problem: str
) -> None:
    with pytest.raises(NegotiationError) as raised:
        ClientPerMessageDeflateFactory(**settings).process_response_params(answer, [])
    assert str(raised.value) == problem


def test_an_answer_may_limit_what_the_offer_left_open() -> None:
    answer = [
        ("server_no_context_takeover", None),
        ("client_no_context_takeover", None),
        ("server_max_window_bits", "9"),
        ("client_max_window_bits", "8"),
    ]
    result = ClientPerMessageDeflateFactory().process_response_params(answer, [])
    assert settings_of(result) == (True, True, 9, 8, {})


def test_a_client_keeps_what_it_said_of_itself() -> None:
    factory = ClientPerMessageDeflateFactory(
        client_no_context_takeover=True, client_max_window_bits=10
    )
    assert settings_of(factory.process_response_params([], [])) == (False, True, 15, 10, {})


def test_a_client_is_not_limited_unless_it_says_that_it_can_be() -> None:
    factory = ServerPerMessageDeflateFactory(client_max_window_bits=10)
    answer, result = factory.process_request_params([], [])
    assert (answer, result.remote_max_window_bits) == ([], 15)
    answer, result = factory.process_request_params([("client_max_window_bits", None)], [])
    assert (answer, result.remote_max_window_bits) == ([("client_max_window_bits", "10")], 10)


def test_a_client_that_must_be_limited_and_cannot_is_declined() -> None:
    factory = ServerPerMessageDeflateFactory(
        client_max_window_bits=10, require_client_max_window_bits=True
    )
    with pytest.raises(NegotiationError, match="required client_max_window_bits"):
        factory.process_request_params([], [])
    with pytest.raises(InvalidParameterValue):
        factory.process_request_params([("client_max_window_bits", "7")], [])


def test_the_extension_is_accepted_once() -> None:
    for process in (
        ClientPerMessageDeflateFactory().process_response_params,
        ServerPerMessageDeflateFactory().process_request_params,
    ):
        with pytest.raises(NegotiationError, match="duplicate extension: permessage-deflate"):
            process([], [extension()])
        other = Extension()
        other.name = ExtensionName("other")
        process([], [other])


def test_settings_reach_the_extension() -> None:
    settings = {"memLevel": 4}
    client = ClientPerMessageDeflateFactory(compress_settings=settings, threshold=30)
    at_client = client.process_response_params([], [])
    server = ServerPerMessageDeflateFactory(compress_settings=settings, threshold=30)
    _, at_server = server.process_request_params([], [])
    for result in (at_client, at_server):
        assert (result.compress_settings, result.threshold) == (settings, 30)


# Factories for most uses.


class OtherClientFactory(ClientExtensionFactory):
    name = ExtensionName("other")


class OtherServerFactory(ServerExtensionFactory):
    name = ExtensionName("other")


def attributes(factory: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(factory).items() if name != "threshold"}


@pytest.mark.parametrize("extensions", [None, []])
def test_enable(extensions: list[Any] | None) -> None:
    (client,) = enable_client_permessage_deflate(extensions)
    (expected,) = peer.enable_client_permessage_deflate(extensions)
    assert attributes(client) == attributes(expected)
    (server,) = enable_server_permessage_deflate(extensions)
    (expected_server,) = peer.enable_server_permessage_deflate(extensions)
    assert attributes(server) == attributes(expected_server)
    assert isinstance(client, ClientPerMessageDeflateFactory)
    assert isinstance(server, ServerPerMessageDeflateFactory)
    assert client.threshold == server.threshold == 0


def test_enable_beside_others() -> None:
    cases: list[tuple[Any, Any]] = [
        (enable_client_permessage_deflate, OtherClientFactory()),
        (enable_server_permessage_deflate, OtherServerFactory()),
    ]
    for enable, other in cases:
        extensions = [other]
        enabled = enable(extensions)
        assert extensions == [other]
        assert enabled[0] is other
        assert [factory.name for factory in enabled] == ["other", "permessage-deflate"]


def test_enable_leaves_what_is_there() -> None:
    clients = [OtherClientFactory(), ClientPerMessageDeflateFactory(client_max_window_bits=9)]
    assert enable_client_permessage_deflate(clients) is clients
    servers = [ServerPerMessageDeflateFactory(), OtherServerFactory()]
    assert enable_server_permessage_deflate(servers) is servers


# Frames that come. RFC 7692, 6.


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_decode_a_compressed_message(opcode: Opcode) -> None:
    frame = Frame(opcode, HELLO, rsv1=True)
    assert extension().decode(frame) == Frame(opcode, b"Hello")
    assert frame == Frame(opcode, HELLO, rsv1=True)


def test_decode_fragments() -> None:
    deflate = extension()
    for _ in range(2):
        assert deflate.decode(Frame(TEXT, HELLO[:5], fin=False, rsv1=True)) == Frame(
            TEXT, b"Hell", fin=False
        )
        assert deflate.decode(Frame(CONT, b"", fin=False)) == Frame(CONT, b"", fin=False)
        assert deflate.decode(Frame(CONT, HELLO[5:])) == Frame(CONT, b"o")


def test_decode_leaves_messages_that_are_not_compressed() -> None:
    deflate = extension()
    deflate.decode(Frame(TEXT, HELLO, rsv1=True))
    for frame in (
        Frame(TEXT, b"Hello"),
        Frame(BINARY, b"\xff", fin=False),
        Frame(CONT, b"\xff", fin=False),
        Frame(CONT, b"\xff"),
    ):
        assert deflate.decode(frame, max_size=0) is frame


def test_decode_leaves_control_frames_between_fragments() -> None:
    deflate = extension()
    deflate.decode(Frame(TEXT, HELLO[:5], fin=False, rsv1=True))
    for opcode in CONTROL:
        for rsv1 in FLAGS:  # the bit is refused by Frame.check and by connections
            frame = Frame(opcode, b"Hello", rsv1=rsv1)
            assert deflate.decode(frame, max_size=0) is frame
    assert deflate.decode(Frame(CONT, HELLO[5:])) == Frame(CONT, b"o")


@pytest.mark.parametrize("rsv1", FLAGS)
def test_decode_refuses_rsv1_in_continuations(rsv1: bool) -> None:
    deflate = extension()
    deflate.decode(Frame(TEXT, HELLO[:5], fin=False, rsv1=rsv1))
    with pytest.raises(ProtocolError, match="RSV1 in a continuation frame"):
        deflate.decode(Frame(CONT, HELLO[5:], rsv1=True))


def test_decode_leaves_the_bits_of_others() -> None:
    frame = Frame(TEXT, HELLO, True, True, True, True)
    assert extension().decode(frame) == Frame(TEXT, b"Hello", True, False, True, True)


def test_decode_holds_the_limit_in_each_fragment() -> None:
    deflate = extension()
    deflate.decode(Frame(TEXT, HELLO[:5], fin=False, rsv1=True), max_size=4)
    with pytest.raises(PayloadTooBig) as raised:
        deflate.decode(Frame(CONT, HELLO[5:]), max_size=0)
    assert (raised.value.size, raised.value.max_size) == (None, 0)


def test_decode_refuses_what_is_no_deflate() -> None:
    with pytest.raises(ProtocolError) as raised:
        extension().decode(Frame(TEXT, b"Hello", rsv1=True))
    assert raised.value.close_code == 1002


# Frames that go.


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_encode_a_message(opcode: Opcode) -> None:
    frame = Frame(opcode, b"Hello")
    assert extension().encode(frame) == Frame(opcode, HELLO, rsv1=True)
    assert frame == Frame(opcode, b"Hello")


def test_encode_fragments() -> None:
    deflate = PerMessageDeflate(False, True, 15, 15)
    for _ in range(2):
        first = deflate.encode(Frame(TEXT, b"He", fin=False))
        last = deflate.encode(Frame(CONT, b"llo"))
        # RFC 7692, 7.2.3.5
        assert first == Frame(TEXT, bytes.fromhex("f2 48 05 00 00 00 ff ff"), False, True)
        assert last == Frame(CONT, bytes.fromhex("ca c9 c9 07 00"))


def test_encode_empty_messages_and_fragments() -> None:
    deflate = extension()
    assert deflate.encode(Frame(TEXT, b"")) == Frame(TEXT, b"\x00", rsv1=True)
    assert deflate.encode(Frame(TEXT, b"", fin=False)) == Frame(TEXT, b"", False, True)
    assert deflate.encode(Frame(CONT, b"")) == Frame(CONT, b"\x00")


def test_encode_leaves_control_frames_between_fragments() -> None:
    deflate = extension()
    deflate.encode(Frame(TEXT, b"He", fin=False))
    for opcode in CONTROL:
        frame = Frame(opcode, b"Hello")
        assert deflate.encode(frame) is frame
    assert deflate.encode(Frame(CONT, b"llo")).data != b"llo"


def test_encode_leaves_the_bits_of_others() -> None:
    frame = Frame(TEXT, b"Hello", rsv2=True, rsv3=True)
    assert extension().encode(frame) == Frame(TEXT, HELLO, True, True, True, True)


def test_threshold() -> None:
    deflate = extension(threshold=5)
    small = Frame(TEXT, b"Hell")
    assert deflate.encode(small) is small
    assert deflate.encode(Frame(TEXT, b"Hello")).rsv1
    # How long a fragmented message will be is not known when it begins.
    assert deflate.encode(Frame(TEXT, b"He", fin=False)).rsv1
    assert deflate.encode(Frame(CONT, b"")).data == b"\x00"
    assert deflate.encode(small) is small


def test_messages_that_were_skipped_need_no_word_to_the_peer() -> None:
    sender, receiver = extension(threshold=3), extension()
    for data in (b"Hello", b"He", b"", b"Hello", b"Hello"):
        assert receiver.decode(sender.encode(Frame(TEXT, data))) == Frame(TEXT, data)


# Both ways with websockets.


def theirs(frame: Frame) -> Any:
    return websockets.frames.Frame(
        websockets.frames.Opcode(frame.opcode), frame.data, frame.fin, frame.rsv1
    )


def as_ours(frame: Any) -> Frame:
    return Frame(Opcode(frame.opcode), bytes(frame.data), frame.fin, frame.rsv1)


messages = st.lists(
    st.tuples(
        st.sampled_from([TEXT, BINARY]),
        st.lists(
            st.sampled_from([b"", b"wire", b"bird" * 100, bytes(range(256))]) | st.binary(),
            min_size=1,
            max_size=4,
        ),
    ),
    max_size=6,
)


@given(
    messages,
    st.booleans(),
    st.integers(9, 15),
    st.sampled_from([0, 20]),
    st.sampled_from([None, {"memLevel": 5}, {"level": 1}]),
)
def test_exchange_with_websockets(
    messages: list[tuple[Opcode, list[bytes]]],
    no_context: bool,
    bits: int,
    threshold: int,
    settings: dict[str, int] | None,
) -> None:
    arguments = no_context, no_context, bits, bits, settings
    here = PerMessageDeflate(*arguments, threshold=threshold)
    there = peer.PerMessageDeflate(*arguments)
    for opcode, fragments in messages:
        for number, data in enumerate(fragments):
            frame = Frame(CONT if number else opcode, data, fin=number == len(fragments) - 1)
            room = len(data)
            received = there.decode(theirs(here.encode(frame)), max_size=room)
            assert as_ours(received) == frame
            assert here.decode(as_ours(there.encode(theirs(frame))), max_size=room) == frame


@given(st.lists(st.binary(max_size=600), max_size=4))
def test_windows_of_8_bits_are_read_by_websockets(messages: list[bytes]) -> None:
    here = PerMessageDeflate(False, False, 15, 8)
    there = peer.PerMessageDeflate(False, False, 8, 15)
    for data in messages:
        frame = Frame(BINARY, data * 3)
        assert as_ours(there.decode(theirs(here.encode(frame)))) == frame


def test_what_was_answered_can_be_changed_by_whoever_asked() -> None:
    factory = ServerPerMessageDeflateFactory(server_max_window_bits=12)
    for _ in range(2):
        answer, _ = factory.process_request_params([("client_max_window_bits", None)], [])
        assert answer == [("server_max_window_bits", "12")]
        answer.clear()


def test_zlib_is_asked_for_nothing_until_it_is_needed() -> None:
    extension = PerMessageDeflate(False, False, 15, 15, {"memLevel": 5})
    assert extension.compress_settings == {"memLevel": 5}
    assert PerMessageDeflate(False, False, 15, 15).compress_settings == {}
    assert not {"_inflater", "_deflater"} & set(vars(extension))
    assert extension._inflater is extension._inflater
    assert extension._deflater is extension._deflater
