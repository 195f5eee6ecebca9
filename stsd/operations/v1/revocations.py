"""GET /v1/revocations?after=CURSOR: the feed for verifiers elsewhere (contract 4).

A cursor says how far the reader has heard of each origin; the ETag changes with every revocation. Subjects are as
they were given, so that a verifier compares text with what its token says. Accept chooses the form:

| Accept | answer |
|---|---|
| anything else, `application/json` | a page of at most 10,000 revocations after the cursor |
| `text/event-stream` | the same as events, then every revocation as it is applied; see stsd.server.streams |
| `text/event-stream, application/json` | events; a page with `x-stsd-feed-staleness-ms` when too many read events |
| `application/vnd.stsd.revocations+gcs` | all that is in force, compact and signed; see stsd.revocation.snapshot |
"""

from __future__ import annotations

from typing import Literal, NamedTuple
from urllib.parse import parse_qs

from stsd.errors import ValidationError
from stsd.revocation import feed, snapshot
from stsd.revocation.replica import Replica
from stsd.wire import forwarded, json_api
from stsd.wire.messages import Request, Response

OPERATION = "revocations"
EVENTS = "text/event-stream"
Form = Literal["page", "events", "compact"]
FORMS: dict[str, Form] = {EVENTS: "events", snapshot.MEDIA_TYPE: "compact", json_api.CONTENT_TYPE: "page"}
VARY = ("Vary", "Accept")
STALENESS = "x-stsd-feed-staleness-ms"
"""On a page instead of events: what a heartbeat would have told."""


class Asked(NamedTuple):
    """What a reader wants: in which form, and after which cursor (empty: from the beginning); `or_page`: one that wants
    events takes a page, too."""

    form: Form
    cursor: str
    or_page: bool = False


def ask(request: Request) -> Asked:
    """Read the request. Raises ValidationError."""
    parameters = parse_qs(request.query, keep_blank_values=True)
    unknown = [name for name in parameters if name != "after"]
    if unknown:
        raise ValidationError(f"Unknown parameter '{unknown[0][:64]}'; allowed: after", reason="unknown_parameter")
    forms, cursor = _forms(request.headers.get("accept", "")), parameters.get("after", [""])[0]
    form = forms[0]
    if form == "compact" and cursor:
        raise ValidationError("after does not go with the compact form, which is the whole", reason="after")
    if form == "events":
        if forwarded.HEADER in request.headers:
            raise ValidationError("Events are read from a regional endpoint, not through the router", reason="router")
        cursor = request.headers.get("last-event-id") or cursor
    return Asked(form, cursor, form == "events" and "page" in forms)


def run(asked: Asked, request: Request, replica: Replica) -> Response:
    """The revocations after the cursor, or 304 when nothing has changed. Raises ValidationError."""
    check(asked.cursor)
    page = feed.after(replica, asked.cursor)
    headers = (("ETag", page.etag), ("Cache-Control", "no-cache"), VARY)
    if _has(request, page.etag):
        return Response(304, b"", json_api.CONTENT_TYPE, headers, OPERATION)
    return json_api.answer({"revocations": page.revocations, "cursor": page.cursor}, OPERATION, headers)


def check(cursor: str) -> None:
    """Raises ValidationError for what is not a cursor."""
    try:
        if cursor:
            feed.check(cursor)
    except ValueError:
        raise ValidationError("after is not a cursor of this feed", reason="cursor") from None


def compact(request: Request, content: bytes, etag: str) -> Response:
    """The compact form; a cache may keep it, since it is signed and says where the feed goes on."""
    headers = (("ETag", etag), ("Cache-Control", "public, max-age=60"), VARY)
    if _has(request, etag):
        return Response(304, b"", snapshot.MEDIA_TYPE, headers, OPERATION)
    return Response(200, content, snapshot.MEDIA_TYPE, headers, OPERATION)


def _has(request: Request, etag: str) -> bool:
    """Whether If-None-Match names what would be answered: any of a list, and weakly, because a cache that compresses
    weakens it (RFC 9110 section 13.1.2)."""
    given = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    return given == ["*"] or etag in given


def _forms(accept: str) -> list[Form]:
    """The forms that Accept names, in its order (RFC 9110 section 12.5.1); weights are not weighed. A page if none."""
    named = (FORMS.get(part.partition(";")[0].strip().lower()) for part in accept.split(","))
    return [form for form in named if form is not None] or ["page"]
