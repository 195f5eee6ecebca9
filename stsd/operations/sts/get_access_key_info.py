"""GetAccessKeyInfo: the account that an access key id belongs to, whether or not the key exists (spec 3.8)."""

from __future__ import annotations

from dataclasses import dataclass

from stsd import key_ids
from stsd.authz import authorize, context
from stsd.errors import ValidationError
from stsd.principal import Caller
from stsd.view import View
from stsd.wire import constraints
from stsd.wire.messages import Request
from stsd.wire.query import Call
from stsd.wire.xml import Members

ACTION = "sts:GetAccessKeyInfo"


@dataclass(frozen=True, slots=True)
class Result:
    """A 12-digit account id."""

    account: str

    def members(self) -> Members:
        """In AWS's order."""
        return (("Account", self.account),)


def run(call: Call, caller: Caller, request: Request, view: View, now: float) -> Result:
    """The account encoded in the id; ids of the old form are looked up. Raises AccessDenied, ValidationError."""
    access_key_id: str = constraints.validate("GetAccessKeyInfo", call.parameters)["AccessKeyId"]
    authorize.refuse_limited(caller, ACTION)
    authorize.by_identity(caller, ACTION, "*", context.build(request, caller, view, now), view)
    account = account_of(access_key_id, view)
    if account is None:
        raise ValidationError(f"The access key id {access_key_id} is not known", reason="unresolvable_access_key_id")
    return Result(account)


def account_of(access_key_id: str, view: View) -> str | None:
    """The account an id carries, else that of a key of the old form that this directory holds (spec 2.7.2)."""
    known = view.directory.access_keys.get(access_key_id)
    return known.user.account if known is not None else key_ids.account_of(access_key_id)
