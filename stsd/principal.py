"""Principals: any identity that a policy can name, and the sessions that act for them (spec 2.7.3).

All of them are values and are never changed. Those that are made for every verified token are not frozen, because
freezing makes a dataclass seven times slower to build.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["root", "user", "assumed_role", "federated_user", "federated"]
"""`federated` is whoever holds a third party's assertion, while it is exchanged for a session (spec 3.3, 3.4)."""


@dataclass(slots=True, unsafe_hash=True)
class Principal:
    """Who acts. `arn` and `user_id` are what GetCallerIdentity prints and `aws:userid` holds.

    `policy_arn` is `aws:PrincipalArn`: the role's ARN with its path for role sessions, else `arn` (spec 4.7).
    `unique_id` is the AIDA or AROA id that stored trust policies bind to (spec 4.3); the account id for root, and for
    a federated user the id of the user or the account that made its session, for `federated` the provider's ARN.
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
    code was given, else None. `tags` are the session tags, those whose keys are in `transitive` pass on (spec 3.2.6).
    `provider` is the identity provider behind a federated session, its ARN or the host of a built-in one, and
    `provider_keys` the condition keys of its assertion that persist (spec 3.3.3, 3.4.2). `token_version` 1 is valid in
    default regions only (spec 5.3).
    `task_policy` is the ARN of the policy that an AssumeRoot session is limited to (spec 3.5). `confirmation` is the
    public key of the session's SigV4A signatures, two coordinates in base64url, for roles that ask for it.
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
    tags: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()
    provider: str = ""
    provider_keys: tuple[tuple[str, str | tuple[str, ...]], ...] = ()
    token_version: int = 2
    task_policy: str = ""
    confirmation: tuple[str, str] | None = None

    @property
    def filtered(self) -> bool:
        """Whether session policies narrow this session (spec 3.2.4)."""
        return bool(self.session_policies or self.session_policy_arns)


@dataclass(slots=True, unsafe_hash=True)
class Caller:
    """The principal behind this request, with the credential it used; `session` is None for a long-term key.

    Who holds a third party's assertion has no credential yet: an empty `access_key_id`.
    """

    principal: Principal
    access_key_id: str
    session: Session | None = None


ANYBODY = Caller(Principal("federated", "", "", "anonymous", "", "", ""), "")
"""Who calls an operation that is not authenticated, before the assertion in the request has told."""
