"""GetSessionToken: temporary credentials for the user itself. Needs no permission (spec 3.7)."""

from __future__ import annotations

from dataclasses import dataclass

from stsd.errors import AccessDenied
from stsd.principal import Caller
from stsd.tokens.credentials import Credentials, Grant
from stsd.view import View
from stsd.wire import constraints
from stsd.wire.messages import Request
from stsd.wire.query import Call
from stsd.wire.xml import Members, Timestamp

DEFAULT_DURATION_S = 43_200
ROOT_DURATION_S = 3_600


@dataclass(slots=True)
class Result:
    """Credentials only."""

    credentials: Credentials

    def members(self) -> Members:
        """In AWS's order."""
        return (("Credentials", credential_members(self.credentials)),)


def credential_members(credentials: Credentials) -> Members:
    """`Credentials` as every issuing operation prints it (spec 1.2)."""
    return (
        ("AccessKeyId", credentials.access_key_id),
        ("SecretAccessKey", credentials.secret_access_key),
        ("SessionToken", credentials.session_token),
        ("Expiration", Timestamp(credentials.expiration)),
    )


def run(call: Call, caller: Caller, request: Request, view: View, now: float) -> Result:
    """A session of the calling user. Raises AccessDenied for temporary credentials (spec 3.0.1)."""
    arguments = constraints.validate("GetSessionToken", call.parameters)
    if caller.session is not None:
        raise AccessDenied("Cannot call GetSessionToken with session credentials", reason="session_credentials")
    duration_s = arguments.get("DurationSeconds", DEFAULT_DURATION_S)
    if caller.principal.kind == "root":
        duration_s = min(duration_s, ROOT_DURATION_S)
    grant = Grant(caller.principal, view.session_s(duration_s))
    return Result(view.issue(grant, caller, now))
