"""The embedded backbone: every node calls every other one over HTTP; what is kept is in their journals.

Each peer has a queue. What is new for it goes out at once, in up to CALLS_AT_ONCE calls; what waits meanwhile goes
together. The answers of a call are messages too. A queue that is full takes nothing more: what is not sent now is
asked for after the next exchange of heads.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from stsd.revocation import codec
from stsd.revocation.messages import Delta, Fetch, Head, Origin, PeerNews, Sent
from stsd.server.backbone import BackboneUnavailable, Deliver, Heard, Receipt, Refused, State
from stsd.server.backbone.calls import background
from stsd.server.backbone.links import PeerLinks, PeerUnavailable
from stsd.server.backbone.sealing import news_of
from stsd.server.backbone.snapshot_files import SnapshotFiles
from stsd.server.keeper import Report
from stsd.server.membership import Membership
from stsd.wire import envelope
from stsd.wire.envelope import EnvelopeError, UnknownSender

MAX_QUEUED_MESSAGES = 1_000
MAX_CALL_BYTES = envelope.MAX_BYTES // 2
"""What waits for a peer goes in one call up to this size; a message more still fits into an envelope."""
CALLS_AT_ONCE = 4
"""To one peer: what is new does not wait until what went before is answered, a round trip later."""

Answer = Callable[[str, Sent], Awaitable[Sequence[Sent]]]
"""Has the shell take in a peer's message; what comes back is for that peer."""


class _Outgoing(NamedTuple):
    """A message that waits, and who is told whether its call was answered."""

    message: bytes
    done: asyncio.Future[bool] | None


class HttpBackbone:
    """A node's calls to its peers; theirs to it arrive through `receive`."""

    def __init__(self, links: PeerLinks, membership: Membership, snapshots: SnapshotFiles, report: Report) -> None:
        self.calls = links.calls
        self._links, self._membership, self._report = links, membership, report
        self._snapshots, self._heard = snapshots, Heard()
        self._urls = membership.urls()
        self._outgoing: dict[str, asyncio.Queue[_Outgoing]] = {}
        self._calling: dict[str, int] = {}
        self._unreachable: dict[str, str] = {}
        self._unmet = set(self._urls)
        self._met_all = asyncio.Event()
        if not self._unmet:
            self._met_all.set()
        self._talks: dict[str, asyncio.Task[None]] = {}
        self._farewells: set[asyncio.Task[None]] = set()

    @property
    def peers(self) -> tuple[str, ...]:
        """The other regions of the peer set."""
        return tuple(self._urls)

    def tail(self, deliver: Deliver, refused: Refused) -> None:
        """Begin to call."""
        self._deliver, self._refused = deliver, refused
        for peer in self._urls:
            self._begin(peer)

    def regroup(self, farewell: PeerNews) -> None:
        """End with who left, and call who came; a node elsewhere in the same region is both."""
        before, self._urls = self._urls, self._membership.urls()
        for peer, url in before.items() - self._urls.items():
            self._end(peer)
            self._report("peer_left", peer=peer)
            parting = background(self._part(peer, url, farewell))
            self._farewells.add(parting)
            parting.add_done_callback(self._farewells.discard)
        for peer, _ in self._urls.items() - before.items():
            self._begin(peer)
            self._report("peer_joined", peer=peer)

    async def append(self, push: Delta) -> Receipt:
        """Push a batch to every peer; returns when the first has answered. Raises BackboneUnavailable."""
        message, loop = codec.encode_message(push), asyncio.get_running_loop()
        answered = {peer: loop.create_future() for peer in self.peers}
        for peer, done in answered.items():
            if not self._queue(peer, message, done):
                done.set_result(False)
        for first in asyncio.as_completed(answered.values()):
            if await first:
                return Receipt(tuple(peer for peer, done in answered.items() if done.done() and done.result()))
        raise BackboneUnavailable("no_peer")

    def fetch(self, peer: str, wanted: Fetch) -> None:
        """Ask the peer."""
        self.tell((peer,), wanted)

    def tell(self, peers: Sequence[str], message: Sent) -> None:
        """Queue a message for some peers."""
        content = codec.encode_message(message)
        for peer in peers:
            self._queue(peer, content)

    def heads(self) -> Mapping[Origin, Head]:
        """How far each log goes, as peers have told."""
        return self._heard.heads

    def state(self) -> State:
        """Up while any peer answers, or where there is none."""
        return State("http", not self.peers or len(self._unreachable) < len(self.peers))

    async def snapshot_put(self, snapshot: bytes) -> None:
        """Keep a snapshot in the node's data directory."""
        await self._snapshots.put(snapshot)

    async def snapshot_get(self) -> bytes | None:
        """The newest one there."""
        return await self._snapshots.get()

    @property
    def met(self) -> bool:
        """Whether every peer that answers has told what it knows."""
        return not self._unmet

    async def meet(self) -> None:
        """Wait until `met`."""
        await self._met_all.wait()

    async def stop(self) -> None:
        """End the calls."""
        tasks = [*self._talks.values(), *self._farewells]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._links.close()

    async def receive(self, sealed: bytes, answer: Answer) -> bytes:
        """A peer's call and our answer. Raises EnvelopeError for what is not authentic, current and well-formed."""
        try:
            header, messages = self._links.open(sealed)
        except UnknownSender as stranger:
            return await self._hear_stranger(stranger, answer)
        try:
            known = list(self._known(header.sender, messages))
        except codec.CodecError as error:
            raise EnvelopeError(error.reason, header.sender) from error
        answers: list[bytes] = []
        for message in known:
            self._heard.note(message)
            answers += map(codec.encode_message, await answer(header.sender, message))
        return self._links.reply(header, answers)

    async def _hear_stranger(self, stranger: UnknownSender, answer: Answer) -> bytes:
        """Peer set records prove themselves, so they are taken and given; nothing else counts. Raises UnknownSender
        when there are none."""
        news = news_of(stranger)
        if not news:
            raise stranger
        self._refused(stranger.reason, stranger.sender)
        answers: list[bytes] = []
        for each in news:
            answers += map(codec.encode_message, await answer(stranger.header.sender, each))
        return self._links.reply(stranger.header, answers)

    def _known(self, peer: str, messages: Iterable[bytes]) -> Iterator[Sent]:
        """A peer's messages, but those of a later version, which are told. Raises CodecError for a wrong one."""
        for content in messages:
            try:
                yield codec.decode_sent(content)
            except codec.CodecError as error:
                if error.reason not in codec.LATER:
                    raise
                self._refused(error.reason, peer)

    def _queue(self, peer: str, message: bytes, done: asyncio.Future[bool] | None = None) -> bool:
        """Whether there was room."""
        queue = self._outgoing.get(peer)
        if queue is None or queue.full():
            return False
        queue.put_nowait(_Outgoing(message, done))
        return True

    def _begin(self, peer: str) -> None:
        self._outgoing[peer] = asyncio.Queue(MAX_QUEUED_MESSAGES)
        self._calling[peer] = 0
        self._talks[peer] = background(self._talk(peer, self._urls[peer]))

    def _end(self, peer: str) -> None:
        self._talks.pop(peer).cancel()
        del self._calling[peer]
        self._let_go(self._outgoing.pop(peer))
        self._unreachable.pop(peer, None)
        self._meet(peer)

    def _let_go(self, queue: asyncio.Queue[_Outgoing]) -> None:
        while not queue.empty():
            _tell(queue.get_nowait(), answered=False)

    async def _part(self, peer: str, url: str, farewell: PeerNews) -> None:
        """Its answer means nothing any more."""
        with contextlib.suppress(PeerUnavailable, EnvelopeError):
            await self._links.call(peer, url, [codec.encode_message(farewell)])

    async def _talk(self, peer: str, url: str) -> None:
        """Send what waits for one peer, a few calls at a time."""
        queue, places = self._outgoing[peer], asyncio.Semaphore(CALLS_AT_ONCE)
        async with asyncio.TaskGroup() as calls:
            while True:
                await places.acquire()
                waiting = [await queue.get()]
                while not queue.empty() and sum(len(each.message) for each in waiting) < MAX_CALL_BYTES:
                    waiting.append(queue.get_nowait())
                self._calling[peer] += 1
                calls.create_task(self._call(peer, url, waiting)).add_done_callback(lambda _: places.release())

    async def _call(self, peer: str, url: str, waiting: Sequence[_Outgoing]) -> None:
        """One call and what it is answered."""
        reachable, reason, refused = True, "", False
        try:
            for answer in self._known(peer, await self._links.call(peer, url, [each.message for each in waiting])):
                self._heard.note(answer)
                await self._deliver(peer, answer)
        except PeerUnavailable as error:
            reachable, reason, refused = False, error.reason, error.refused
        except (EnvelopeError, codec.CodecError) as error:
            reachable, reason, refused = False, error.reason, True
            self._refused(reason, peer)
            for news in news_of(error) if isinstance(error, UnknownSender) else ():
                await self._deliver(peer, news)
        finally:
            for each in waiting:
                _tell(each, answered=reachable)
        if peer not in self._calling:  # it left meanwhile
            return
        self._calling[peer] -= 1
        nothing_asked = self._outgoing[peer].empty() and not self._calling[peer]
        if self._unmet and (not reachable or nothing_asked):
            self._meet(peer)
        self._note_reached(peer, reachable=reachable, reason=reason, refused=refused)

    def _note_reached(self, peer: str, *, reachable: bool, reason: str, refused: bool) -> None:
        """Tell a change. Why a call reaches nobody changes all the time; that it was refused, or by whom it was
        answered, is told although the peer was not reached before: it may have started anew, as another one."""
        told = self._unreachable.get(peer)
        if reachable and told is not None:
            del self._unreachable[peer]
            self._report("peer_reachable", peer=peer, reason="")
        elif not reachable and (told is None or (refused and told != reason)):
            self._unreachable[peer] = reason
            self._report("peer_unreachable", peer=peer, reason=reason)

    def _meet(self, peer: str) -> None:
        """A peer has told everything that it was asked for, or does not answer."""
        self._unmet.discard(peer)
        if not self._unmet:
            self._met_all.set()


def _tell(sent: _Outgoing, *, answered: bool) -> None:
    if sent.done is not None and not sent.done.done():
        sent.done.set_result(answered)
