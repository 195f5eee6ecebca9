"""GetDelegatedAccessToken: a trade-in token for credentials (spec 3.10). No trade-in tokens are issued here yet, so
none is valid."""

from __future__ import annotations

from typing import NoReturn

from stsd.authz import authorize, context
from stsd.errors import AccessDenied
from stsd.principal import Caller
from stsd.view import View
from stsd.wire import constraints
from stsd.wire.messages import Request
from stsd.wire.query import Call

ACTION = "sts:GetDelegatedAccessToken"


def run(call: Call, caller: Caller, request: Request, view: View, now: float) -> NoReturn:
    """Raises AccessDenied: for who may not ask, and for every token."""
    constraints.validate("GetDelegatedAccessToken", call.parameters)
    authorize.refuse_limited(caller, ACTION)
    authorize.by_identity(caller, ACTION, "*", context.build(request, caller, view, now), view)
    raise AccessDenied("The trade-in token included in the request is invalid.", reason="invalid_trade_in_token")
