"""Answers of the Query API: result members and errors as XML, or as JSON for who accepts only that (spec 1.2, 1.3).

str, int   text                             tuple of pairs   nested elements, in the order given
Timestamp  `2026-11-23T13:00:00Z` / number  list             one <member> each
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias, Union

import orjson

from stsd.errors import STS_NAMESPACE, StsError
from stsd.wire.messages import Headers, Response


class Timestamp(int):
    """Unix seconds: ISO 8601 text in XML, a number in JSON (spec 1.2)."""

    __slots__ = ()


Value: TypeAlias = Union[str, int, Timestamp, "Members", list["Value"]]
Members: TypeAlias = tuple[tuple[str, Value], ...]

# XML 1.0 section 2.2 cannot express these characters at all.
_INEXPRESSIBLE = "\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
_SPECIAL = re.compile(f'[&<>"\t\n\r\x7f-\x9f\u2028{_INEXPRESSIBLE}]')
_REPLACED = re.compile(f"[{_INEXPRESSIBLE}]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_PLAIN = bytes(octet for octet in range(128) if not _SPECIAL.match(chr(octet)))


def render(action: str, members: Members, request_id: str, namespace: str = STS_NAMESPACE) -> bytes:
    """A successful answer, byte for byte in the layout of spec 1.2."""
    result: list[str] = []
    _add(members, "    ", result)
    return (
        f'<{action}Response xmlns="{namespace}">\n  <{action}Result>\n{"".join(result)}  </{action}Result>\n'
        f"  <ResponseMetadata>\n    <RequestId>{request_id}</RequestId>\n  </ResponseMetadata>\n</{action}Response>\n"
    ).encode()


def render_error(error: StsError, request_id: str) -> bytes:
    """A refusal in the layout of spec 1.3; an error without a message has no Message element."""
    message = "" if error.message is None else f"    <Message>{escape(error.message)}</Message>\n"
    return (
        f'<ErrorResponse xmlns="{error.namespace}">\n  <Error>\n    <Type>{error.fault}</Type>\n'
        f"    <Code>{error.code}</Code>\n{message}  </Error>\n  <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n"
    ).encode()


def wants_json(headers: Headers) -> bool:
    """Whether the client accepts `application/json` by name; `*/*` means XML (spec 1.2)."""
    accepted = headers.get("Accept")
    if accepted is None or "json" not in accepted.lower():
        return False
    return any(media.partition(";")[0].strip().lower() == "application/json" for media in accepted.split(","))


def render_json(action: str, members: Members, request_id: str) -> bytes:
    """A successful answer as JSON, names in alphabetical order as AWS sends them (spec 1.2)."""
    answer = {f"{action}Result": _plain(members), "ResponseMetadata": {"RequestId": request_id}}
    return orjson.dumps({f"{action}Response": answer}, option=orjson.OPT_SORT_KEYS)


def render_error_json(error: StsError, request_id: str) -> bytes:
    """A refusal as JSON (spec 1.2)."""
    content = {"Code": error.code, "Type": error.fault}
    if error.message is not None:
        content["Message"] = _scalar(error.message)
    return orjson.dumps({"Error": content, "RequestId": request_id}, option=orjson.OPT_SORT_KEYS)


def error(failure: StsError, request_id: str, operation: str, *, as_json: bool) -> Response:
    """The refusal of a call of the Query API."""
    render, content_type = (render_error_json, "application/json") if as_json else (render_error, "text/xml")
    return Response(failure.status, render(failure, request_id), content_type, (), operation, failure.code)


def escape(text: str) -> str:
    """Text between tags (spec 1.2); what XML cannot express becomes U+FFFD, so that every answer stays readable."""
    # Nearly all text needs nothing. Of the ways to find out, a translation of the octets is the fastest by far.
    if text.isascii() and not text.encode().translate(None, _PLAIN):
        return text
    return _SPECIAL.sub(_reference, text)


def _reference(match: re.Match[str]) -> str:
    character = match[0]
    if _REPLACED.match(character):
        return "\ufffd"
    return _ENTITIES.get(character) or f"&#x{ord(character):X};"


def _add(members: Iterable[tuple[str, Value]], indent: str, lines: list[str]) -> None:
    """The elements, one to a line, added to `lines`."""
    for name, value in members:
        if isinstance(value, str):
            lines.append(f"{indent}<{name}>{escape(value)}</{name}>\n")
        elif isinstance(value, int):
            lines.append(f"{indent}<{name}>{_iso(value) if isinstance(value, Timestamp) else value}</{name}>\n")
        elif not value:
            lines.append(f"{indent}<{name}/>\n")
        else:
            lines.append(f"{indent}<{name}>\n")
            _add([("member", item) for item in value] if isinstance(value, list) else value, indent + "  ", lines)
            lines.append(f"{indent}</{name}>\n")


@lru_cache(maxsize=1024)
def _iso(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _plain(value: Value) -> object:
    if isinstance(value, tuple):
        return {name: _plain(inner) for name, inner in value}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _scalar(value) if isinstance(value, str) else value


def _scalar(text: str) -> str:
    """Text without lone surrogates, which no JSON in UTF-8 can carry."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
