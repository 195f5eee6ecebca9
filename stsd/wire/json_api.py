"""The JSON side of the wire (contract 4): strict objects in, answers and errors out.

Unknown members are refused by name and never ignored, so that a misspelt safeguard cannot look like an accepted one.
So is a member that is given twice: readers do not agree on which one holds (RFC 8259 section 4).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import orjson

from stsd.errors import InvalidParameterValue, MalformedInput, StsError, ValidationError
from stsd.wire.messages import Request, Response

CONTENT_TYPE = "application/json"


def parse(body: bytes, members: Collection[str], later: Collection[str] = ()) -> dict[str, Any]:
    """The JSON object in `body`, with no member outside `members`; those in `later` are not supported yet.

    Raises MalformedInput, InvalidParameterValue or ValidationError.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedInput("The body is not JSON", reason="not_json") from None
    if not isinstance(content, dict):
        raise MalformedInput("The body is not a JSON object", reason="not_an_object")
    for name in content:
        if name in later:
            raise InvalidParameterValue(f"{name} is not supported yet", reason="later_member")
        if name not in members:
            allowed = ", ".join(members)
            raise ValidationError(f"Unknown member '{name[:64]}'; allowed: {allowed}", reason="unknown_member")
    # Every member has a colon, so a body without more of them names each once; tokens and their lists hold none.
    if body.count(b":") > len(content):
        _check_members_once(body)
    return content


def _check_members_once(body: bytes) -> None:
    try:
        json.loads(body, object_pairs_hook=_once, parse_int=float)
    except RecursionError:
        raise MalformedInput("The body is nested too deeply", reason="nesting") from None


def _once(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ValidationError(f"Member '{name[:64]}' is given twice", reason="repeated_member")
        seen.add(name)


def answer(content: Mapping[str, Any], operation: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A 200 with a JSON body."""
    return Response(200, orjson.dumps(content), CONTENT_TYPE, headers, operation)


def error(failure: StsError, request_id: str, operation: str) -> Response:
    """`{"error": {"code", "message", "request_id"}}` with the error's status (contract 4)."""
    headers = (("Retry-After", "1"),) if failure.status == 503 else ()
    return _refusal(failure.status, failure.code, failure.message or failure.code, request_id, operation, headers)


def not_served(request: Request, served: Collection[tuple[str, str]]) -> Response | None:
    """The refusal of a method that a path of ours does not take, or of a path below /v1/; None for any other path.
    `served` are the methods and paths that there are."""
    allowed = ", ".join(method for method, path in served if path == request.path)
    if allowed:
        message = f"{request.path} takes {allowed}"
        return _refusal(405, "MethodNotAllowed", message, request.id, "unknown", (("Allow", allowed),))
    if request.path.startswith("/v1/"):
        known = ", ".join(dict.fromkeys(path for _, path in served if path.startswith("/v1/")))
        return _refusal(404, "NotFound", f"Served here: {known}", request.id, "unknown")
    return None


def _refusal(
    status: int, code: str, message: str, request_id: str, operation: str, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    content = {"error": {"code": code, "message": message, "request_id": request_id}}
    return Response(status, orjson.dumps(content), CONTENT_TYPE, headers, operation, code)
