"""The grammar of header fields, where users of ``websockets`` look for it."""

from __future__ import annotations

from .core.headers import (
    build_authorization_basic,
    build_extension,
    build_host,
    build_subprotocol,
    build_www_authenticate_basic,
    parse_authorization_basic,
    parse_connection,
    parse_extension,
    parse_subprotocol,
    parse_upgrade,
    validate_subprotocols,
)

__all__ = [
    "build_authorization_basic",
    "build_extension",
    "build_host",
    "build_subprotocol",
    "build_www_authenticate_basic",
    "parse_authorization_basic",
    "parse_connection",
    "parse_extension",
    "parse_subprotocol",
    "parse_upgrade",
    "validate_subprotocols",
]

# Older names of the same.
build_extension_list = build_extension
build_subprotocol_list = build_subprotocol
parse_extension_list = parse_extension
parse_subprotocol_list = parse_subprotocol
