"""The rule tables: opcodes, close codes and limits, each in one place.

Whatever the RFCs fix as a number, or Wirebird chooses as a default limit, stands here once;
code refers to it by name. RFC 6455, sections 5.2, 7.4 and 11.8.
"""

from __future__ import annotations

import enum

__all__ = [
    "CLOSE_CODE_EXPLANATIONS",
    "CTRL_OPCODES",
    "DATA_OPCODES",
    "EXTERNAL_CLOSE_CODES",
    "OK_CLOSE_CODES",
    "CloseCode",
    "Opcode",
    "Role",
    "State",
    "is_wire_close_code",
]


class Role(enum.IntEnum):
    """Which end of the connection an endpoint is. RFC 6455, 1.2 and 5.1."""

    SERVER, CLIENT = 0, 1


class State(enum.IntEnum):
    """The public state of a connection, derived from its halves. RFC 6455, 4.1, 7.1.3, 7.1.4."""

    CONNECTING, OPEN, CLOSING, CLOSED = 0, 1, 2, 3


class Opcode(enum.IntEnum):
    """What a frame is. RFC 6455, 5.2; 3-7 and 11-15 are reserved."""

    CONT, TEXT, BINARY = 0x0, 0x1, 0x2
    CLOSE, PING, PONG = 0x8, 0x9, 0xA


DATA_OPCODES = Opcode.CONT, Opcode.TEXT, Opcode.BINARY
CTRL_OPCODES = Opcode.CLOSE, Opcode.PING, Opcode.PONG


class CloseCode(enum.IntEnum):
    """Why a connection is closed. RFC 6455, 7.4.1, and the IANA registry for 1012-1014."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RCVD = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


CLOSE_CODE_EXPLANATIONS: dict[int, str] = {
    CloseCode.NORMAL_CLOSURE: "OK",
    CloseCode.GOING_AWAY: "going away",
    CloseCode.PROTOCOL_ERROR: "protocol error",
    CloseCode.UNSUPPORTED_DATA: "unsupported data",
    CloseCode.NO_STATUS_RCVD: "no status received [internal]",
    CloseCode.ABNORMAL_CLOSURE: "abnormal closure [internal]",
    CloseCode.INVALID_DATA: "invalid frame payload data",
    CloseCode.POLICY_VIOLATION: "policy violation",
    CloseCode.MESSAGE_TOO_BIG: "message too big",
    CloseCode.MANDATORY_EXTENSION: "mandatory extension",
    CloseCode.INTERNAL_ERROR: "internal error",
    CloseCode.SERVICE_RESTART: "service restart",
    CloseCode.TRY_AGAIN_LATER: "try again later",
    CloseCode.BAD_GATEWAY: "bad gateway",
    CloseCode.TLS_HANDSHAKE: "TLS handshake failure [internal]",
}

# 1005, 1006 and 1015 are for the API alone and never sent. RFC 6455, 7.4.1.
EXTERNAL_CLOSE_CODES: set[int] = {*CloseCode} - {
    CloseCode.NO_STATUS_RCVD,
    CloseCode.ABNORMAL_CLOSURE,
    CloseCode.TLS_HANDSHAKE,
}

# Codes after which the end of a connection is no error.
OK_CLOSE_CODES: set[int] = {
    CloseCode.NORMAL_CLOSURE,
    CloseCode.GOING_AWAY,
    CloseCode.NO_STATUS_RCVD,
}


def is_wire_close_code(code: int) -> bool:
    """Whether a Close frame may carry ``code``. RFC 6455, 7.4.2: 3000-4999 are free for use."""
    return code in EXTERNAL_CLOSE_CODES or 3000 <= code < 5000


# RFC 6455, 5.5: a control frame holds at most 125 bytes, so a reason at most 123.
MAX_CONTROL_PAYLOAD_BYTES = 125
MAX_REASON_BYTES = MAX_CONTROL_PAYLOAD_BYTES - 2

# Limits that Wirebird chooses; each can be changed per connection unless said otherwise.
MAX_MESSAGE_BYTES = 2**20
MAX_FRAGMENTS = 131_072
MAX_DEFLATE_STREAMS = 1024  # fixed: in a message; two bytes ask for one, which costs much more
MAX_QUEUE_FRAMES = 16
MAX_UNREAD_BYTES = 256 * 1024  # fixed: above it, reading pauses
MAX_DISCARDED_BYTES = 2**20  # fixed: what a failed connection still reads before it is cut
PING_INTERVAL_S = 20.0
PING_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 40.0
VIOLATION_GRACE_S = 10.0  # fixed: how long unread messages may delay the failure behind them

# Limits of an HTTP/1.1 head (RFC 9112, 2.3 and 3): what exceeds them is answered 414 or 431.
MAX_REQUEST_LINE_BYTES = 8192
MAX_HEADER_LINE_BYTES = 8192
MAX_HEADERS = 128
MAX_HEAD_BYTES = 64 * 1024
MAX_INTERIM_RESPONSES = 8  # 1xx before the response proper
MAX_BODY_BYTES = 2**20  # of a response that refuses the handshake, as the client reads it

# Of what reverse proxies tell a server. The PROXY protocol's version 1 has 107 bytes at most.
MAX_PROXY_HOPS = 64
MAX_PROXY_HEADER_BYTES = 4096
