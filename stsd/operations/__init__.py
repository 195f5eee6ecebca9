"""The API on one screen: service and action name to operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from stsd.errors import InvalidAction
from stsd.operations.sts import (
    assume_role,
    assume_role_with_saml,
    assume_role_with_web_identity,
    assume_root,
    decode_authorization_message,
    get_access_key_info,
    get_caller_identity,
    get_delegated_access_token,
    get_federation_token,
    get_session_token,
    get_web_identity_token,
)
from stsd.operations.sts.mfa_code import Pending
from stsd.principal import Caller
from stsd.view import View
from stsd.wire import query
from stsd.wire.messages import Endpoint, Request
from stsd.wire.query import Call
from stsd.wire.xml import Members


class Result(Protocol):
    """What every operation returns: its result members in AWS's order."""

    def members(self) -> Members:
        """Name and value pairs for the renderer."""


Run = Callable[[Call, Caller, Request, View, float], Result | Pending[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """What answers one action. An `anonymous` one is not authenticated: its request carries an assertion (spec 2.1).
    `not_global` is the refusal of the global endpoint, where the operation is not available (spec 1.4).
    """

    run: Run
    anonymous: bool = False
    not_global: str | None = None


NOT_GLOBAL = "Operation not supported on STS global endpoint"
STS_VERSION = "2011-06-15"
SERVICES = {STS_VERSION: "sts"}
OPERATIONS: dict[tuple[str, str], Operation] = {
    ("sts", "AssumeRole"): Operation(assume_role.run),
    ("sts", "AssumeRoleWithSAML"): Operation(assume_role_with_saml.run, anonymous=True),
    ("sts", "AssumeRoleWithWebIdentity"): Operation(assume_role_with_web_identity.run, anonymous=True),
    ("sts", "AssumeRoot"): Operation(assume_root.run, not_global="Unknown Operation"),
    ("sts", "DecodeAuthorizationMessage"): Operation(decode_authorization_message.run),
    ("sts", "GetAccessKeyInfo"): Operation(get_access_key_info.run),
    ("sts", "GetCallerIdentity"): Operation(get_caller_identity.run),
    ("sts", "GetDelegatedAccessToken"): Operation(get_delegated_access_token.run, not_global=NOT_GLOBAL),
    ("sts", "GetFederationToken"): Operation(get_federation_token.run),
    ("sts", "GetSessionToken"): Operation(get_session_token.run),
    ("sts", "GetWebIdentityToken"): Operation(get_web_identity_token.run, not_global=NOT_GLOBAL),
}


def find(call: Call, endpoint: Endpoint = "regional") -> Operation:
    """The operation a call names. Raises InvalidAction for an unknown action or version, and for an action that the
    endpoint does not have (spec 1.4)."""
    operation = OPERATIONS.get((SERVICES.get(call.version or "", ""), call.action))
    if operation is None:
        raise query.unknown_action(call.action, call.version)
    if operation.not_global is not None and endpoint == "global":
        raise InvalidAction(operation.not_global, reason="not_on_the_global_endpoint")
    return operation
