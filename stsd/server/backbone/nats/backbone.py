"""NATS as the backbone (design 2.5): regions publish into streams of their own and read from one that gathers all.

| message of the replica | way |
|---|---|
| a push of our own batch | into `REV_<own>`, by `own_log`; the others find it in their `ALL_*` |
| a digest | once, to everybody who listens |
| a question for batches | waits for the stream while that flows and brings them; else to the peer's node |
| everything else | to the peer's node |

The streams are not trusted to be complete: see `repairs`. What nodes say to each other is sealed with a key of the
cluster and batches are signed, so a broker can delay and no more. A node starts and serves without its broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from itertools import cycle

from nats.aio.msg import Msg

from stsd import nats_layout
from stsd.nats_user import User
from stsd.revocation import codec
from stsd.revocation.messages import Delta, Digest, Fetch, Head, Origin, PeerNews, Sent
from stsd.server.backbone import BackboneUnavailable, Deliver, Heard, Receipt, Refused, State
from stsd.server.backbone.absences import Absences
from stsd.server.backbone.calls import RemoteCalls, background
from stsd.server.backbone.nats import snapshots, streams
from stsd.server.backbone.nats.connection import Connection
from stsd.server.backbone.nats.own_log import OwnLog
from stsd.server.backbone.nats.repairs import Repairs
from stsd.server.backbone.nats.tail import Reader, Tail
from stsd.server.backbone.sealing import Sealing, news_of
from stsd.server.clock import Clock
from stsd.server.keeper import Report
from stsd.server.membership import Membership
from stsd.server.tasks import end
from stsd.view import View
from stsd.wire.envelope import EnvelopeError, UnknownSender

RETRY_S = 1.0
MEET_S = 3.0
"""A peer that has said nothing for so long after our start does not answer."""
MAX_QUEUED = 1_000


class NatsBackbone:
    """A node's access to its region's servers, the first of `urls` that answers."""

    def __init__(
        self, urls: Sequence[str], cluster: str, user: User, membership: Membership, sealing: Sealing, view: View,
        clock: Clock, report: Report,
    ) -> None:  # fmt: skip
        self._membership, self._peers = membership, tuple(membership.urls())
        self._urls, self._user, self._sealing, self._view = tuple(urls), user, sealing, view
        self._report, self._cluster, self._clock = report, cluster, clock
        self._heard, self._absences, self.calls = Heard(), Absences(), RemoteCalls()
        self._own_log = OwnLog(cluster, view, clock.wall)
        self._outgoing: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_QUEUED)
        self._connection: Connection | None = None
        self._unmet = set(self._peers)
        self._instances: set[str] = set()
        self._met = asyncio.Event()
        self._made, self._regrouped = asyncio.Event(), asyncio.Event()
        self._fault = ""
        self._main: asyncio.Task[None] | None = None

    # What the replica's shell asks for.

    @property
    def peers(self) -> tuple[str, ...]:
        """The other regions of the peer set."""
        return self._peers

    def regroup(self, farewell: PeerNews) -> None:
        """Gather from who came, and no more from who left. Whether a server lets a node in, its file says."""
        before, self._peers = self._peers, tuple(self._membership.urls())
        for peer in sorted(set(before) - set(self._peers)):
            self._ask(peer, farewell)
            self._unmet.discard(peer)
            self._report("peer_left", peer=peer)
        for peer in sorted(set(self._peers) - set(before)):
            self._report("peer_joined", peer=peer)
        self._regrouped.set()

    def tail(self, deliver: Deliver, refused: Refused) -> None:
        """Begin to connect, and stay connected."""
        self._deliver, self._refused = deliver, refused
        reader = Reader(self._view, deliver, refused)
        self._tail = Tail(self._sealing.own, self._view, reader, self._clock.wall)
        self._repairs = Repairs(self._view, self._heard, self._tail, reader, self._report, self._ask_again)
        self._main = background(self._run())
        asyncio.get_running_loop().call_later(MEET_S, self._met.set)

    async def append(self, push: Delta) -> Receipt:
        """Returns when our region's stream keeps the batch. Raises BackboneUnavailable: it will later."""
        return Receipt((await self._own_log.offered(push.batches[-1]),))

    def fetch(self, peer: str, wanted: Fetch) -> None:
        """Ask the peer's node for what the stream will not bring, or not soon."""
        after = {origin: sequence for origin, sequence in wanted.after.items() if not self._will_come(origin, sequence)}
        if after:
            self._ask(peer, Fetch(wanted.epoch, after))

    def tell(self, peers: Sequence[str], message: Sent) -> None:
        """A digest to everybody, anything else to each node."""
        if isinstance(message, Digest):
            subject = nats_layout.heartbeat_subject(self._cluster, message.sender)
            self._queue(subject, nats_layout.EVERYBODY, message)
        else:
            for peer in peers:
                self._ask(peer, message)

    def heads(self) -> Mapping[Origin, Head]:
        """How far each log goes, as others have told."""
        return self._heard.heads

    def state(self) -> State:
        """Up while a server answers."""
        return State("nats", self._connection is not None, self._repairs.counted)

    async def snapshot_put(self, snapshot: bytes) -> None:
        """Keep a snapshot in our region's bucket. Raises BackboneUnavailable."""
        await snapshots.put(self._connected(), self._sealing.own, snapshot)

    async def snapshot_get(self) -> bytes | None:
        """The newest of our region's bucket. Raises BackboneUnavailable."""
        return await snapshots.get(self._connected(), self._sealing.own)

    @property
    def met(self) -> bool:
        """Whether every peer that answers has told what it knows, and the stream was read."""
        return self._met.is_set()

    async def meet(self) -> None:
        """Wait until `met`."""
        await self._met.wait()

    async def stop(self) -> None:
        """Close the connection."""
        if self._main is not None:
            await end((self._main,))

    # The connection.

    async def _run(self) -> None:
        """One connection after the other, to the next server each time."""
        for url in cycle(self._urls):
            try:
                connection = await Connection.open(url, self._sealing.own, self._user, self._library_failed)
            except BackboneUnavailable as error:
                self._tell_fault("backbone_unreachable", error.reason, user=self._user.public)
                await asyncio.sleep(RETRY_S / len(self._urls))
                continue
            self._fault = ""
            self._report("backbone_connected", **connection.server)
            self._connection = connection
            try:
                await self._serve(connection)
            except BackboneUnavailable as error:
                self._tell_fault("backbone_failed", error.reason, job=self._serve.__qualname__)
                await asyncio.sleep(RETRY_S / len(self._urls))
            finally:
                self._connection = None
                await connection.close()
                self._report("backbone_disconnected", **connection.server)

    async def _serve(self, connection: Connection) -> None:
        """Everything that runs on one connection, until it ends. Raises BackboneUnavailable when nothing can be heard
        on it."""
        for subject in nats_layout.subscriptions(self._cluster, self._sealing.own):
            await connection.subscribe(subject, self._hear)
        self.tell(self._peers, self._view.replica.digest())
        self._made.clear()
        jobs = (self._send, self._make_streams, self._publish, self._read, self._repairs.run)
        tasks = [asyncio.create_task(self._keep(job, connection)) for job in jobs]
        try:
            await connection.over()
        finally:
            await end(tasks)

    async def _keep(self, job: Callable[[Connection], Awaitable[None]], connection: Connection) -> None:
        """Run a job again and again: what it needs may come, such as a stream whose server is down."""
        while True:
            try:
                await job(connection)
            except BackboneUnavailable as error:
                if not connection.ended.is_set():
                    self._tell_fault("backbone_failed", error.reason, job=job.__qualname__)
            except Exception as error:  # the job goes on: without it nothing would arrive any more
                self._tell_fault("backbone_failed", type(error).__name__, job=job.__qualname__)
            await asyncio.sleep(RETRY_S)

    async def _make_streams(self, connection: Connection) -> None:
        await streams.make_published(connection, self._cluster, self._sealing.own)
        while True:
            self._regrouped.clear()
            missing = await streams.make_gathered(connection, self._sealing.own, self._peers)
            self._fault = ""
            self._made.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S if missing else None):
                    await self._regrouped.wait()

    async def _publish(self, connection: Connection) -> None:
        await self._made.wait()
        await self._own_log.run(connection)

    async def _read(self, connection: Connection) -> None:
        await self._made.wait()
        await self._tail.run(connection)

    def _library_failed(self, error: Exception) -> None:
        self._tell_fault("backbone_failed", str(error) or type(error).__name__)

    def _connected(self) -> Connection:
        if self._connection is None:
            raise BackboneUnavailable("not_connected")
        return self._connection

    def _tell_fault(self, event: str, reason: str, **members: str) -> None:
        """The same fault is told once until something works again."""
        if self._fault != f"{event} {reason}":
            self._fault = f"{event} {reason}"
            self._report(event, reason=reason, **members)

    # Between nodes.

    def _ask(self, peer: str, message: Sent) -> None:
        if peer != self._sealing.own:
            self._queue(nats_layout.letter_subject(self._cluster, peer, self._sealing.own), peer, message)

    def _ask_again(self, origin: Origin) -> None:
        """The stream will not bring what an origin said: no question for it waits any longer."""
        for peer, message in self._view.replica.ask_again(origin, self._clock.wall()).send:
            self._ask(peer, message)

    def _will_come(self, origin: Origin, sequence: int) -> bool:
        """Whether the stream is to be waited for: while it flows, but not for what has stalled or may be about to; nor
        for what is doubted, which is a question about the very node that is asked."""
        coming_back = self._absences.is_coming_back(origin.region, asyncio.get_running_loop().time())
        doubted = sequence < self._view.replica.applied(origin)[0]
        return self._tail.flows and not (self._repairs.is_stalled(origin) or coming_back or doubted)

    def _queue(self, subject: str, to: str, message: Sent) -> None:
        """What cannot be sent now is dropped: the next exchange of heads makes up for it."""
        if self._connection is not None and not self._outgoing.full():
            self._outgoing.put_nowait((subject, self._sealing.seal(to, [codec.encode_message(message)])[1]))

    async def _send(self, connection: Connection) -> None:
        while True:
            subject, sealed = await self._outgoing.get()
            self.calls.count()
            await connection.publish(subject, sealed)

    async def _hear(self, received: Msg) -> None:
        """A message of a node. What is not authentic, current and well-formed changes nothing, is counted, and is named
        in the log with the region whose subject it came on: a broker lets nobody else publish there."""
        kind, to, last = received.subject.split(".")[2:5]
        everybody, own = kind == "hb", self._sealing.own
        publisher = to if everybody else last
        if everybody and publisher == own:
            return
        try:
            header, messages = self._sealing.open(received.data, nats_layout.EVERYBODY if everybody else own)
            decoded = list(map(codec.decode_sent, messages))
        except UnknownSender as stranger:
            self._refused(stranger.reason, stranger.sender)
            for news in news_of(stranger):
                await self._deliver(stranger.header.sender, news)
            return
        except (EnvelopeError, codec.CodecError) as error:
            self._refused(error.reason, publisher)
            return
        self._absences.hear(header.sender, asyncio.get_running_loop().time())
        for message in decoded:
            self._heard.note(message)
            await self._deliver(header.sender, message)
        self._note(header.sender, header.instance)

    def _note(self, sender: str, instance: str) -> None:
        """A peer's process that is new to us has just started, or we have: it is told at once how far we are."""
        if instance not in self._instances:
            self._instances.add(instance)
            self.tell((sender,), self._view.replica.digest())
        self._unmet.discard(sender)
        if not self._unmet and self._tail.read_once.is_set():
            self._met.set()
