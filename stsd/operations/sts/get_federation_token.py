"""GetFederationToken: credentials that a user or a root user hands to somebody of its own (spec 3.6)."""

from __future__ import annotations

from dataclasses import dataclass

from stsd import arn
from stsd.authz import authorize, context
from stsd.errors import AccessDenied
from stsd.operations.sts import issuing, session_policies, session_tags
from stsd.principal import Caller, Principal
from stsd.tokens.credentials import Credentials, Grant
from stsd.view import View
from stsd.wire import constraints
from stsd.wire.messages import Request
from stsd.wire.query import Call
from stsd.wire.xml import Members

ACTION = "sts:GetFederationToken"
DEFAULT_DURATION_S = 43_200
ROOT_DURATION_S = 3_600


@dataclass(slots=True)
class Result:
    """Credentials, for whom, and the packed size in percent, 0 when nothing was passed."""

    credentials: Credentials
    principal: Principal
    packed_policy_size: int

    def members(self) -> Members:
        """In the order of the model."""
        user = (("FederatedUserId", self.principal.user_id), ("Arn", self.principal.arn))
        return (
            ("Credentials", issuing.members(self.credentials)),
            ("FederatedUser", user),
            ("PackedPolicySize", self.packed_policy_size),
            *issuing.sizes(self.credentials),
        )


def run(call: Call, caller: Caller, request: Request, view: View, now: float) -> Result:
    """A session of a federated user. Raises AccessDenied and the errors of tags and session policies."""
    arguments = constraints.validate("GetFederationToken", call.parameters)
    if caller.session is not None:
        raise AccessDenied("Cannot call GetFederationToken with session credentials", reason="session_credentials")
    tags = session_tags.read(arguments, None)
    policies = session_policies.read(arguments)
    account, name = caller.principal.account, arguments["Name"]
    federated = Principal(
        kind="federated_user",
        account=account,
        arn=arn.federated_user(account, name),
        user_id=f"{account}:{name}",
        policy_arn=arn.federated_user(account, name),
        unique_id=caller.principal.unique_id,
        name=name,
    )
    keys = context.build(request, caller, view, now)
    tags.add_to(keys)
    authorize.by_identity(caller, ACTION, federated.arn, keys, view)
    if tags.needed:
        authorize.by_identity(caller, "sts:TagSession", federated.arn, keys, view)
    policies.check_managed(account, view)
    packed = policies.packed_size(tags.passed)
    duration_s = arguments.get("DurationSeconds", DEFAULT_DURATION_S)
    if caller.principal.kind == "root":
        duration_s = min(duration_s, ROOT_DURATION_S)
    least = arguments.get(issuing.LEAST_SIZE)
    grant = Grant(federated, duration_s, policies.texts, policies.managed, tags=tags.passed, least_token_bytes=least)
    return Result(issuing.issue(grant, caller, request, view, now), federated, packed or 0)
