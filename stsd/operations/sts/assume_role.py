"""AssumeRole: temporary credentials of a role, for whom its trust policy names (spec 3.2).

The checks run in the order of spec 3.2.1; nothing that depends on the role is told before it was allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from stsd.authz import authorize, context
from stsd.directory import Role
from stsd.errors import AccessDenied
from stsd.operations.sts import issuing, mfa_code, role_session, session_policies, session_tags
from stsd.operations.sts.mfa_code import Pending
from stsd.operations.sts.role_session import Wanted
from stsd.principal import Caller, Principal
from stsd.tokens.credentials import Credentials
from stsd.view import View
from stsd.wire import constraints
from stsd.wire.messages import Request
from stsd.wire.query import Call
from stsd.wire.xml import Members, Value

ACTION = "sts:AssumeRole"


@dataclass(slots=True)
class Result:
    """The assumed role and its credentials; the packed size in percent when a policy or a tag was passed, and the
    source identity when there is one."""

    principal: Principal
    credentials: Credentials
    packed_policy_size: int | None
    source_identity: str = ""

    def members(self) -> Members:
        """In AWS's order (spec 3.2)."""
        found: list[tuple[str, Value]] = [
            ("AssumedRoleUser", role_session.user(self.principal)),
            ("Credentials", issuing.members(self.credentials)),
        ]
        if self.packed_policy_size is not None:
            found.append(("PackedPolicySize", self.packed_policy_size))
        if self.source_identity:
            found.append(("SourceIdentity", self.source_identity))
        return (*found, *issuing.sizes(self.credentials))


def run(call: Call, caller: Caller, request: Request, view: View, now: float) -> Result | Pending[Result]:
    """Assume a role. Raises the errors of spec 3.2.1."""
    # 1. Root users may not, whatever they ask for.
    if caller.principal.kind == "root":
        raise AccessDenied("Roles may not be assumed by root accounts.", reason="root_caller")
    if caller.principal.kind == "federated_user":
        role_arn = constraints.validate("AssumeRole", call.parameters)["RoleArn"]
        raise authorize.not_authorized(caller, ACTION, role_arn, "federated_user")
    # 2. to 5. The schema, the ARN's shape, the tags and the session policies.
    arguments = constraints.validate("AssumeRole", call.parameters)
    role_arn = arguments["RoleArn"]
    role = role_session.find(role_arn, view)
    wanted = Wanted(
        arguments["RoleSessionName"],
        session_policies.read(arguments, any_plaintext=True),
        session_tags.read(arguments, caller.session),
        arguments.get("DurationSeconds", role_session.DEFAULT_DURATION_S),
        arguments.get("SourceIdentity", ""),
        arguments.get(issuing.LEAST_SIZE),
    )
    # 6. The MFA code, before anything that depends on the role.
    if mfa_code.is_given(arguments):
        rest = partial(_assume, role, wanted, arguments, caller, request, view, now)
        return mfa_code.present(arguments, caller, view, now, rest)
    return _assume(role, wanted, arguments, caller, request, view, now)


def _assume(
    role: Role | None,
    wanted: Wanted,
    arguments: Mapping[str, Any],
    caller: Caller,
    request: Request,
    view: View,
    now: float,
) -> Result:
    """What comes after the request by itself was found good; an MFA code in it has been accepted."""
    role_arn: str = arguments["RoleArn"]
    # 7. and 8. The role exists and both sides allow it; a missing role reads like a refusal.
    if role is None:
        raise authorize.not_authorized(caller, ACTION, role_arn, "no_such_role")
    keys = context.build(request, caller, view, now)
    if mfa_code.CODE in arguments:
        keys["aws:multifactorauthpresent"], keys["aws:multifactorauthage"] = "true", "0"
    if "ExternalId" in arguments:
        keys["sts:externalid"] = arguments["ExternalId"]
    role_session.check_allowed(role, ACTION, wanted, caller, keys, view)
    if arguments.get("ProvidedContexts"):
        # No context provider is known here, so none can be trusted (spec 3.2.10).
        raise authorize.not_authorized(caller, "sts:SetContext", role_arn, "no_context_provider")
    # 9. to 13. The role's own limits.
    principal, credentials, packed, source_identity = role_session.issue(role, wanted, caller, request, view, now)
    return Result(principal, credentials, packed, source_identity)
