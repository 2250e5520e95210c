"""Small extensions, and their factories for both roles, to negotiate with."""

from __future__ import annotations

from collections.abc import Sequence

from wirebird.core.extensions.base import (
    ClientExtensionFactory,
    Extension,
    ServerExtensionFactory,
)
from wirebird.core.types import ExtensionName, ExtensionParameter
from wirebird.exceptions import NegotiationError


class Small(Extension):
    """Uses the reserved bits it is told, or says nothing about them."""

    def __init__(self, name: str, rsv: int | None = None) -> None:
        self.name = ExtensionName(name)
        if rsv is not None:
            self.first_frame_rsv = rsv


class SmallServer(ServerExtensionFactory):
    """Accepts offers with the parameters it is told, and answers with the same."""

    def __init__(self, name: str, *params: ExtensionParameter, rsv: int | None = None) -> None:
        self.name = ExtensionName(name)
        self.params = list(params)
        self.rsv = rsv
        self.accepted_before: list[list[Extension]] = []

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], Extension]:
        self.accepted_before.append(list(accepted_extensions))
        if list(params) != self.params:
            raise NegotiationError("other parameters")
        return self.params, Small(self.name, self.rsv)


class SmallClient(ClientExtensionFactory):
    """Offers the parameters it is told, and accepts the same."""

    def __init__(self, name: str, *params: ExtensionParameter, rsv: int | None = None) -> None:
        self.name = ExtensionName(name)
        self.params = list(params)
        self.rsv = rsv
        self.accepted_before: list[list[Extension]] = []

    def get_request_params(self) -> Sequence[ExtensionParameter]:
        return self.params

    def process_response_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> Extension:
        self.accepted_before.append(list(accepted_extensions))
        if list(params) != self.params:
            raise NegotiationError("other parameters")
        return Small(self.name, self.rsv)
