"""GetCallerIdentity: who the service thinks you are. Needs no permission and cannot be denied (spec 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

from stsd.principal import Caller
from stsd.view import View
from stsd.wire.messages import Request
from stsd.wire.query import Call
from stsd.wire.xml import Members


@dataclass(slots=True)
class Result:
    """Identity strings of spec 2.7.3."""

    arn: str
    user_id: str
    account: str

    def members(self) -> Members:
        """In AWS's order."""
        return (("Arn", self.arn), ("UserId", self.user_id), ("Account", self.account))


def run(call: Call, caller: Caller, request: Request, view: View, now: float) -> Result:
    """The caller, as authenticated."""
    principal = caller.principal
    return Result(principal.arn, principal.user_id, principal.account)
