"""Principals: any identity that a policy can name, and the sessions that act for them (spec 2.7.3).

All of them are values and are never changed. Those that are made for every verified token are not frozen, because
freezing makes a dataclass seven times slower to build.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["root", "user", "assumed_role", "federated_user"]


@dataclass(slots=True, unsafe_hash=True)
class Principal:
    """Who acts. `arn` and `user_id` are what GetCallerIdentity prints and `aws:userid` holds.

    `policy_arn` is `aws:PrincipalArn`: the role's ARN with its path for role sessions, else `arn` (spec 4.7).
    `unique_id` is the AIDA or AROA id that stored trust policies bind to (spec 4.3); the account id for root.
    `name` is the user's, the role's or the federated user's name.
    """

    kind: Kind
    account: str
    arn: str
    user_id: str
    policy_arn: str
    unique_id: str
    name: str


@dataclass(slots=True, unsafe_hash=True)
class Ancestor:
    """One credential that a session was chained from; what a revocation of it needs to know (contract 6).

    `region` issued it; empty for a long-term key, which no clock has dated.
    """

    access_key_id: str
    arn: str
    issued_at_ms: int
    region: str


@dataclass(slots=True, unsafe_hash=True)
class Session:
    """What a session token says: one set of temporary credentials, by the node that issued it.

    Instants are Unix seconds, `issued_at_ms` Unix milliseconds. `ancestors` runs from the long-term key, whose
    `issued_at_ms` is 0, to the session that was used last. `session_policies` are JSON texts, the inline one
    first; `session_policy_arns` name managed policies that are read live (spec 3.2.4). `mfa_at` is when an MFA
    code was given, else None.
    """

    access_key_id: str
    principal: Principal
    token_id: str
    key_id: str
    issuer: str
    region: str
    issued_at_ms: int
    expires_at: int
    ancestors: tuple[Ancestor, ...] = ()
    session_policies: tuple[str, ...] = ()
    session_policy_arns: tuple[str, ...] = ()
    source_identity: str = ""
    mfa_at: int | None = None

    @property
    def filtered(self) -> bool:
        """Whether session policies narrow this session (spec 3.2.4)."""
        return bool(self.session_policies or self.session_policy_arns)


@dataclass(slots=True, unsafe_hash=True)
class Caller:
    """The principal behind this request, with the credential it used; `session` is None for a long-term key."""

    principal: Principal
    access_key_id: str
    session: Session | None = None
