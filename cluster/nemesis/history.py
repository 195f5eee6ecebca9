"""What clients of a cluster did and saw, as a list of operations with the times of one clock. Pure.

Times are seconds since the history began, taken in one process: an operation that began after another one ended really
came later. An outcome is `ok` (an answer), `fail` (the service certainly did nothing) or `info` (nobody knows: a
time-out, a broken connection, a gateway's doubt).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

Outcome = Literal["ok", "fail", "info"]
Action = Literal["revoke", "verify", "use"]


class Link(NamedTuple):
    """A session that another one was chained from: its key, ARN, instant of issue (ms) and issuing region."""

    key: str
    arn: str
    issued_ms: int
    region: str


@dataclass(frozen=True, slots=True)
class Session:
    """One session as its token tells it, without the token. `known_at`: when its client had it."""

    key: str
    arn: str
    role: str
    region: str
    issued_ms: int
    known_at: float
    ancestors: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One call in one region by one client.

    `revoke` names a `subject` of a `kind`; a good answer has the `entry` (origin and sequence), its `copies` and its
    `revocation_token`. `verify` and `use` ask about a `session`; `accepted` is the answer, `reason` says why not, and
    `at_least` is the revocation token that was passed, if any.
    """

    action: Action
    client: int
    region: str
    began_at: float
    ended_at: float
    outcome: Outcome
    kind: str = ""
    subject: str = ""
    entry: tuple[str, int] = ("", 0)
    copies: int = 0
    revocation_token: str = ""
    session: str = ""
    accepted: bool = False
    reason: str = ""
    at_least: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was done to the cluster, from when it began to when it was over again (`ended_at`)."""

    verb: str
    where: tuple[str, ...]
    began_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One revocation as a region's feed tells it in the end; `issued_before_ms` is its cut-off, 0 without one."""

    origin: str
    sequence: int
    kind: str
    subject: str
    issued_before_ms: int

    @property
    def region(self) -> str:
        """The region whose node decided it."""
        return self.origin.partition("/")[0]

    @property
    def name(self) -> tuple[str, int]:
        """What names it: origin and sequence."""
        return self.origin, self.sequence


@dataclass(frozen=True, slots=True)
class History:
    """Everything that one run recorded.

    `final` holds each region's entries in the end, `refused_in_the_end` the sessions it then refused; a region that did
    not answer is in neither. `agreed_after_s`: seconds from the end of the last fault until every region had the same
    heads, None if never.
    """

    regions: tuple[str, ...]
    sessions: Mapping[str, Session]
    operations: Sequence[Operation]
    faults: Sequence[Fault]
    final: Mapping[str, Sequence[Entry]]
    refused_in_the_end: Mapping[str, frozenset[str]]
    agreed_after_s: float | None
    seed: int = 0

    def told(self) -> dict[str, Any]:
        """As JSON; there are no tokens and no secrets in it."""
        members = asdict(self)
        members["refused_in_the_end"] = {region: sorted(keys) for region, keys in self.refused_in_the_end.items()}
        return members


@dataclass(slots=True)
class Recorder:
    """Collects while a run goes on."""

    sessions: dict[str, Session] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def add(self, operations: Iterable[Operation]) -> None:
        """Operations that have ended."""
        self.operations.extend(operations)
