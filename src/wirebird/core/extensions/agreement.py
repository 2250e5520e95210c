"""How two endpoints come to agree on contexts and windows. RFC 7692, 7.1.1 and 7.1.2.

Each of four parameters bounds what one endpoint may do when it compresses:

    server_no_context_takeover    the server forgets its window after each message
    client_no_context_takeover    the client does
    server_max_window_bits=N      how far back the server refers, as a power of two
    client_max_window_bits[=N]    how far back the client refers; without a value, in an offer:
                                  the client can be told

The server answers an offer with parameters that ask at least as much of both; the client refuses
an answer that asks less of the server than it offered, or more of itself than it said it can do.

permessage-deflate has these rules from its RFC; permessage-zstd has the same, for larger windows.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from ...exceptions import NegotiationError
from .deflate_parameters import Parameters

__all__ = ["Agreement", "accepted", "agreement", "answer_to"]


class Agreement(NamedTuple):
    """What holds for both endpoints."""

    server_no_context_takeover: bool
    client_no_context_takeover: bool
    server_window_bits: int
    client_window_bits: int


def agreement(answer: Parameters, default_bits: int) -> Agreement:
    """Return what a server's answer says.

    Args:
        answer: what it sent.
        default_bits: the window of who is not spoken of.
    """
    return Agreement(
        answer.server_no_context_takeover,
        answer.client_no_context_takeover,
        answer.server_max_window_bits or default_bits,
        answer.client_max_window_bits or default_bits,
    )


def answer_to(
    offer: Parameters, own: Parameters, *, require_client_max_window_bits: bool = False
) -> Parameters:
    """Return what a server answers a client.

    Args:
        offer: what the client asks for and can do.
        own: what the server does, and demands of the client where it can be told.
        require_client_max_window_bits: decline offers of clients that cannot be told.

    Raises:
        NegotiationError: the client cannot be told.
    """
    offered: int | Literal[True] | None = offer.client_max_window_bits
    if offered is None:  # RFC 7692, 7.1.2.2: then there is none in the answer
        if require_client_max_window_bits:
            raise NegotiationError("required client_max_window_bits: the offer is without it")
        client_bits = None
    else:
        client_bits = _least(None if offered is True else offered, own.client_max_window_bits)
    return Parameters(
        offer.server_no_context_takeover or own.server_no_context_takeover,
        offer.client_no_context_takeover or own.client_no_context_takeover,
        _least(offer.server_max_window_bits, own.server_max_window_bits),
        client_bits,
    )


def accepted(answer: Parameters, own: Parameters, default_bits: int) -> Agreement:
    """Return what a client that offered ``own`` makes of the answer.

    Args:
        answer: the server's.
        own: the offer.
        default_bits: the window of who is not spoken of.

    Raises:
        NegotiationError: it is no answer to this offer.
    """
    if own.server_no_context_takeover and not answer.server_no_context_takeover:
        raise NegotiationError("expected server_no_context_takeover")
    server_bits = answer.server_max_window_bits
    if own.server_max_window_bits is not None:  # RFC 7692, 7.1.2.1
        if server_bits is None:
            raise NegotiationError(
                f"expected server_max_window_bits of at most {own.server_max_window_bits}"
            )
        _check_at_most("server_max_window_bits", server_bits, own.server_max_window_bits)
    client_bits = answer.client_max_window_bits
    if own.client_max_window_bits is None:  # RFC 7692, 7.1.2.2
        if client_bits is not None:
            raise NegotiationError("unexpected client_max_window_bits: it was not offered")
    elif own.client_max_window_bits is not True:
        client_bits = client_bits or own.client_max_window_bits
        _check_at_most("client_max_window_bits", client_bits, own.client_max_window_bits)
    return Agreement(
        answer.server_no_context_takeover,
        answer.client_no_context_takeover or own.client_no_context_takeover,
        server_bits or default_bits,
        client_bits or default_bits,
    )


def _check_at_most(name: str, answered: int, offered: int) -> None:
    if answered > offered:
        raise NegotiationError(f"unsupported {name}: {answered}, the offer was {offered}")


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
