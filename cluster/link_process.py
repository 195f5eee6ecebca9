"""Every connection between nodes goes through this process: it delays, stalls and cuts bytes (see `faults`). (I/O)

One loopback port for each ordered pair of regions: A's `--peer B=…` names the port of A to B, and what connects there
is forwarded to B's node as a stream of bytes; where NATS carries the replication, another port is for A's gateway to
B's. Each piece of a stream waits for its own delay, the wish to connect too; pieces stay in order. Faults are ordered
over a socket in DATA/run and survive nothing: a process that starts anew starts healed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import permutations
from random import Random
from time import monotonic
from typing import Any, NamedTuple

import uvloop

from cluster import control, latency, lateness
from cluster.data_dir import HOST, DataDir
from cluster.delay import sleep_until
from cluster.errors import ClusterError
from cluster.faults import FaultError, Links, Pair
from cluster.gateway_gossip import WithoutGossip
from cluster.lateness import Delays
from cluster.topology import Ports

PIECE_BYTES = 65_536
PIECES_ON_THE_WAY = 64
"""What one direction of one connection holds at most; its sender waits then."""
GIVE_UP_S = 15.0
"""A connection whose bytes are held this long by a cut is broken off, so that a long cut does not collect them."""


class Piece(NamedTuple):
    """Bytes on the way: when they came, and when they are to arrive (monotonic seconds)."""

    came_at: float
    deadline: float
    content: bytes


_Pieces = asyncio.Queue[Piece]


class Way(NamedTuple):
    """What connects at `port` comes from pair[0], and goes on to `upstream`, a port in pair[1]: that of a node, or of a
    NATS server's gateway."""

    pair: Pair
    port: int
    upstream: int
    gateway: bool = False

    def answers(self) -> Callable[[bytes], bytes]:
        """For one connection: what of its answers arrives, piece by piece, an empty one at the end."""
        return WithoutGossip().passed if self.gateway else bytes


class Carrier(ABC):
    """What carries the links of one cluster: its servers, its connections, and the orders that it obeys."""

    def __init__(self, links: Links, ways: Iterable[Way]) -> None:
        self.links = links
        self.ways = list(ways)
        self.received = dict.fromkeys(links.regions, 0)
        """Bytes that each region got from others."""
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def start(self) -> None:
        """Listens on every port. Raises OSError when one is not to be had."""

    async def stop(self) -> None:
        """Closes everything at once: nothing that is on the way arrives."""
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def obey(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to an order, or to `status`: what is wrong now, and how much each region got; to `lateness`: how
        much later than asked for messages came, as `lateness.told` has it."""
        try:
            if order.get("verb") == "lateness":
                return {"ok": True, "lateness": self._lateness()}
            if order.get("verb") != "status":
                self.links.obey(order)
                self._follow(order)
        except FaultError as error:
            return {"ok": False, "fault": str(error)}
        return {"ok": True, "faults": self.links.told(), "received": self.received}

    @abstractmethod
    def _lateness(self) -> list[list[Any]]:
        """What was recorded of that since the start. Raises FaultError."""

    @abstractmethod
    def _follow(self, order: Mapping[str, Any]) -> None:
        """Does what `links` has been told. Raises FaultError."""

    @contextlib.contextmanager
    def _connection(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """One connection is carried by the body: `stop` ends it, and its end is told to `writer`."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        finally:
            writer.transport.abort()
            self._tasks.discard(task)


class LinkProcess(Carrier):
    """Bytes that wait in this process."""

    def __init__(self, links: Links, ways: Iterable[Way], seed: int | None) -> None:
        super().__init__(links, ways)
        self._rng = Random(seed)  # noqa: S311  latency is random, not secret
        self._open = {pair: asyncio.Event() for pair in permutations(links.regions, 2)}
        self._delays = {pair: Delays() for pair in self._open}
        self._show()

    async def start(self) -> None:
        """Listens on every port. Raises OSError when one is not to be had; port 0 becomes what it became."""
        for at, way in enumerate(self.ways):

            async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way = way) -> None:
                await self._carry(way, reader, writer)

            server = await asyncio.start_server(accept, HOST, way.port)
            self.ways[at] = way._replace(port=int(server.sockets[0].getsockname()[1]))
            self._servers.append(server)

    def _follow(self, order: Mapping[str, Any]) -> None:
        self._show()

    def _lateness(self) -> list[list[Any]]:
        return lateness.told(self._delays)

    def _show(self) -> None:
        """Lets go, or holds, what waits."""
        for pair, event in self._open.items():
            if self.links.of(*pair).cut:
                event.clear()
            else:
                event.set()

    async def _carry(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        with self._connection(writer):
            try:
                await self._both_ways(way, reader, writer)
            except* (OSError, TimeoutError):
                pass  # one side is gone, or a cut lasted: the other side is told by the end of its connection

    async def _both_ways(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = way.pair, (way.pair[1], way.pair[0])
        requests: _Pieces = asyncio.Queue(PIECES_ON_THE_WAY)
        answers: _Pieces = asyncio.Queue(PIECES_ON_THE_WAY)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read(there, reader, requests, bytes))
            now = monotonic()
            await self._arrival(there, Piece(now, self._due(there, now), b""), now)
            far_reader, far_writer = await asyncio.open_connection(HOST, way.upstream)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._write(there, requests, far_writer))
                    both.create_task(self._read(back, far_reader, answers, way.answers()))
                    both.create_task(self._write(back, answers, writer))
            finally:
                far_writer.transport.abort()

    def _due(self, pair: Pair, now: float) -> float:
        """When a piece arrives that leaves now."""
        return now + self.links.delay_ms(*pair, self._rng, now) / 1000

    async def _read(
        self, pair: Pair, reader: asyncio.StreamReader, pieces: _Pieces, passed: Callable[[bytes], bytes]
    ) -> None:
        """Takes what arrives and says when what is passed goes on; an empty piece is the end. Pieces never overtake."""
        last, piece, now = 0.0, b".", 0.0
        while piece:
            piece, now = await reader.read(PIECE_BYTES), monotonic()
            last = max(last, self._due(pair, now))
            if going := passed(piece):
                await pieces.put(Piece(now, last, going))
        await pieces.put(Piece(now, last, b""))

    async def _write(self, pair: Pair, pieces: _Pieces, writer: asyncio.StreamWriter) -> None:
        free_at = monotonic()
        while True:
            piece = await pieces.get()
            free_at = await self._arrival(pair, piece, free_at)
            if not piece.content:
                writer.write_eof()
                return
            writer.write(piece.content)
            self.received[pair[1]] += len(piece.content)
            full = writer.transport.get_write_buffer_size() > writer.transport.get_write_buffer_limits()[1]
            await writer.drain()
            if full:
                free_at = monotonic()

    async def _arrival(self, pair: Pair, piece: Piece, free_at: float) -> float:
        """Until a piece arrives; since when nothing but us is in the way of the next one, which is `free_at` unless a
        cut held this one. Raises TimeoutError when it did so too long."""
        await sleep_until(piece.deadline)
        late_s = monotonic() - max(piece.deadline, free_at)  # what a receiver or a cut delays is not the model's error
        self._delays[pair].add(piece.deadline - piece.came_at, late_s)
        if not self._open[pair].is_set():
            async with asyncio.timeout(GIVE_UP_S):
                await self._open[pair].wait()
            return monotonic()
        return free_at


def run(data: DataDir, seed: int | None, network: str = "inproc") -> int:
    """Serves until SIGINT or SIGTERM; `network` is one of NETWORKS. Raises ClusterError."""
    topology = data.topology
    shifts = latency.shifts(topology.between if topology.path_shifts else (), seed)
    links = Links(topology.regions, topology.between, shifts)
    if network == "netns":
        from cluster.link_namespaces import NamespaceLinks

        through = NamespaceLinks(links, topology.between, ways(data.ports), seed, shifts=topology.path_shifts)
        uvloop.run(_serve(data, through))
    else:
        uvloop.run(_serve(data, LinkProcess(links, ways(data.ports), seed)))
    return 0


def ways(ports: Ports) -> Iterator[Way]:
    """From node to node, and from gateway to gateway."""
    yield from (Way(pair, port, ports.regions[pair[1]]) for pair, port in ports.links.items())
    yield from (Way(pair, port, ports.nats[pair[1]].gateway, gateway=True) for pair, port in ports.gateways.items())


async def _serve(data: DataDir, process: Carrier) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    try:
        await process.start()
    except OSError as error:
        raise ClusterError(f"links: {error.strerror or error}: stop what listens there, or move --base-port") from error
    try:
        async with control.taking_orders(data.run, control.LINKS_FAULTS, process.obey):
            print("links ready", flush=True)
            await stop.wait()
    finally:
        await process.stop()
