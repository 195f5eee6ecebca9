"""Three regions on a backbone, with real journals, sockets, links and servers; the rest of the nodes is left out."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count, permutations
from pathlib import Path
from typing import Any

from aiohttp import web

from cluster import brokers, data_dir, link_process
from cluster.children import spawn
from cluster.data_dir import DataDir, Wanted
from cluster.faults import Links
from cluster.link_process import LinkProcess
from cluster.topology import RoundTrip
from stsd import nats_layout, provision
from stsd import world as worlds
from stsd.nats_user import User
from stsd.revocation.identity import Identities
from stsd.revocation.messages import Origin
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import Revocation, RevocationSet
from stsd.server.backbone.http import HttpBackbone
from stsd.server.backbone.links import PATH, PeerLinks
from stsd.server.backbone.nats import NatsBackbone
from stsd.server.backbone.sealing import Sealing
from stsd.server.backbone.snapshot_files import SnapshotFiles
from stsd.server.clock import Clock, entropy
from stsd.server.copies import Recorded
from stsd.server.journal import Journal
from stsd.server.log import EventLog
from stsd.server.membership import Membership
from stsd.server.replication import Replicator
from stsd.view import View
from stsd.wire import envelope
from stsd.wire.envelope import EnvelopeError
from tests.running import free_base_port

ENGINES = {
    "http": None,
    "nats-debian": "/usr/sbin/nats-server",
    "nats-current": str(Path(sys.executable).parent / "nats-server"),
}
EVENTUALLY_S = 30.0
_keys = count(1)


async def eventually(condition: Callable[[], Any], what: str, timeout_s: float = EVENTUALLY_S) -> None:
    """Wait until a condition holds."""
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110  conditions are of many kinds
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what} did not happen within {timeout_s} s") from None


@dataclass
class Region:
    """One node's replication: everything between its journal and its backbone."""

    name: str
    data: DataDir
    events: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    view: View = field(init=False)
    replicator: Replicator = field(init=False)
    backbone: HttpBackbone | NatsBackbone = field(init=False)
    runs: bool = False
    other_key: bytes = b""
    """For its messages, as a node of another cluster would have it."""

    @property
    def folder(self) -> Path:
        return self.data.path / self.name

    @property
    def urls(self) -> dict[str, str]:
        return {to: f"http://127.0.0.1:{port}" for (own, to), port in self.data.ports.links.items() if own == self.name}

    @property
    def brokers(self) -> list[str]:
        return [self.data.url(f"{kind}-{self.name}") for kind in ("jetstream", "core")]

    async def start(self) -> None:
        """Begin with what the journal holds."""
        key, now = self.data.read_key(), time.time()
        files = provision.read_node_files(
            key, {name: (self.folder / name).read_bytes() for name in provision.FILES}, str(self.folder)
        )
        self.signer = files.signer
        self.membership = Membership(self.folder, files.peers, self.name, self.signer.public_key, self.urls)
        self.journal = await Journal.open(self.folder / "journal.db")
        self.written = BytesIO()
        self.clock, self.log = Clock(), EventLog(self.name, "json", self.written)
        unused = Replica(Origin(self.name, "", ""), (), now, signer=self.signer, identities=Identities(key))
        self.view = View(
            region=self.name, issuer="", directory=worlds.directory(files.world), keys=files.keys, replica=unused,
            revocations=RevocationSet(), entropy=entropy,
        )  # fmt: skip
        self.backbone = self._backbone(
            key, Sealing(self.other_key or envelope.peer_key(key), self.name, self.signer, files.peers)
        )
        self.replicator = Replicator(
            self.journal, self.backbone, self.view, self.clock, self.log,
            signer=self.signer, cluster_key=key, membership=self.membership,
        )  # fmt: skip
        self.replicator.on_refused = self.refused.append
        await self.replicator.restore(founding=False)
        self._server = await self._listen()
        self.replicator.start()
        self.runs = True

    async def stop(self) -> None:
        """End as a process ends: the journal has everything that was promised."""
        if not self.runs:
            return
        self.runs = False
        await self.replicator.stop()
        if self._server is not None:
            await self._server.cleanup()
        await self.journal.close()
        self.log.close()

    async def restart(self, *, empty: bool = False) -> None:
        """Stop and begin again, on the same disk or on an empty one."""
        await self.stop()
        if empty:
            for file in self.folder.glob("journal.db*"):
                file.unlink()
        await self.start()

    async def revoke(self, wait_s: float | None = None) -> Recorded:
        """Revoke some key or other."""
        return await self.replicator.revoke(Revocation("access_key", f"ASIA{next(_keys):016}", 0, None), wait_s)

    def heads(self) -> dict[Origin, int]:
        """How far each log is held durably here."""
        return self.view.replica.heads()

    def named(self, event: str) -> list[dict[str, Any]]:
        """The events of a name."""
        return [each for each in self.events if each["event"] == event]

    def logged(self, event: str, **members: Any) -> int:
        """How often the log has an event with these members; it is written a moment after it happened."""
        whole, _, _ = self.written.getvalue().rpartition(b"\n")
        lines = map(json.loads, whole.splitlines())
        return sum({"event": event, **members}.items() <= line.items() for line in lines)

    def report(self, event: str, **members: Any) -> None:
        self.events.append({"event": event, **members})

    def _backbone(self, key: bytes, sealing: Sealing) -> HttpBackbone | NatsBackbone:
        if not self.data.ports.nats:
            snapshots = SnapshotFiles(self.folder / "snapshots")
            return HttpBackbone(PeerLinks(sealing), self.membership, snapshots, self.report)
        urls = self.brokers
        cluster, user = nats_layout.cluster_name(key), User.of(self.signer)
        return NatsBackbone(urls, cluster, user, self.membership, sealing, self.view, self.clock, self.report)

    async def _listen(self) -> web.AppRunner | None:
        backbone = self.backbone
        if isinstance(backbone, NatsBackbone):
            return None

        async def receive(request: web.Request) -> web.Response:
            try:
                return web.Response(body=await backbone.receive(await request.read(), self.replicator.answer))
            except EnvelopeError as error:
                self.replicator.conversation.refuse(error.reason, error.sender or str(request.remote))
                return web.Response(status=403, text=error.reason)

        app = web.Application(client_max_size=envelope.MAX_BYTES)
        app.router.add_post(PATH, receive)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.data.ports.regions[self.name]).start()
        return runner


class World:
    """Regions, the links between them, and their servers where there are any."""

    def __init__(self, path: Path, engine: str) -> None:
        self.engine = engine
        backbone = "http" if engine == "http" else "nats"
        self.data = data_dir.prepare(path, Wanted(base_port=free_base_port(), backbone=backbone))
        self.regions = {name: Region(name, self.data) for name in self.data.topology.regions}
        distances = dict.fromkeys(permutations(self.regions, 2), RoundTrip(0, 0))
        self.links = LinkProcess(Links(self.regions, distances), link_process.ways(self.data.ports), seed=1)
        self.servers: dict[str, asyncio.subprocess.Process] = {}

    async def start(self) -> None:
        await self.links.start()
        if self.engine != "http":
            brokers.write(self.data)
            await asyncio.gather(*map(self.start_server, self.data.ports.brokers))
        await asyncio.gather(*(region.start() for region in self.regions.values()))
        await self.level(joined=True)

    async def stop(self) -> None:
        await asyncio.gather(*(region.stop() for region in self.regions.values()))
        await asyncio.gather(*map(self.kill_server, list(self.servers)))
        await self.links.stop()

    async def start_server(self, name: str) -> None:
        """A NATS server that says hello."""
        log = self.data.log(name)
        self.servers[name] = await spawn(brokers.command(self.data, name), signal.SIGKILL, log)
        async with asyncio.timeout(EVENTUALLY_S):
            while not await brokers.serves(self.data, name):  # noqa: ASYNC110  another process
                await asyncio.sleep(0.02)

    async def kill_server(self, name: str) -> None:
        """kill -9."""
        process = self.servers.pop(name)
        process.kill()
        await process.wait()

    def cut(self, *names: str, one_way: bool = False) -> None:
        """Nothing passes between the first region and the others named, or nothing from it to them."""
        for other in names[1:]:
            self.links.obey({"verb": "partition", "first": names[0], "second": other, "one_way": one_way})

    def isolate(self, name: str) -> None:
        """Nothing passes between a region and any other."""
        self.cut(name, *(other for other in self.regions if other != name))

    def heal(self) -> None:
        self.links.obey({"verb": "heal"})

    async def level(self, *, joined: bool = False, timeout_s: float = EVENTUALLY_S) -> None:
        """Wait until every region holds the same, durably, and all that was written."""

        def same() -> bool:
            heads = [region.heads() for region in self.regions.values()]
            ready = not joined or all(region.view.replica.joined for region in self.regions.values())
            return ready and all(head == heads[0] for head in heads)

        await eventually(same, "equal heads", timeout_s)


def missing(engine: str) -> str:
    """Why an engine cannot be tested here."""
    program = ENGINES[engine]
    return "" if program is None or Path(program).exists() else f"{program} is not installed"


def use(engine: str) -> None:
    """Have the cluster's code run this engine's server."""
    brokers.program.cache_clear()
    os.environ.pop(brokers.PROGRAM, None)
    if ENGINES[engine] is not None:
        os.environ[brokers.PROGRAM] = str(ENGINES[engine])
