"""Policies and a request context become a decision (spec 4.9).

Every policy that applies is looked at first; a Deny on any side decides. Only then is it asked what must allow:

- `decide_identity`: the identity policies, and the session policies if the session is narrowed (spec 4.9.1).
- `decide_trust`: the role's trust policy must name the caller. What else must allow follows from how it does:

| the trust policy names              | in the role's account                  | in another account     |
|-------------------------------------|----------------------------------------|------------------------|
| the user, or the session itself     | nothing else                           | identity and session   |
| its role, or everyone               | session policies                       | identity and session   |
| everyone, and its aws:PrincipalArn  | nothing else                           | identity and session   |
| the account                         | identity and session                   | identity and session   |
| the identity provider               | nothing else                           | nothing else           |

A role session may assume its own role only if the trust policy names that role or session (spec 3.2.2).
Boundaries, service and resource control policies come with the IAM API.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Literal, NamedTuple

from stsd.authz.conditions import Context, hold
from stsd.policy import Effect, NamedPolicy, Statement
from stsd.principal import Principal

Outcome = Literal["allow", "explicit_deny", "implicit_deny"]


class Match(NamedTuple):
    """One statement that applied: the policy's name, and the Sid, else the index, of the statement."""

    policy: str
    statement: str
    effect: Effect


class Decision(NamedTuple):
    """The outcome and why, as a snake_case word for the log.

    `matched` holds the statements that decided: the denials, or the grants. Of an implicit denial they are the
    grants that were not enough.
    """

    outcome: Outcome
    reason: str
    matched: tuple[Match, ...] = ()

    @property
    def allowed(self) -> bool:
        return self.outcome == "allow"


class Needs(IntEnum):
    """What has to allow beside a trust policy; the least demanding of several grants counts."""

    NOTHING = 0
    SESSION = 1
    IDENTITY_AND_SESSION = 2


class Side(NamedTuple):
    """The statements of one side, identity or session or trust, that apply to a request."""

    allows: tuple[Match, ...]
    denials: tuple[Match, ...]


NO_SIDE = Side((), ())
POSITIVE_ARN_MATCHES = frozenset(("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"))


def decide_identity(
    action: str,
    resource: str,
    context: Context,
    identity: Sequence[NamedPolicy],
    session: Sequence[NamedPolicy] | None,
    *,
    root: bool = False,
) -> Decision:
    """Whether a principal's own side allows `action` on `resource`, an ARN or `*` (spec 4.9.1).

    `session` None is a session that is not narrowed. `root` is for the root user, whom no identity policy limits.
    """
    name = action.lower()
    granted = _side(identity, name, resource, context)
    narrowed = NO_SIDE if session is None else _side(session, name, resource, context)
    if denied := _denied(granted, narrowed):
        return denied
    if not (granted.allows or root):
        return Decision("implicit_deny", "no_identity_allow", narrowed.allows)
    if session is not None and not narrowed.allows:
        return Decision("implicit_deny", "no_session_allow", granted.allows)
    return Decision("allow", "root" if root else "identity_allow", granted.allows + narrowed.allows)


def decide_trust(
    principal: Principal,
    action: str,
    role_arn: str,
    role_account: str,
    trust: NamedPolicy,
    context: Context,
    identity: Sequence[NamedPolicy],
    session: Sequence[NamedPolicy] | None,
) -> Decision:
    """Whether `principal` may take an assume action on the role (spec 4.9.2-4.9.4)."""
    name = action.lower()
    trusted, needs = _trust_side(principal, name, role_arn, role_account, trust, context)
    granted = _side(identity, name, role_arn, context)
    narrowed = NO_SIDE if session is None else _side(session, name, role_arn, context)
    allows = trusted.allows + granted.allows + narrowed.allows
    if denied := _denied(granted, narrowed, trusted):
        return denied
    if principal.kind == "root":
        return Decision("implicit_deny", "root_cannot_assume", allows)
    if not trusted.allows:
        return Decision("implicit_deny", "no_trust_match", allows)
    if not granted.allows and needs >= Needs.IDENTITY_AND_SESSION:
        return Decision("implicit_deny", "no_identity_allow", allows)
    if session is not None and not narrowed.allows and needs >= Needs.SESSION:
        return Decision("implicit_deny", "no_session_allow", allows)
    return Decision("allow", "trust_allow", allows)


def _side(policies: Iterable[NamedPolicy], action: str, resource: str, context: Context) -> Side:
    allows: list[Match] = []
    denials: list[Match] = []
    for named in policies:
        for statement in named.policy.statements:
            if (
                statement.actions(action)
                and (statement.resources is None or statement.resources(resource, context))
                and hold(statement.conditions, context)
            ):
                found = allows if statement.effect == "Allow" else denials
                found.append(Match(named.name, statement.name, statement.effect))
    return Side(tuple(allows), tuple(denials))


def _denied(identity: Side, session: Side, trust: Side = NO_SIDE) -> Decision | None:
    """A denial of any side decides; the first side names the reason, `matched` holds the denials of all."""
    denials = trust.denials + identity.denials + session.denials
    if not denials:
        return None
    reason = "trust" if trust.denials else "identity" if identity.denials else "session"
    return Decision("explicit_deny", f"explicit_deny_{reason}", denials)


def _trust_side(
    principal: Principal, action: str, role_arn: str, role_account: str, trust: NamedPolicy, context: Context
) -> tuple[Side, Needs]:
    """The statements of the trust policy that apply, and what the least demanding grant needs."""
    allows: list[Match] = []
    denials: list[Match] = []
    least = Needs.IDENTITY_AND_SESSION
    for statement in trust.policy.statements:
        needs = _needs(statement, principal, role_arn, role_account)
        if needs is None or not statement.actions(action) or not hold(statement.conditions, context):
            continue
        found = allows if statement.effect == "Allow" else denials
        found.append(Match(trust.name, statement.name, statement.effect))
        if statement.effect == "Allow":
            least = min(least, needs)
    return Side(tuple(allows), tuple(denials)), least


def _needs(statement: Statement, principal: Principal, role_arn: str, role_account: str) -> Needs | None:
    """What a grant by this statement needs beside it; None when it does not name the principal."""
    names = statement.principals
    if names is None:
        return None
    if principal.kind == "federated":
        # Everyone, which never lets a federated principal in, keeps one out all the same.
        named = names.names_provider(principal) or (names.everyone and statement.effect == "Deny")
        return Needs.NOTHING if named else None
    session, holder = names.names_session(principal), names.names_holder(principal)
    if not (session or holder or names.everyone or names.names_account(principal)):
        return None
    itself = principal.kind == "assumed_role" and principal.policy_arn == role_arn
    if itself and statement.effect == "Allow" and not (session or holder):
        return None
    if principal.account != role_account:
        return Needs.IDENTITY_AND_SESSION
    if session or (holder and principal.kind == "user"):
        return Needs.NOTHING
    if holder:
        return Needs.SESSION
    if names.everyone:
        return Needs.NOTHING if _asks_for_principal_arn(statement) else Needs.SESSION
    return Needs.IDENTITY_AND_SESSION


def _asks_for_principal_arn(statement: Statement) -> bool:
    """Whether a condition singles out the caller by ARN, which counts as naming it (spec 4.9.3)."""
    return any(
        condition.key == "aws:principalarn" and condition.base in POSITIVE_ARN_MATCHES and not condition.if_exists
        for condition in statement.conditions
    )
