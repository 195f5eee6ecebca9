"""GetSessionToken: temporary credentials for the user itself. Needs no permission (spec 3.7)."""

from __future__ import annotations

from dataclasses import dataclass

from stsd.errors import AccessDenied
from stsd.operations.sts import issuing, mfa_code
from stsd.operations.sts.mfa_code import Pending
from stsd.principal import Caller
from stsd.tokens.credentials import Credentials, Grant
from stsd.view import View
from stsd.wire import constraints
from stsd.wire.messages import Request
from stsd.wire.query import Call
from stsd.wire.xml import Members

DEFAULT_DURATION_S = 43_200
ROOT_DURATION_S = 3_600


@dataclass(slots=True)
class Result:
    """Credentials."""

    credentials: Credentials

    def members(self) -> Members:
        """In AWS's order."""
        return (("Credentials", issuing.members(self.credentials)), *issuing.sizes(self.credentials))


def run(call: Call, caller: Caller, request: Request, view: View, now: float) -> Result | Pending[Result]:
    """A session of the calling user. Raises AccessDenied for temporary credentials (spec 3.0.1), and for an MFA code
    that is not accepted (spec 3.2.9)."""
    arguments = constraints.validate("GetSessionToken", call.parameters)
    if caller.session is not None:
        raise AccessDenied("Cannot call GetSessionToken with session credentials", reason="session_credentials")
    duration_s = arguments.get("DurationSeconds", DEFAULT_DURATION_S)
    if caller.principal.kind == "root":
        duration_s = min(duration_s, ROOT_DURATION_S)

    def issue(mfa_at: int | None) -> Result:
        least = arguments.get(issuing.LEAST_SIZE)
        grant = Grant(caller.principal, duration_s, mfa_at=mfa_at, least_token_bytes=least)
        return Result(issuing.issue(grant, caller, request, view, now))

    if mfa_code.is_given(arguments):
        return mfa_code.present(arguments, caller, view, now, lambda: issue(int(now)))
    return issue(None)
