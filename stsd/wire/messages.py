"""Requests and responses exactly as on the wire: raw path, raw query, header pairs, bytes.

Signatures are over what was sent, so nothing here is decoded, normalised or re-ordered.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, overload

from stsd.directory import OpenIDConnectProvider

Endpoint = Literal["regional", "global"]


class Headers(Protocol):
    """Header fields by case-insensitive name, in arrival order; multidict's classes fit as they are."""

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def getall(self, name: str, default: list[str]) -> Sequence[str]: ...
    def __contains__(self, name: object) -> bool: ...


@dataclass(slots=True)
class Request:
    """One request. Treated as immutable; not frozen, because freezing costs a microsecond a request.

    `path` and `query` are the raw request target, split at the first `?`. `source_ip` and `secure` describe the
    client as the first of our processes saw it; `endpoint` is `global` only when the router's mark was genuine. One
    that has `waited_for_keys` of an identity provider is judged by what is here. `vouched_by` is the provider
    whose assertion or token in it has been verified, for the log.
    """

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    id: str
    source_ip: str = "127.0.0.1"
    secure: bool = False
    endpoint: Endpoint = "regional"
    waited_for_keys: bool = False
    vouched_by: str = ""


@dataclass(slots=True)
class Response:
    """One answer. `headers` come on top of those that every answer carries (contract 4). One that has `parts` goes on:
    they follow `body` as they come, until they end.

    `operation` and `code` name the metric series and the log event; `event` holds more members of that event. One with
    `keys_wanted` is no answer yet: the keys of that provider are to be fetched, and the request asked again.
    """

    status: int
    body: bytes
    content_type: str = "text/xml"
    headers: tuple[tuple[str, str], ...] = ()
    operation: str = ""
    code: str = ""
    event: dict[str, Any] = field(default_factory=dict)
    parts: AsyncGenerator[bytes, None] | None = None
    keys_wanted: OpenIDConnectProvider | None = None
