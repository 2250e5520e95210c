"""Negotiation of permessage-zstd, and messages that many get."""

from __future__ import annotations

import itertools
import random

import pytest
from tests.extensions.codecs import ZSTD_PACKAGES, with_zstd_of

from wirebird.core.extensions.deflate_parameters import Parameters
from wirebird.exceptions import InvalidParameterValue, NegotiationError
from wirebird.extensions.permessage_zstd import (
    WINDOW_BITS,
    ClientPerMessageZstdFactory,
    PerMessageZstd,
    ServerPerMessageZstdFactory,
    enable_client_permessage_zstd,
    enable_server_permessage_zstd,
)

FLAGS = [False, True]
BITS = [10, 12, 15, 17, 24]


def settings_of(extension: PerMessageZstd) -> tuple[bool, bool, int, int]:
    return (
        extension.remote_no_context_takeover,
        extension.local_no_context_takeover,
        extension.remote_max_window_bits,
        extension.local_max_window_bits,
    )


@pytest.mark.parametrize("flags", [*itertools.product(FLAGS, repeat=4)])
def test_both_ends_agree_on_what_both_can(flags: tuple[bool, ...]) -> None:
    for bits in itertools.product(BITS, repeat=4):
        client = ClientPerMessageZstdFactory(flags[0], flags[1], bits[0], bits[1])
        server = ServerPerMessageZstdFactory(flags[2], flags[3], bits[2], bits[3])
        answer, theirs = server.process_request_params(client.get_request_params(), [])
        ours = client.process_response_params(answer, [])
        agreed = settings_of(theirs)
        assert settings_of(ours) == (agreed[1], agreed[0], agreed[3], agreed[2])
        assert agreed == (
            flags[1] or flags[3],
            flags[0] or flags[2],
            min(bits[1], bits[3]),
            min(bits[0], bits[2]),
        )


def test_a_peer_that_says_nothing_has_windows_of_17_bits() -> None:
    answer, extension = ServerPerMessageZstdFactory().process_request_params([], [])
    assert answer == [("server_max_window_bits", "15")]
    assert settings_of(extension) == (False, False, 17, 15)
    answer, extension = ServerPerMessageZstdFactory().process_request_params(
        [("client_max_window_bits", None)], []
    )
    assert extension.remote_max_window_bits == 15


@pytest.mark.parametrize(
    "answer",
    [
        Parameters(),
        Parameters(server_max_window_bits=18),
        Parameters(server_max_window_bits=17, client_max_window_bits=16),
    ],
)
def test_answers_that_are_none(answer: Parameters) -> None:
    with pytest.raises(NegotiationError):
        ClientPerMessageZstdFactory().process_response_params(answer.serialize(), [])
    with pytest.raises(NegotiationError):
        ClientPerMessageZstdFactory(True).process_response_params(
            [("server_max_window_bits", "15")], []
        )


@pytest.mark.parametrize("bits", ["8", "9", "25", "30", "010", ""])
def test_windows_that_are_none(bits: str) -> None:
    with pytest.raises(InvalidParameterValue):
        ServerPerMessageZstdFactory().process_request_params([("server_max_window_bits", bits)], [])


def test_arguments() -> None:
    for factory in (ClientPerMessageZstdFactory, ServerPerMessageZstdFactory):
        for bits in (9, 25):
            with pytest.raises(ValueError, match="server_max_window_bits must be between 10 and"):
                factory(server_max_window_bits=bits)
            with pytest.raises(ValueError, match="client_max_window_bits must be between 10 and"):
                factory(client_max_window_bits=bits)
        for level in (0, 20):
            with pytest.raises(ValueError, match="level must be between 1 and 19"):
                factory(level=level)
        with pytest.raises(ValueError, match="threshold"):
            factory(threshold=-1)
    for wrong in ((9, 15), (15, 25)):
        with pytest.raises(ValueError, match="max_window_bits"):
            PerMessageZstd(False, False, *wrong)
    assert (WINDOW_BITS[0], WINDOW_BITS[-1]) == (10, 24)


def test_it_is_accepted_once() -> None:
    before = [PerMessageZstd(False, False, 15, 15)]
    with pytest.raises(NegotiationError, match="duplicate extension: permessage-zstd"):
        ServerPerMessageZstdFactory().process_request_params([], before)


def test_enabling() -> None:
    own = ClientPerMessageZstdFactory(level=1)
    assert enable_client_permessage_zstd([own]) == [own]
    (made,) = enable_client_permessage_zstd(None)
    assert isinstance(made, ClientPerMessageZstdFactory)
    server = ServerPerMessageZstdFactory(level=1)
    assert enable_server_permessage_zstd([server]) == [server]
    (answering,) = enable_server_permessage_zstd([])
    assert isinstance(answering, ServerPerMessageZstdFactory)


@pytest.mark.parametrize("package", ZSTD_PACKAGES)
@pytest.mark.parametrize("seed", range(3))
def test_messages_that_many_get_between_their_own(
    package: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was compressed once for all is not in the window of what each compresses next."""
    with_zstd_of(package, monkeypatch)
    chance = random.Random(seed)
    senders = [
        PerMessageZstd(no_context, no_context, 15, bits, level=1)
        for no_context, bits in itertools.product(FLAGS, [10, 15])
    ] * 2
    senders = [PerMessageZstd(*settings_of(sender), level=1) for sender in senders]
    receivers = [PerMessageZstd(s[1], s[0], s[3], s[2]) for s in map(settings_of, senders)]
    for _ in range(60):
        message = bytes(chance.choices(b"abcdef", k=chance.choice([0, 1, 30, 3000])))
        to = chance.choice([None, None, *range(len(senders))])
        if to is None:
            made: dict[object, bytes] = {}
            for sender, receiver in zip(senders, receivers, strict=True):
                key = sender.sharing_key()
                if key not in made:
                    made[key] = sender.deflate_shared(message, key)
                sender.was_shared()
                assert receiver._inflater.inflate(made[key], True, 3000) == message
            assert len(made) <= 4
        else:
            payload = senders[to]._deflater.deflate(message, True)
            assert receivers[to]._inflater.inflate(payload, True, 3000) == message
