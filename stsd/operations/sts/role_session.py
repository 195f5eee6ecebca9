"""What the three ways into a role have in common: AssumeRole, AssumeRoleWithSAML, AssumeRoleWithWebIdentity.

Each reads its own request, then asks here whether the role lets the caller in, and for the credentials.
Nothing that depends on the role is told before it was allowed (spec 3.2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stsd import arn
from stsd.authz import authorize
from stsd.authz.context import Context
from stsd.directory import Role
from stsd.errors import AccessDenied, ValidationError
from stsd.operations.sts import issuing
from stsd.operations.sts.session_policies import SessionPolicies
from stsd.operations.sts.session_tags import SessionTags
from stsd.principal import Caller, Principal
from stsd.tokens.credentials import MAX_CHAIN, Credentials, Grant, chain_length
from stsd.view import View
from stsd.wire.messages import Request
from stsd.wire.xml import Members

DEFAULT_DURATION_S = 3_600
CHAINED_DURATION_S = 3_600


@dataclass(slots=True)
class Wanted:
    """A role session as it is asked for. `source_identity` is what the request sets, not what it inherits;
    `least_token_bytes` is how large its token has to be, None where the request does not say."""

    session_name: str
    policies: SessionPolicies
    tags: SessionTags
    duration_s: int
    source_identity: str = ""
    least_token_bytes: int | None = None


class Vouched(NamedTuple):
    """What an identity provider's assertion gives to a session: who it is, the condition keys that persist, how many
    percent of the packed size are the assertion's, and how long the session may be at most (seconds)."""

    provider: str = ""
    keys: tuple[tuple[str, str | tuple[str, ...]], ...] = ()
    packed_percent: int = 0
    longest_s: int | None = None


NOBODY = Vouched()
"""Who is no identity provider: the caller has credentials of its own."""


class Issued(NamedTuple):
    """A role session: who it is, its credentials, the packed size in percent where it is told, its source identity."""

    principal: Principal
    credentials: Credentials
    packed_policy_size: int | None
    source_identity: str


def find(role_arn: str, view: View) -> Role | None:
    """The role; None when there is none. Raises ValidationError for what is no ARN (spec 3.2.1 row 3)."""
    role = view.directory.roles.get(role_arn)
    if role is None:
        try:
            arn.parse(role_arn)
        except ValueError:
            raise ValidationError(f"{role_arn} is invalid", reason="role_arn") from None
    return role


def check_allowed(role: Role, action: str, wanted: Wanted, caller: Caller, context: Context, view: View) -> None:
    """Rows 7 and 8 of spec 3.2.1: `action`, and what tags and a source identity need. Raises AccessDenied.

    `context` is that of the request with the operation's own keys; the keys of the role session are added to it.
    """
    context["sts:rolesessionname"] = wanted.session_name
    context["aws:resourceaccount"] = role.account
    for key, value in role.tags.items():
        context[f"aws:resourcetag/{key.lower()}"] = value
    if wanted.tags.needed:
        wanted.tags.add_to(context)
    if wanted.source_identity:
        context["sts:sourceidentity"] = wanted.source_identity
    authorize.by_trust(caller, action, role, context, view)
    if wanted.tags.needed:
        authorize.by_trust(caller, "sts:TagSession", role, context, view)
    if wanted.source_identity or inherited_source_identity(caller):
        authorize.by_trust(caller, "sts:SetSourceIdentity", role, context, view)
    if role.require_fresh and view.level == "hard":
        raise authorize.not_authorized(caller, action, role.arn, "require_fresh")
    if chain_length(caller) > MAX_CHAIN:
        raise AccessDenied(f"Roles may not be chained more than {MAX_CHAIN} deep.", reason="chain_depth")


def issue(
    role: Role, wanted: Wanted, caller: Caller, request: Request, view: View, now: float, vouched: Vouched = NOBODY
) -> Issued:
    """Credentials for a caller that was allowed: only now may the role's own limits show (rows 9 to 13 of spec 3.2.1).
    Raises MalformedPolicyDocument, ValidationError, PackedPolicyTooLarge, RegionDisabledException."""
    tags, policies, longest_s = wanted.tags, wanted.policies, vouched.longest_s
    policies.check_managed(role.account, view)
    _check_duration(wanted.duration_s, role, caller)
    source_identity, mfa_at = wanted.source_identity, None
    if caller.session is not None:
        # What the calling session proved goes on; a code given to AssumeRole itself does not (spec 3.2.9).
        source_identity, mfa_at = _source_identity(wanted, caller), caller.session.mfa_at
    packed = policies.packed_size(tags.passed, tags.inherited, assertion=vouched.packed_percent)
    grant = Grant(
        _principal(role, wanted.session_name),
        wanted.duration_s if longest_s is None else min(wanted.duration_s, longest_s),
        policies.texts,
        policies.managed,
        source_identity,
        mfa_at,
    )
    grant.tags, grant.transitive = tags.effective, tags.passing_on
    grant.provider, grant.provider_keys = vouched.provider, vouched.keys
    grant.confirmation_key, grant.least_token_bytes = role.confirmation_key, wanted.least_token_bytes
    return Issued(grant.principal, issuing.issue(grant, caller, request, view, now), packed, source_identity)


def user(principal: Principal) -> Members:
    """`AssumedRoleUser` as every way into a role prints it."""
    return (("AssumedRoleId", principal.user_id), ("Arn", principal.arn))


def _check_duration(duration_s: int, role: Role, caller: Caller) -> None:
    """An explicit value above a limit is an error, never clamped (spec 3.2.3). Raises ValidationError."""
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


def _source_identity(wanted: Wanted, caller: Caller) -> str:
    """That of the new session: set once, then inherited (spec 3.2.7). Raises ValidationError for another one."""
    inherited = inherited_source_identity(caller)
    if inherited and wanted.source_identity not in ("", inherited):
        raise ValidationError(
            "The source identity is already set for this assume role session", reason="source_identity_set"
        )
    return inherited or wanted.source_identity


def inherited_source_identity(caller: Caller) -> str:
    """The source identity of the calling session, empty where it has none."""
    return "" if caller.session is None else caller.session.source_identity


def _principal(role: Role, session_name: str) -> Principal:
    """The principal of a role session; the role's path shows in `policy_arn` alone (spec 2.7.3)."""
    return Principal(
        "assumed_role",
        role.account,
        arn.assumed_role(role.account, role.name, session_name),
        f"{role.role_id}:{session_name}",
        role.arn,
        role.role_id,
        role.name,
    )
