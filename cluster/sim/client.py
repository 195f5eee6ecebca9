"""What clients do in a simulated world: sessions they were issued, and revocations they asked for.

Everything lives seconds instead of hours: sessions, what is chained from them, and with them the rules of how long a
revocation is kept. The allowance for skew is the real one.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from random import Random

from stsd.principal import Ancestor, Principal, Session
from stsd.revocation import revocation_set
from stsd.revocation.entries import decode_revocation, encode_revocation
from stsd.revocation.messages import Origin
from stsd.revocation.revocation_set import EPSILON_MS, FORGET_AFTER_S, Revocation, Rule, over_at

SESSION_S_MAX = 12
CHAIN_MAX = 2
"""Links after a session that is revoked by its name."""
DESCENDANTS_LIVE_S = CHAIN_MAX * SESSION_S_MAX
TAIL_S = 6.0
RULES: Mapping[str, Rule] = {
    kind: replace(rule, kept_after_s=FORGET_AFTER_S + (DESCENDANTS_LIVE_S if rule.kept_after_s > FORGET_AFTER_S else 0))
    for kind, rule in revocation_set.RULES.items()
}
SESSIONS_PER_KEY = 12
"""A long-term key is used this often, so that its revocation, which lives for ever, does not deny everything."""
ACCOUNTS = ("111122223333", "444455556666")
NAMES = ("build", "deploy")
KINDS = {"access_key": 10, "key": 1, "session": 4, "source_identity": 2, "role": 2, "principal": 1, "account": 1}


@dataclass(slots=True)
class Request:
    """A revocation that a client asked the machine `node` for. `acked_at` stays None without an answer. `holders` are
    the machines that had it when it was answered, or when one of them was removed."""

    revocation: Revocation
    entry: bytes
    node: str
    asked_at: float
    target: Session
    origin: Origin | None = None
    sequence: int = 0
    stored_at: float | None = None
    acked_at: float | None = None
    holders: tuple[str, ...] = ()
    token: str = ""
    anew: frozenset[bytes] = frozenset()
    """The entries with which others have said it anew."""

    def on(self, entries: Container[bytes]) -> bool:
        """Whether it is among these, in one form or another."""
        return self.entry in entries or any(entry in entries for entry in self.anew)


@dataclass(slots=True)
class Issued:
    """A session and when it was truly issued, in virtual seconds."""

    session: Session
    issued_at: float
    denied_at: set[str] = field(default_factory=set)


def issue(chance: Random, region: str, now: float, number: int, parent: Session | None) -> Session:
    """A session of a random principal, issued by a node of `region` whose clock says `now`."""
    account = chance.choice(ACCOUNTS) if parent is None else parent.principal.account
    key = f"AKIA{account}{chance.choice(NAMES)}{number // SESSIONS_PER_KEY}"
    ancestors: tuple[Ancestor, ...] = (Ancestor(key, f"arn:aws:iam::{account}:user/{key}", 0, ""),)
    if parent is not None:
        ancestors = (
            *parent.ancestors,
            Ancestor(parent.access_key_id, parent.principal.arn, parent.issued_at_ms, parent.region),
        )
    role = chance.random() < 0.8 or parent is not None
    return Session(
        access_key_id=f"ASIA{number:06d}",
        principal=_role_session(chance, account) if role else _user(account, key),
        token_id=f"t{number}",
        key_id="k",
        issuer="sim",
        region=region,
        issued_at_ms=int(now * 1000),
        expires_at=int(now) + chance.randint(5, SESSION_S_MAX),
        ancestors=ancestors,
        source_identity=parent.source_identity if parent else chance.choice(("", "ana", "bo")),
    )


def revocation_of(chance: Random, session: Session, now: float, number: int) -> Revocation:
    """A random way to revoke a session, decided by a node whose clock says `now`; `reason` makes it unique."""
    kind = chance.choices(tuple(KINDS), tuple(KINDS.values()))[0]
    principal = session.principal
    if kind == "source_identity" and not session.source_identity:
        kind = "access_key"
    if kind in ("session", "role") and principal.kind != "assumed_role":
        kind = "principal"
    if kind == "principal" and principal.kind == "assumed_role":
        kind = "role"
    subject = {
        "access_key": session.access_key_id,
        "key": session.ancestors[0].access_key_id,
        "session": principal.arn,
        "source_identity": f"{principal.account}/{session.source_identity}",
        "role": principal.policy_arn,
        "principal": principal.arn,
        "account": principal.account,
    }[kind]
    if kind == "key":
        return Revocation("access_key", subject, 0, None, f"request {number}")
    cutoff_ms = 0 if kind == "access_key" else int(now * 1000) + 1
    applies_until = session.expires_at if kind == "access_key" else int(now) + 1 + SESSION_S_MAX
    return Revocation(kind, subject, cutoff_ms, applies_until, f"request {number}")


def entry_over_at(entry: bytes) -> float:
    """When an entry is over, in this world."""
    revocation = decode_revocation(entry)
    return over_at(revocation, RULES) if revocation.kind in RULES else inf


def request(revocation: Revocation, node: str, asked_at: float, target: Session) -> Request:
    """A client's request to `node`."""
    return Request(revocation, encode_revocation(revocation), node, asked_at, target)


def region_of(machine: str) -> str:
    """A region's first machine is called as it, those that come later have a number behind a dot."""
    return machine.partition(".")[0]


def refuses(asked: Request, session: Session) -> bool:
    """The meaning of a revocation, said a second time and without shortcuts, to judge the revocation set by."""
    revocation, principal = asked.revocation, session.principal
    role = principal.kind == "assumed_role"

    def cutoff_ms(region: str) -> int:
        """The cut-off for what a node of `region` issued, by its own clock."""
        return revocation.issued_before_ms + (0 if region == region_of(asked.node) else EPSILON_MS)

    before = session.issued_at_ms < cutoff_ms(session.region)
    match revocation.kind:
        case "access_key":
            ids = [session.access_key_id, *(ancestor.access_key_id for ancestor in session.ancestors)]
            return revocation.subject in ids
        case "session":
            issued = [(principal.arn, session.issued_at_ms, session.region)] if role else []
            issued += [(each.arn, each.issued_at_ms, each.region) for each in session.ancestors]
            return any(arn == revocation.subject and at <= cutoff_ms(region) for arn, at, region in issued)
        case "source_identity":
            return before and revocation.subject == f"{principal.account}/{session.source_identity}"
        case "role":
            return before and role and revocation.subject == principal.policy_arn
        case "principal":
            return before and not role and revocation.subject == principal.arn
        case _:
            return before and revocation.subject == principal.account


def _role_session(chance: Random, account: str) -> Principal:
    role, name = chance.choice(NAMES), chance.choice(NAMES)
    return Principal(
        "assumed_role",
        account,
        f"arn:aws:sts::{account}:assumed-role/{role}/{name}",
        f"AROA{role}:{name}",
        f"arn:aws:iam::{account}:role/{role}",
        f"AROA{role}",
        role,
    )


def _user(account: str, key: str) -> Principal:
    arn = f"arn:aws:iam::{account}:user/{key}"
    return Principal("user", account, arn, f"AIDA{key}", arn, f"AIDA{key}", key)
