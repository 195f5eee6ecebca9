"""The API on one screen: service and action name to operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from stsd.operations.sts import assume_role, get_access_key_info, get_caller_identity, get_session_token
from stsd.principal import Caller
from stsd.view import View
from stsd.wire import query
from stsd.wire.messages import Request
from stsd.wire.query import Call
from stsd.wire.xml import Members


class Result(Protocol):
    """What every operation returns: its result members in AWS's order."""

    def members(self) -> Members:
        """Name and value pairs for the renderer."""


Operation = Callable[[Call, Caller, Request, View, float], Result]

STS_VERSION = "2011-06-15"
SERVICES = {STS_VERSION: "sts"}
OPERATIONS: dict[tuple[str, str], Operation] = {
    ("sts", "AssumeRole"): assume_role.run,
    ("sts", "GetAccessKeyInfo"): get_access_key_info.run,
    ("sts", "GetCallerIdentity"): get_caller_identity.run,
    ("sts", "GetSessionToken"): get_session_token.run,
}


def find(call: Call) -> Operation:
    """The operation a call names. Raises InvalidAction for an unknown action or version (spec 1.4)."""
    operation = OPERATIONS.get((SERVICES.get(call.version or "", ""), call.action))
    if operation is None:
        raise query.unknown_action(call.action, call.version)
    return operation
