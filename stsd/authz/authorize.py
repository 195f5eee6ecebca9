"""May they: which policies apply to this caller and action, and what they decide together (spec 4.9).

A denial is raised in AWS's words (spec 4.12) and keeps the decision's reason for the log.
"""

from __future__ import annotations

from stsd.authz import evaluate
from stsd.authz.context import Context
from stsd.authz.evaluate import Decision
from stsd.directory import Role, RootUser
from stsd.errors import AccessDenied
from stsd.policy import NamedPolicy
from stsd.principal import Caller
from stsd.view import View

BECAUSE = {
    "explicit_deny_identity": "with an explicit deny in an identity-based policy",
    "explicit_deny_session": "with an explicit deny in a session policy",
    "no_identity_allow": "because no identity-based policy allows the {action} action",
    "no_session_allow": "because no session policy allows the {action} action",
}
"""What AWS adds to a denial, by the decision's reason (spec 4.12)."""


def identity_policies(caller: Caller, view: View) -> tuple[NamedPolicy, ...]:
    """The identity policies of a caller, read live (spec 4.9.4); none when its user or role is gone."""
    if caller.principal.kind == "federated":
        return ()
    holder = view.holder(caller.principal)
    return () if holder is None else holder.policies


def decide(caller: Caller, action: str, resource: str, context: Context, view: View) -> Decision:
    """What the caller's own policies say about `action` on `resource`."""
    return evaluate.decide_identity(
        action,
        resource,
        context,
        identity_policies(caller, view),
        view.session_policies(caller.session),
        root=isinstance(view.holder(caller.principal), RootUser),
    )


def by_identity(caller: Caller, action: str, resource: str, context: Context, view: View) -> None:
    """Raises AccessDenied unless the caller's own policies allow `action`; a resource of `*` is not printed."""
    decision = decide(caller, action, resource, context, view)
    if not decision.allowed:
        raise denial(caller, action, "" if resource == "*" else resource, decision)


def by_trust(caller: Caller, action: str, role: Role, context: Context, view: View) -> None:
    """Raises AccessDenied unless the role's trust policy and the caller's side allow `action` (spec 4.9.4).

    The text never says which side refused (spec 3.2.1 row 7).
    """
    decision = evaluate.decide_trust(
        caller.principal,
        action,
        role.arn,
        role.account,
        role.trust,
        context,
        identity_policies(caller, view),
        view.session_policies(caller.session),
    )
    if not decision.allowed:
        raise not_authorized(caller, action, role.arn, decision.reason)


def is_user_session(caller: Caller) -> bool:
    """Whether this is a session of a user or a root user, from GetSessionToken or AssumeRoot."""
    return caller.session is not None and caller.principal.kind in ("user", "root")


def refuse_limited(caller: Caller, action: str) -> None:
    """Raises AccessDenied for sessions of users and of federated users, which may call next to nothing of STS whatever
    their policies say, with MFA or without (spec 3.0.1)."""
    if is_user_session(caller) or caller.principal.kind == "federated_user":
        raise denial(caller, action, "", Decision("implicit_deny", "limited_session", ()))


def not_authorized(caller: Caller, action: str, resource: str, reason: str) -> AccessDenied:
    """The denial without a suffix: AssumeRole's, identical for a missing role and for a refusal. A federated principal
    is not told who it is (spec 4.12)."""
    if caller.principal.kind == "federated":
        return AccessDenied(f"Not authorized to perform {action}", reason=reason)
    return AccessDenied(
        f"User: {caller.principal.arn} is not authorized to perform: {action} on resource: {resource}", reason=reason
    )


def denial(caller: Caller, action: str, resource: str, decision: Decision) -> AccessDenied:
    """The denial of every other action, with its reason in AWS's words where it has one."""
    on = f" on resource: {resource}" if resource else ""
    because = BECAUSE.get(decision.reason, BECAUSE["no_identity_allow"]).format(action=action)
    return AccessDenied(
        f"User: {caller.principal.arn} is not authorized to perform: {action}{on} {because}", reason=decision.reason
    )
