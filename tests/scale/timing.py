"""What of replication costs a core how long: where the times of `cluster.scale.costs` come from.

`python -m tests.scale.timing` measures them anew, half a minute on a quiet machine: CPU time of this process, medians.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

from stsd.revocation import entries
from stsd.revocation.codec import decode_message, encode_message
from stsd.revocation.identity import SEED_BYTES, Identities, Signer
from stsd.revocation.messages import Announcement, Batch, Delta, Origin, Ready
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import Revocation, RevocationSet
from stsd.server import rows
from stsd.server.journal import Journal

NOW, UNTIL = 1_795_000_000.0, 1_795_438_800
HERE, THERE = "us-east-1", "eu-west-1"
ROUNDS, BATCHES, LARGE = 15, 2_000, 1_000
"""How often all is measured, how many batches of one entry at a time, and how many entries a large batch has."""


@dataclass(frozen=True, slots=True)
class Times:
    """CPU time in seconds, each without its entry: of a batch that comes by itself, of one among others in the answer
    to a fetch, of storing one among these; and of one entry."""

    push: float
    page: float
    stored: float
    entry: float


class Receiver:
    """A replica and what it enforces. A push comes each second, so no rate limit matters."""

    def __init__(self, announced: tuple[Announcement, ...]) -> None:
        self.now, self.enforced = NOW, RevocationSet()
        self._replica = _replica(HERE, THERE, b"\x01")
        self._replica.receive(THERE, Delta(0, (), "last", announced), self.now)

    def take(self, content: bytes) -> None:
        """Decode a message, check it, apply it, and say that it is stored."""
        self.now += 1
        ready = self._replica.receive(THERE, decode_message(content), self.now)
        self._apply(ready)
        self._replica.saved(ready, self.now)

    def _apply(self, ready: Ready) -> None:
        for batch in ready.applied:
            for entry in batch.entries:
                if entries.decode_step(entry) is None:
                    self.enforced.add(entries.decode_revocation(entry), batch.origin.region, self.now)


def _replica(region: str, peer: str, seed: bytes) -> Replica:
    origin, signer = Origin(region, "n1", "0" * 16), Signer(seed * SEED_BYTES)
    return Replica(origin, (peer,), NOW, signer=signer, identities=Identities(bytes(32)), joined=True)


def pushes(batches: int, size: int) -> Iterator[Delta]:
    """What a node says that revokes, `size` at a time."""
    replica = _replica(THERE, HERE, b"\x02")
    for number in range(batches):
        keys = range(number * size, (number + 1) * size)
        said = [entries.encode_revocation(Revocation("access_key", f"ASIA{key:016d}", 0, UNTIL)) for key in keys]
        ((_, push),) = replica.committed(replica.append(said, NOW), NOW).send
        assert isinstance(push, Delta)
        yield push


def took_s(work: Callable[[], None]) -> float:
    """CPU time of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def received_s(said: list[Delta]) -> float:
    """To take in all of these messages."""
    receiver, contents = Receiver(said[0].identities), [encode_message(one) for one in said]
    spent = took_s(lambda: [receiver.take(content) for content in contents] and None)
    assert len(receiver.enforced) == sum(len(batch.entries) for one in said for batch in one.batches)
    return spent


def stored_s(batches: list[Batch]) -> float:
    """To keep batches in a journal, all in one commit."""

    async def keep(folder: str) -> float:
        journal = await Journal.open(Path(folder) / "journal.db")
        began = time.process_time()
        await journal.keep([rows.of_batch(batch) for batch in batches])
        spent = time.process_time() - began
        await journal.close()
        return spent

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(keep(folder))


def measure(rounds: int = ROUNDS, batches: int = BATCHES) -> Times:
    """The medians of so many rounds."""
    single, large = list(pushes(batches, 1)), list(pushes(5, LARGE))
    together = [batch for one in single for batch in one.batches]
    page = Delta(0, tuple(together), "last", single[0].identities)
    found = []
    for _ in range(rounds):
        entry = received_s(large) / 5 / LARGE
        alone, among = received_s(single) / batches - entry, received_s([page]) / batches - entry
        found.append((alone, among, stored_s(together) / batches, entry))
    return Times(*map(median, zip(*found, strict=True)))


if __name__ == "__main__":
    names = ("a batch that comes by itself", "one in the answer to a fetch", "storing that", "each entry")
    for name, seconds in zip(names, astuple(measure()), strict=True):
        print(f"{name:30} {seconds * 1e6:6.1f} µs")
