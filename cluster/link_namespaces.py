"""Links whose bytes cross a real network: a namespace for each region, and an IP router between them. (I/O)

As in `link_process` there is a loopback port for each way, so nodes need not know. What connects there goes on from a
socket in the region's namespace to one in the other region's, and from there to the node: handshakes, windows, lost
packets and what is sent again are TCP's own. Delays and cuts are the router's, which is another process (`tun_router`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cluster import namespaces, packets, tun_router
from cluster.children import dies_with_parent
from cluster.data_dir import HOST
from cluster.errors import ClusterError
from cluster.faults import FaultError, Links
from cluster.link_process import PIECE_BYTES, Carrier, Way
from cluster.topology import RttTable

FIRST_PORT = 7000
STOP_TIMEOUT_S = 10.0
GONE = "links: the IP router is gone: `kill links` and `start links` bring it back"


class NamespaceLinks(Carrier):
    """Bytes that go through the namespaces of their regions."""

    def __init__(self, links: Links, table: RttTable, ways: Iterable[Way], seed: int | None, *, shifts: bool) -> None:
        super().__init__(links, ways)
        self._asked = tun_router.asked(links.regions, table, shifts, seed)
        self._router: subprocess.Popen[bytes] | None = None
        self.namespaces: dict[str, str] = {}
        """By region."""

    async def start(self) -> None:
        """Makes the network and listens. Raises ClusterError, and OSError when a port is not to be had."""
        self._begin()
        told = self._tell(self._asked)
        if not told["ok"]:
            raise ClusterError(f"links: --network netns: {told['fault']}")
        self.namespaces = dict(zip(self.links.regions, told["namespaces"], strict=True))
        for number, way in enumerate(self.ways):
            await self._open(way, FIRST_PORT + number)

    def _begin(self) -> None:
        """The router ends with us, however we end."""
        self._router = subprocess.Popen(
            [sys.executable, "-m", "cluster.tun_router"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGTERM),
        )

    async def stop(self) -> None:
        """Closes everything and removes the network."""
        await super().stop()
        if self._router is not None and self._router.stdin is not None and self._router.stdout is not None:
            with contextlib.suppress(OSError):
                self._router.stdin.close()
            self._router.stdout.close()
            await asyncio.to_thread(self._router.wait, STOP_TIMEOUT_S)
            await asyncio.to_thread(namespaces.sweep)  # of a router that was killed

    def obey(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """The same, while there is a router to obey."""
        if self._router is None or self._router.poll() is not None:
            return {"ok": False, "fault": GONE}
        return super().obey(order)

    def _lateness(self) -> list[list[Any]]:
        """Of packets, also of those that only confirm others; what TCP makes of them is no error of the model."""
        found: list[list[Any]] = self._order({"verb": "lateness"})["lateness"]
        return found

    def _follow(self, order: Mapping[str, Any]) -> None:
        self._order(order)

    def _order(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """What the router answers. Raises FaultError."""
        told = self._tell(json.dumps(order).encode() + b"\n")
        if not told["ok"]:
            raise FaultError(told["fault"])
        return told

    def _tell(self, line: bytes) -> dict[str, Any]:
        assert self._router is not None
        assert self._router.stdin is not None
        assert self._router.stdout is not None
        try:
            self._router.stdin.write(line)
            self._router.stdin.flush()
            answer = self._router.stdout.readline()
        except OSError:
            answer = b""
        found: dict[str, Any] = json.loads(answer) if answer else {"ok": False, "fault": GONE}
        return found

    async def _open(self, way: Way, port: int) -> None:
        """The loopback port of a way, and the one in the namespace of its region."""
        first, second = way.pair
        there = packets.address(self.links.regions.index(second) + 1)
        with namespaces.inside(self.namespaces[second]):
            arrival = socket.create_server((there, port))

        async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with namespaces.inside(self.namespaces[first]):
                going = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            going.setblocking(False)
            going.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._pipe(reader, writer, going, (there, port), answers=first, passed=way.answers())

        async def arrive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            near = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            near.setblocking(False)
            await self._pipe(reader, writer, near, (HOST, way.upstream), requests=second)

        self._servers.append(await asyncio.start_server(arrive, sock=arrival))
        self._servers.append(await asyncio.start_server(leave, HOST, way.port))

    async def _pipe(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        onward: socket.socket,
        to: tuple[str, int],
        *,
        requests: str = "",
        answers: str = "",
        passed: Callable[[bytes], bytes] = bytes,
    ) -> None:
        """One connection goes on from `onward`, until either side ends it. Where the network ends here, requests or
        answers arrive in a region, of the answers what is `passed`."""
        far_writer: asyncio.StreamWriter | None = None
        with self._connection(writer):
            try:
                await asyncio.get_running_loop().sock_connect(onward, to)
                far_reader, far_writer = await asyncio.open_connection(sock=onward)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._copy(reader, far_writer, requests, bytes))
                    both.create_task(self._copy(far_reader, writer, answers, passed))
            except* OSError:
                pass  # one side is gone: the other one is told by the end of its connection
            finally:
                with contextlib.suppress(OSError):
                    (onward.close if far_writer is None else far_writer.transport.abort)()

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        arrives_in: str,
        passed: Callable[[bytes], bytes],
    ) -> None:
        piece = b"."
        while piece:
            piece = await reader.read(PIECE_BYTES)
            going = passed(piece)
            writer.write(going)
            if arrives_in:
                self.received[arrives_in] += len(going)
            await writer.drain()
        writer.write_eof()
