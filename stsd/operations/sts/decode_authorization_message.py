"""DecodeAuthorizationMessage: why a request was denied, for those who may know (spec 3.9)."""

from __future__ import annotations

from dataclasses import dataclass

from stsd.authz import authorize, context, denial_messages
from stsd.errors import InvalidAuthorizationMessageException
from stsd.principal import Caller
from stsd.view import View
from stsd.wire import constraints
from stsd.wire.messages import Request
from stsd.wire.query import Call
from stsd.wire.xml import Members

ACTION = "sts:DecodeAuthorizationMessage"


@dataclass(frozen=True, slots=True)
class Result:
    """The document, as JSON text."""

    document: str

    def members(self) -> Members:
        """In AWS's order."""
        return (("DecodedMessage", self.document),)


def run(call: Call, caller: Caller, request: Request, view: View, now: float) -> Result:
    """Open a message about a request to the caller's account. Raises AccessDenied,
    InvalidAuthorizationMessageException."""
    message: str = constraints.validate("DecodeAuthorizationMessage", call.parameters)["EncodedMessage"]
    authorize.refuse_limited(caller, ACTION)
    authorize.by_identity(caller, ACTION, "*", context.build(request, caller, view, now), view)
    try:
        return Result(denial_messages.unseal(view.message_key, caller.principal.account, message))
    except ValueError:
        raise InvalidAuthorizationMessageException("Message is not valid", reason="message_does_not_open") from None
