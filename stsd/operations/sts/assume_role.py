"""AssumeRole: temporary credentials of a role, for whom its trust policy names (spec 3.2).

The checks run in the order of spec 3.2.1; nothing that depends on the role is told before it was allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stsd import arn, policy
from stsd.authz import authorize, context
from stsd.directory import Role
from stsd.errors import AccessDenied, MalformedPolicyDocument, PackedPolicyTooLarge, ValidationError
from stsd.operations.sts import packing
from stsd.operations.sts.get_session_token import credential_members
from stsd.policy import Policy, PolicyError
from stsd.principal import Caller, Principal
from stsd.tokens.credentials import MAX_CHAIN, Credentials, Grant, chain_length
from stsd.view import View
from stsd.wire import constraints
from stsd.wire.messages import Request
from stsd.wire.query import Call
from stsd.wire.xml import Members

ACTION = "sts:AssumeRole"
DEFAULT_DURATION_S = 3_600
CHAINED_DURATION_S = 3_600
MAX_POLICY_CHARACTERS = 131_072
"""What IAM takes in any policy (spec 7.3). A longer one cannot fit once packed and is not worth reading."""


@dataclass(slots=True)
class Result:
    """The assumed role, its credentials and, when a policy was passed, its packed size in percent."""

    principal: Principal
    credentials: Credentials
    packed_policy_size: int | None

    def members(self) -> Members:
        """In AWS's order (spec 3.2)."""
        user = (("AssumedRoleId", self.principal.user_id), ("Arn", self.principal.arn))
        always = (("AssumedRoleUser", user), ("Credentials", credential_members(self.credentials)))
        if self.packed_policy_size is None:
            return always
        return (*always, ("PackedPolicySize", self.packed_policy_size))


def run(call: Call, caller: Caller, request: Request, view: View, now: float) -> Result:
    """Assume a role. Raises the errors of spec 3.2.1."""
    # 1. Root users may not, whatever they ask for.
    if caller.principal.kind == "root":
        raise AccessDenied("Roles may not be assumed by root accounts.", reason="root_caller")
    # 2. to 5. The schema, the ARN's shape and the session policies.
    arguments = constraints.validate("AssumeRole", call.parameters)
    role_arn: str = arguments["RoleArn"]
    role = view.directory.roles.get(role_arn)
    if role is None:
        _check_shape(role_arn)
    inline = _session_policy(arguments.get("Policy"))
    managed = tuple(entry["arn"] for entry in arguments.get("PolicyArns", ()))
    # 7. The role exists and both sides allow it; a missing role reads like a refusal.
    if role is None:
        raise authorize.not_authorized(caller, ACTION, role_arn, "no_such_role")
    _authorize(role, arguments, caller, request, view, now)
    _check_managed(managed, role, view)
    # 9. and 10. Only now may the role's own limits show.
    duration_s = _duration(arguments, role, caller)
    # 12. The packed size.
    packed = packing.packed_size(inline, managed)
    if packed is not None and packed > 100:
        raise _too_large(packed)
    principal = assumed(role, arguments["RoleSessionName"])
    grant = Grant(principal, view.session_s(duration_s), () if inline is None else (inline.text,), managed)
    return Result(principal, view.issue(grant, caller, now), packed)


def assumed(role: Role, session_name: str) -> Principal:
    """The principal of a role session; the role's path shows in `policy_arn` alone (spec 2.7.3)."""
    return Principal(
        kind="assumed_role",
        account=role.account,
        arn=arn.assumed_role(role.account, role.name, session_name),
        user_id=f"{role.role_id}:{session_name}",
        policy_arn=role.arn,
        unique_id=role.role_id,
        name=role.name,
    )


def _check_shape(role_arn: str) -> None:
    try:
        arn.parse(role_arn)
    except ValueError:
        raise ValidationError(f"{role_arn} is invalid", reason="role_arn") from None


def _session_policy(document: str | None) -> Policy | None:
    if document is None:
        return None
    if len(document) > MAX_POLICY_CHARACTERS:
        raise _too_large(packing.text_percent(len(document)))
    try:
        return policy.parse(document, "session")
    except PolicyError as error:
        raise MalformedPolicyDocument(str(error), reason="session_policy") from None


def _too_large(percent: int) -> PackedPolicyTooLarge:
    return PackedPolicyTooLarge(
        f"Packed policy consumes {percent}% of allotted space, please use smaller policy.", reason="packed_size"
    )


def _authorize(role: Role, arguments: dict[str, Any], caller: Caller, request: Request, view: View, now: float) -> None:
    keys = context.build(request, caller, view, now)
    keys["sts:rolesessionname"] = arguments["RoleSessionName"]
    keys["aws:resourceaccount"] = role.account
    if "ExternalId" in arguments:
        keys["sts:externalid"] = arguments["ExternalId"]
    authorize.by_trust(caller, ACTION, role, keys, view)
    if role.require_fresh and view.level == "hard":
        raise authorize.not_authorized(caller, ACTION, role.arn, "require_fresh")
    if chain_length(caller) > MAX_CHAIN:
        raise AccessDenied(f"Roles may not be chained more than {MAX_CHAIN} deep.", reason="chain_depth")


def _check_managed(policy_arns: tuple[str, ...], role: Role, view: View) -> None:
    """Managed session policies are of the role's account or AWS's, and exist (spec 3.2.5)."""
    for policy_arn in policy_arns:
        owner = policy_arn.split(":")[4:5]
        if view.directory.managed_policy(policy_arn) is None or owner not in ([role.account], ["aws"]):
            raise MalformedPolicyDocument(
                f"Policy {policy_arn} does not exist or is not attachable.", reason="policy_arn"
            )


def _duration(arguments: dict[str, Any], role: Role, caller: Caller) -> int:
    """Seconds; an explicit value above a limit is an error, never clamped (spec 3.2.3)."""
    duration_s: int = arguments.get("DurationSeconds", DEFAULT_DURATION_S)
    if duration_s > role.max_session_duration:
        raise ValidationError(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            reason="max_session_duration",
        )
    if caller.session is not None and duration_s > CHAINED_DURATION_S:
        raise ValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
            reason="role_chaining",
        )
    return duration_s
