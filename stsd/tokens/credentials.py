"""Temporary credentials: access key id, secret access key and session token, issued without storing anything."""

from __future__ import annotations

from binascii import b2a_base64
from dataclasses import dataclass, field

from stsd import key_ids
from stsd.principal import Ancestor, Caller, Principal, Session
from stsd.tokens import key_pairs, session_token
from stsd.tokens.keyset import Entropy, KeySet

MAX_CHAIN = 16
"""A token names at most this many sessions that it was chained from (contract 6)."""


@dataclass(slots=True)
class Credentials:
    """What the caller receives; `expiration` is in Unix seconds, `tells_size` whether the answer says how large the
    token is. As all that is made for every request it is a value
    that nobody changes and not frozen, which would make it several times slower to build."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expiration: int
    tells_size: bool = False


@dataclass(slots=True)
class Grant:
    """What a new session may be: for whom, for how long (seconds), narrowed by which session policies, and what it
    carries; see Session. `least_token_bytes` is how large its token has to be, None where nobody asked."""

    principal: Principal
    duration_s: int
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
    confirmation_key: bool = False
    least_token_bytes: int | None = None


def issue(
    grant: Grant,
    caller: Caller,
    *,
    keys: KeySet,
    issuer: str,
    region: str,
    entropy: Entropy,
    now: float,
    issued_at_ms: int,
) -> Credentials:
    """New credentials for `grant`, signed with the active token key; expiry is the second `now` + duration (3.2.3).
    Cut-offs compare with `issued_at_ms`."""
    active = keys.active
    access_key_id = key_ids.new_access_key_id("ASIA", grant.principal.account, entropy)
    token_id = b2a_base64(entropy(15), newline=False).translate(session_token.TO_URL).decode("ascii")
    # By position, because a class whose arguments are named takes several times as long to build.
    session = Session(
        access_key_id,
        grant.principal,
        token_id,
        active.kid,
        issuer,
        region,
        issued_at_ms,
        int(now) + grant.duration_s,
        lineage(caller),
        grant.session_policies,
        grant.session_policy_arns,
        grant.source_identity,
        grant.mfa_at,
    )
    session.tags, session.transitive = grant.tags, grant.transitive
    session.provider, session.provider_keys = grant.provider, grant.provider_keys
    session.token_version, session.task_policy = grant.token_version, grant.task_policy
    secret = session_token.secret_access_key(active, access_key_id, token_id)
    if grant.confirmation_key:
        session.confirmation = key_pairs.coordinates(access_key_id, secret)
    return Credentials(
        access_key_id,
        secret,
        session_token.sign(session, active, grant.least_token_bytes or 0),
        session.expires_at,
        grant.least_token_bytes is not None,
    )


def lineage(caller: Caller) -> tuple[Ancestor, ...]:
    """The credentials that a session made by `caller` is chained from: the long-term key first (contract 6); none for
    who came with a third party's assertion."""
    if not caller.access_key_id:
        return ()
    if caller.session is None:
        return (Ancestor(caller.access_key_id, caller.principal.arn, 0, ""),)
    session = caller.session
    parent = Ancestor(session.access_key_id, session.principal.arn, session.issued_at_ms, session.region)
    return (*session.ancestors, parent)


def chain_length(caller: Caller) -> int:
    """How many sessions a session made by `caller` would be chained from."""
    if caller.session is None:
        return 0
    return 1 + sum([1 for ancestor in caller.session.ancestors if ancestor.issued_at_ms])
