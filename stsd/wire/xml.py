"""Answers of the Query API: result members and errors as XML, or as JSON for who accepts only that (spec 1.2, 1.3).

str, int   text                             tuple of pairs   nested elements, in the order given
Timestamp  `2026-11-23T13:00:00Z` / number  list             one <member> each
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias, Union

import orjson

from stsd.errors import STS_NAMESPACE, StsError
from stsd.wire.messages import Headers


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
_MARK_SPECIAL = bytes(0 if _SPECIAL.match(chr(octet)) else 1 for octet in range(256))


def render(action: str, members: Members, request_id: str, namespace: str = STS_NAMESPACE) -> bytes:
    """A successful answer, byte for byte in the layout of spec 1.2."""
    result = [_element(name, value, "    ") for name, value in members]
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


def escape(text: str) -> str:
    """Text between tags (spec 1.2); what XML cannot express becomes U+FFFD, so that every answer stays readable."""
    # Nearly all text needs nothing. Of the ways to find out, a translation of the octets is the fastest by far.
    if text.isascii() and 0 not in text.encode().translate(_MARK_SPECIAL):
        return text
    return _SPECIAL.sub(_reference, text)


def _reference(match: re.Match[str]) -> str:
    character = match[0]
    if _REPLACED.match(character):
        return "\ufffd"
    return _ENTITIES.get(character) or f"&#x{ord(character):X};"


def _element(name: str, value: Value, indent: str) -> str:
    if isinstance(value, str):
        return f"{indent}<{name}>{escape(value)}</{name}>\n"
    if isinstance(value, int):
        text = _iso(value) if isinstance(value, Timestamp) else value
        return f"{indent}<{name}>{text}</{name}>\n"
    if not value:
        return f"{indent}<{name}/>\n"
    deeper = indent + "  "
    if isinstance(value, list):
        content = [_element("member", item, deeper) for item in value]
    else:
        content = [_element(inner, item, deeper) for inner, item in value]
    return f"{indent}<{name}>\n{''.join(content)}{indent}</{name}>\n"


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
