"""AssumeRoot: a short session as the root user of a member account, for one task (spec 3.5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stsd import arn, policy
from stsd.authz import authorize, context
from stsd.directory import Organization
from stsd.errors import AccessDenied, ValidationError
from stsd.operations.sts import issuing, role_session
from stsd.principal import Caller
from stsd.tokens.credentials import MAX_CHAIN, Credentials, Grant, chain_length
from stsd.view import View
from stsd.wire import constraints
from stsd.wire.messages import Request
from stsd.wire.query import Call
from stsd.wire.xml import Members, Value

ACTION = "sts:AssumeRoot"
DEFAULT_DURATION_S = 900
_TARGET = re.compile(r"(?:arn:aws:iam::)?([0-9]{12})(:root)?")


@dataclass(slots=True)
class Result:
    """Credentials, and the source identity of the caller's session when it has one."""

    credentials: Credentials
    source_identity: str

    def members(self) -> Members:
        """In the order of the model."""
        found: list[tuple[str, Value]] = [("Credentials", issuing.members(self.credentials))]
        if self.source_identity:
            found.append(("SourceIdentity", self.source_identity))
        return (*found, *issuing.sizes(self.credentials))


def run(call: Call, caller: Caller, request: Request, view: View, now: float) -> Result:
    """A session of a member account's root user, limited to a task policy. Raises ValidationError, AccessDenied."""
    arguments = constraints.validate("AssumeRoot", call.parameters)
    account = _target(arguments["TargetPrincipal"])
    task = arguments["TaskPolicyArn"].get("arn", "")
    if task not in policy.TASK_POLICIES:
        raise ValidationError("Request must contain valid AWS managed task policy ARN", reason="task_policy")
    target = arn.root(account)
    keys = context.build(request, caller, view, now)
    keys["sts:taskpolicyarn"] = task
    keys["aws:resourceaccount"] = account
    reason = _refusal(caller, account, task, view)
    if reason or not authorize.decide(caller, ACTION, target, keys, view).allowed:
        raise authorize.not_authorized(caller, ACTION, target, reason or "no_identity_allow")
    if chain_length(caller) > MAX_CHAIN:
        raise AccessDenied(f"Roles may not be chained more than {MAX_CHAIN} deep.", reason="chain_depth")
    source_identity = role_session.inherited_source_identity(caller)
    grant = Grant(
        view.directory.root_users[account].principal,
        arguments.get("DurationSeconds", DEFAULT_DURATION_S),
        session_policy_arns=(task,),
        source_identity=source_identity,
        task_policy=task,
        least_token_bytes=arguments.get(issuing.LEAST_SIZE),
    )
    return Result(issuing.issue(grant, caller, request, view, now), source_identity)


def _target(text: str) -> str:
    found = _TARGET.fullmatch(text)
    if found is None or text.startswith("arn:") != bool(found[2]):
        raise ValidationError("Request must contain a valid target principal", reason="target_principal")
    return found[1]


def _refusal(caller: Caller, account: str, task: str, view: View) -> str:
    """Why the organization does not let this caller act as root of `account`; empty if it does."""
    organization = view.directory.organization
    if caller.principal.kind not in ("user", "assumed_role") or authorize.is_user_session(caller):
        return "not_a_user_or_role"
    if organization is None or caller.principal.account not in organization.root_administrators:
        return "not_management_account"
    if account == organization.management_account or account not in view.directory.accounts:
        return "not_a_member"
    return "" if _enabled(organization, task) else "root_access_not_enabled"


def _enabled(organization: Organization, task: str) -> bool:
    feature = "RootCredentialsManagement" if task.rpartition("/")[2].startswith("IAM") else "RootSessions"
    return feature in organization.root_access
