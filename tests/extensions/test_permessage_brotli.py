"""Negotiation of permessage-brotli."""

from __future__ import annotations

import pytest

from wirebird.exceptions import (
    DuplicateParameter,
    InvalidParameterName,
    InvalidParameterValue,
    NegotiationError,
)
from wirebird.extensions.permessage_brotli import (
    ClientPerMessageBrotliFactory,
    PerMessageBrotli,
    ServerPerMessageBrotliFactory,
    enable_client_permessage_brotli,
    enable_server_permessage_brotli,
)

SERVER, CLIENT = "server_no_context_takeover", "client_no_context_takeover"
BOTH = [(SERVER, None), (CLIENT, None)]


def test_both_always_say_that_no_context_is_kept() -> None:
    client, server = ClientPerMessageBrotliFactory(), ServerPerMessageBrotliFactory()
    assert client.get_request_params() == BOTH
    for offer in ([], BOTH, BOTH[:1], BOTH[1:], BOTH[::-1]):
        answer, extension = server.process_request_params(offer, [])
        assert answer == BOTH
        assert isinstance(extension, PerMessageBrotli)
        assert isinstance(client.process_response_params(answer, []), PerMessageBrotli)


def test_answers_that_are_none() -> None:
    client = ClientPerMessageBrotliFactory()
    for answer in ([], BOTH[1:]):
        with pytest.raises(NegotiationError, match="expected server_no_context_takeover"):
            client.process_response_params(answer, [])


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ([("server_max_window_bits", "15")], InvalidParameterName),
        ([("client_max_window_bits", None)], InvalidParameterName),
        ([("quality", "5")], InvalidParameterName),
        ([(SERVER, "1")], InvalidParameterValue),
        ([(SERVER, None), (SERVER, None)], DuplicateParameter),
    ],
)
def test_parameters_that_are_wrong(
    params: list[tuple[str, str | None]], error: type[NegotiationError]
) -> None:
    with pytest.raises(error):
        ServerPerMessageBrotliFactory().process_request_params(params, [])
    with pytest.raises(error):
        ClientPerMessageBrotliFactory().process_response_params(params, [])


def test_it_is_accepted_once() -> None:
    before = [PerMessageBrotli()]
    with pytest.raises(NegotiationError, match="duplicate extension: permessage-brotli"):
        ServerPerMessageBrotliFactory().process_request_params([], before)
    with pytest.raises(NegotiationError, match="duplicate extension: permessage-brotli"):
        ClientPerMessageBrotliFactory().process_response_params(BOTH, before)


@pytest.mark.parametrize("factory", [ClientPerMessageBrotliFactory, ServerPerMessageBrotliFactory])
def test_arguments(
    factory: type[ClientPerMessageBrotliFactory] | type[ServerPerMessageBrotliFactory],
) -> None:
    for quality in (-1, 12):
        with pytest.raises(ValueError, match="quality must be between 0 and 11"):
            factory(quality=quality)
    for window_bits in (9, 25):
        with pytest.raises(ValueError, match="window_bits must be between 10 and 24"):
            factory(window_bits=window_bits)
    with pytest.raises(ValueError, match="threshold"):
        factory(threshold=-1)
    with pytest.raises(ValueError, match="threshold"):
        PerMessageBrotli(threshold=-1)


def test_settings_reach_the_compressor() -> None:
    data = b"".join(b'{"id": %d, "name": "a name"}' % n for n in range(500))
    sizes = []
    for quality in (0, 9):
        factory = ServerPerMessageBrotliFactory(quality=quality, threshold=7)
        _, extension = factory.process_request_params([], [])
        assert extension.threshold == 7
        assert f"'quality': {quality}" in repr(extension)
        sizes.append(len(extension._deflater.deflate(data, True)))
    assert sizes[1] < sizes[0]


def test_what_is_shared_is_what_each_would_send() -> None:
    one, other, different = (
        ServerPerMessageBrotliFactory(quality=quality).process_request_params([], [])[1]
        for quality in (5, 5, 1)
    )
    key = one.sharing_key()
    assert key == other.sharing_key() != different.sharing_key()
    assert one.deflate_shared(b"hello", key) == other._deflater.deflate(b"hello", True)


def test_enabling() -> None:
    own = ClientPerMessageBrotliFactory(quality=1)
    assert enable_client_permessage_brotli([own]) == [own]
    (made,) = enable_client_permessage_brotli(None)
    assert isinstance(made, ClientPerMessageBrotliFactory)
    server = ServerPerMessageBrotliFactory(quality=1)
    assert enable_server_permessage_brotli([server]) == [server]
    (answering,) = enable_server_permessage_brotli([])
    assert isinstance(answering, ServerPerMessageBrotliFactory)
