"""GET /v1/revocations?after=CURSOR: the feed for verifiers elsewhere (contract 4).

A cursor says how far the reader has heard of each origin; the ETag changes with every revocation. Subjects are as
they were given, so that a verifier compares text with what its token says.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from stsd.errors import ValidationError
from stsd.revocation import feed
from stsd.revocation.replica import Replica
from stsd.wire import json_api
from stsd.wire.messages import Request, Response

OPERATION = "revocations"


def run(request: Request, replica: Replica) -> Response:
    """The revocations after the cursor, or 304 when nothing has changed. Raises ValidationError."""
    parameters = parse_qs(request.query, keep_blank_values=True)
    unknown = [name for name in parameters if name != "after"]
    if unknown:
        raise ValidationError(f"Unknown parameter '{unknown[0][:64]}'; allowed: after", reason="unknown_parameter")
    try:
        page = feed.after(replica, parameters.get("after", [""])[0])
    except ValueError:
        raise ValidationError("after is not a cursor of this feed", reason="cursor") from None
    headers = (("ETag", page.etag), ("Cache-Control", "no-cache"))
    if request.headers.get("if-none-match") == page.etag:
        return Response(304, b"", json_api.CONTENT_TYPE, headers, OPERATION)
    return json_api.answer({"revocations": page.revocations, "cursor": page.cursor}, OPERATION, headers)
