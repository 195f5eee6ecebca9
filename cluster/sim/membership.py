"""The peer set of a simulated node: what a server does around it (stsd.server.membership, sponsor), in virtual time.

A record that came is on disk before it has any effect; records are taken in one after the other. Each second every
peer hears the digest of what is known here; who knows something else sends all of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stsd.revocation import joining
from stsd.revocation.joining import JoinError
from stsd.revocation.messages import Origin, PeerNews
from stsd.revocation.peer_records import Peer
from stsd.revocation.peer_set import PeerSet

if TYPE_CHECKING:
    from cluster.sim.machine import Machine

Records = Callable[[], Iterable[bytes]]
Done = Callable[[str], None]
"""Hears why records could not be kept; empty if they are."""


def url(machine: str) -> str:
    """Where a machine of this name is reached."""
    return f"http://{machine}"


def machine_of(peer: Peer) -> str:
    """The machine that a record names."""
    return urlsplit(peer.url).hostname or ""


class Membership:
    """What a running node knows of the peer set. `changed` is called when it grew, `refused` with why a record changed
    nothing."""

    def __init__(
        self, node: Machine, peers: PeerSet, changed: Callable[[], None], refused: Callable[[str], None]
    ) -> None:
        self.peers = peers
        self._node, self._changed, self._refused = node, changed, refused
        self._jobs: deque[tuple[Records, Done]] = deque()

    @property
    def left(self) -> bool:
        """Whether this node belongs to the cluster no more."""
        return not self.believes(self._node)

    def believes(self, machine: Machine) -> bool:
        """Whether a machine belongs to the cluster, so that its messages are heard."""
        return self.peers.is_member(machine.region, machine.signer.public_key)

    def limit(self, origin: Origin, public_key: bytes) -> int | None:
        """How far an origin is believed."""
        return self.peers.limit(origin, public_key)

    def has_left(self, public_key: bytes) -> bool:
        """Whether the node with this key was removed."""
        return self.peers.has_left(public_key)

    @property
    def busy(self) -> bool:
        """Whether records are being stored, so that others wait for their turn."""
        return bool(self._jobs)

    def knows(self, records: Iterable[bytes]) -> bool:
        """Whether all of these are known here."""
        return {*records} <= {*self.peers.records()}

    def addresses(self) -> dict[str, str]:
        """The machines of the other regions; who left has none."""
        members = {} if self.left else self.peers.members()
        return {region: machine_of(peer) for region, peer in members.items() if region != self._node.region}

    def news(self, *, whole: bool = False) -> PeerNews:
        """What to tell a peer."""
        return PeerNews(0, self.peers.digest(), self.peers.records() if whole else ())

    def hear(self, news: PeerNews, answer: Callable[[], None]) -> None:
        """Take in what a peer knows; `answer` is called when it lacks something that is known here."""
        if news.digest == self.peers.digest():
            return

        def heard(fault: str) -> None:
            if not fault and news.digest != self.peers.digest() and self.peers.knows_more_than(news.records):
                answer()

        self.keep(lambda: news.records, heard)

    def keep(self, records: Records, done: Done) -> None:
        """Store records, then take them in. `records` is called when it is their turn, and may raise JoinError."""
        self._jobs.append((records, done))
        if len(self._jobs) == 1:
            self._next()

    def admit(self, request: bytes, answer: Callable[[bytes], None]) -> None:
        """A machine with a ticket asks; the sealed answer when its record is stored, nothing when it is refused."""
        asked: list[joining.Request] = []

        def record() -> Iterator[bytes]:
            asked.append(joining.read_request(self.peers, request, self._node.now))
            return iter((asked[0].record,))

        def kept(fault: str) -> None:
            if fault:
                self._refused(fault)
            else:
                content = {"peers": [each.hex() for each in self.peers.records()]}
                answer(joining.seal_answer(self._node.signer, asked[0], content))

        self.keep(record, kept)

    def _next(self) -> None:
        while self._jobs:
            records, done = self._jobs[0]
            try:
                come = tuple(records())
            except JoinError as error:
                self._jobs.popleft()
                done(error.reason)
                continue
            grown = self.peers.copy()
            results = [grown.take(record) for record in come]
            for reason in results:
                if reason not in ("new", "known"):
                    self._refused(reason)
            if "new" in results:
                self._node.disk.write((), partial(self._stored, come, done), records=grown.records())
                return
            self._jobs.popleft()
            done(next((reason for reason in results if reason != "known"), ""))

    def _stored(self, records: Iterable[bytes], done: Done, ok: bool) -> None:
        self._jobs.popleft()
        if ok:
            for record in records:
                self.peers.take(record)
            self._changed()
        done("" if ok else "not_stored")
        self._next()
