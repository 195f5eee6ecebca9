"""One machine of a simulated cluster: its disk, its clock, its identity key, and the process that runs on it, if one
does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cluster.sim.client import Request, region_of
from cluster.sim.membership import Membership
from stsd.principal import Session
from stsd.revocation.identity import SEED_BYTES, Signer
from stsd.revocation.messages import Batch, Origin
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import Denial, RevocationSet

if TYPE_CHECKING:
    from cluster.sim.world import World


@dataclass(slots=True)
class Waiting:
    """Clients whose revocations are stored up to `sequence`, and who wait for a second copy until then."""

    sequence: int
    requests: list[Request]
    until: float


@dataclass(slots=True)
class Process:
    """What a crash destroys."""

    replica: Replica
    revoked: RevocationSet
    membership: Membership
    started_at: float
    known: set[bytes] = field(default_factory=set)
    """The world's own record of which entries arrived here."""
    queue: list[bytes] = field(default_factory=list)
    saving: list[Request] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    """The machine of each other region, as the peer set says."""
    beyond: list[Batch] = field(default_factory=list)
    """What nodes that left had said beyond their limit or behind a gap, to be said anew."""
    adopting: Batch | None = None
    """The one of them that is being stored."""


class Machine:
    """Its name is its address."""

    def __init__(self, world: World, name: str, skew_s: float) -> None:
        self.world, self.name, self.skew_s = world, name, skew_s
        self.region = region_of(name)
        self.disk = world.new_disk(name)
        self.disk.seed = world.scheduler.random.randbytes(SEED_BYTES)
        self.process: Process | None = None
        self.wiped = False
        self.removed = False
        """The operator has removed it, whoever knows that already."""
        self.retired = False
        """It was switched off for good."""
        self.origins: dict[Origin, bytes] = {}
        """Under which it has written, and with which key."""
        self._signer: tuple[bytes, Signer] | None = None
        self.unknown_kinds: frozenset[str] = frozenset()
        """Kinds of revocations that a node of an earlier version does not know; nor does it know checkpoints."""

    @property
    def now(self) -> float:
        """This machine's clock, Unix seconds."""
        return self.world.unix_now + self.skew_s

    @property
    def serving(self) -> Process | None:
        """The process, if it answers clients."""
        process = self.process
        return process if process and process.replica.joined and not process.membership.left else None

    @property
    def signer(self) -> Signer:
        """This machine's identity key."""
        if self._signer is None or self._signer[0] != self.disk.seed:
            self._signer = self.disk.seed, Signer(self.disk.seed)
        return self._signer[1]

    @property
    def writes_as(self) -> Origin | None:
        """Under which origin it writes, if it runs."""
        return self.process.replica.origin if self.process else None

    def verify(self, session: Session) -> Denial | None:
        """Why the process refuses a session, or None."""
        assert self.process is not None
        return self.process.revoked.check(session, self.now)

    def crash(self) -> None:
        """Stop at once; the disk keeps what was synced."""
        self.process = None
        self.disk.crash()
