"""A refusal that test hooks make before the node has looked at a request."""

from __future__ import annotations

from stsd.errors import StsError
from stsd.wire import json_api, xml
from stsd.wire.messages import Request, Response

OPERATION = "unknown"


def of(request: Request, error: StsError) -> Response:
    """In the form of its call: the Query API's, or that of the JSON paths. The log tells the error's reason."""
    if request.path == "/":
        response = xml.error(error, request.id, OPERATION, as_json=xml.wants_json(request.headers))
    else:
        response = json_api.error(error, request.id, OPERATION)
    response.event = {"reason": error.reason}
    return response
