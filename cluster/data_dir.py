"""The data directory of a cluster: what is in it, how it is filled once, and `cluster.json` (contract 3). (I/O)

    DATA/  .stsd-cluster   marker and record: topology, base port, identity of the world file
           cluster.key     what the nodes of this cluster share; the router's mark is derived from it
           root.key        who has it decides which nodes belong to the cluster; no node reads it
           credentials config cluster.json
           run/            control sockets and locks of the supervisors
           router/ links/  the logs of the router and of the links
           nats/           where NATS carries the replication: see `brokers`
           REGION/         that region's own state and its log

Filling happens under the directory's lock. The marker is written first and says `complete: false`; a directory that
a crash left half filled is filled again from the beginning, because nothing was ever served from it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from cluster import control
from cluster.errors import ClusterError
from cluster.files import DEFAULT_TOPOLOGY, locked, parse_topology, read_text, topology_source, write_whole
from cluster.topology import LINKS, Ports, Topology, TopologyError, assign_ports

FORMAT = 1
MARKER = ".stsd-cluster"
CLUSTER_FILE = "cluster.json"
KEY_FILE = "cluster.key"
WORLD_FILE = "world.sealed"
DEFAULT_BASE_PORT = 8700
DEFAULT_PATH = Path(".stsd")
HOST = "127.0.0.1"
ROUTER = "router"


@dataclass(frozen=True, slots=True)
class Record:
    """What the marker remembers, so that a later start continues the same cluster."""

    format: int
    complete: bool
    topology: str
    topology_text: str
    base_port: int
    world: str
    """SHA-256 of the world file's bytes, in hexadecimal."""
    backbone: str = "http"
    """What carries the replication; another one may be chosen at each start."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asked for; None means what the directory holds, or the default for an empty one."""

    topology: str | None = None
    base_port: int | None = None
    world: Path | None = None
    backbone: str | None = None


@dataclass(frozen=True, slots=True)
class DataDir:
    """A filled data directory."""

    path: Path
    record: Record
    topology: Topology
    ports: Ports

    @property
    def key_file(self) -> Path:
        """Where the cluster key is."""
        return self.path / KEY_FILE

    @property
    def run(self) -> Path:
        """Where the supervisors' sockets and locks are."""
        return self.path / "run"

    @property
    def names(self) -> tuple[str, ...]:
        """The processes: every region, the NATS servers if there are any, then the links and the router."""
        return (*self.topology.regions, *self.ports.brokers, LINKS, ROUTER)

    @property
    def nats(self) -> Path:
        """Where the NATS servers' files and streams are."""
        return self.path / "nats"

    @property
    def flag(self) -> str:
        """What a command that is typed in this folder has to add; nothing for the default."""
        return "" if self.path == DEFAULT_PATH.absolute() else f" --data-dir {shlex.quote(str(self.path))}"

    def url(self, name: str) -> str:
        """The URL of a region, of the router or of a NATS server, without added latency."""
        if name in self.ports.brokers:
            return f"nats://{HOST}:{self.ports.broker(name)}"
        return _url(self.ports.router if name == ROUTER else self.ports.regions[name])

    def link(self, region: str, to: str) -> str:
        """The URL at which what is in a region reaches the node of another one, through the link between them."""
        return _url(self.ports.links[region, to])

    def log(self, name: str) -> Path:
        """The log of a region's node, of a NATS server, of the links or of the router."""
        if name in self.ports.brokers:
            kind, _, region = name.partition("-")
            return self.nats / region / f"{kind}.log"
        return self.path / name / (f"{name}.log" if name in (LINKS, ROUTER) else "node.log")

    def read_key(self) -> bytes:
        """The cluster key. Raises ClusterError."""
        from stsd.provision import ProvisionError, read_cluster_key

        try:
            return read_cluster_key(read_text(self.key_file, "cluster key"), str(self.key_file))
        except ProvisionError as error:
            raise ClusterError(str(error)) from error


def find(path: Path) -> DataDir:
    """The data directory of an existing cluster. Raises ClusterError."""
    record = _read_record(path)
    if record is None or not record.complete:
        raise ClusterError(f"{path}: no cluster is here: start one with `python -m cluster up --data-dir {path}`")
    return _open(path, record)


def prepare(path: Path, wanted: Wanted) -> DataDir:
    """The data directory, filled if it is empty. Raises ClusterError; other processes wait meanwhile."""
    path = path.absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(path):
            record = _read_record(path)
            if record is not None and record.complete:
                return _continue(path, record, wanted)
            return _fill(path, record, wanted)
    except OSError as error:
        raise ClusterError(f"--data-dir {path}: cannot be used: {error.strerror or error}") from error


def _open(path: Path, record: Record) -> DataDir:
    topology = parse_topology(record.topology, record.topology_text)
    try:
        ports = assign_ports(topology, record.base_port, record.backbone)
    except TopologyError as error:
        raise ClusterError(*error.faults) from error
    return DataDir(path, record, topology, ports)


def _read_record(path: Path) -> Record | None:
    """The marker's content, None where there is no marker."""
    try:
        return Record(**json.loads((path / MARKER).read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ClusterError(f"--data-dir {path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ClusterError(f"{path / MARKER}: damaged: restore it, or start with an empty directory") from error


def _write_record(path: Path, record: Record) -> None:
    write_whole(path / MARKER, json.dumps(asdict(record), indent=1).encode())


def check_not_running(data: DataDir) -> None:
    """Raises ClusterError when a cluster runs on this data directory."""
    if alive := [name for name in data.names if control.is_alive(data.run, name)]:
        raise ClusterError(
            f"--data-dir {data.path}: a cluster runs there already ({', '.join(alive)}):"
            " stop it first, or give another --data-dir and --base-port"
        )


# -- continuing ------------------------------------------------------------------------------------------------------


def _continue(path: Path, record: Record, wanted: Wanted) -> DataDir:
    if wanted.topology is not None:
        name, text = topology_source(wanted.topology)
        if parse_topology(name, text) != parse_topology(record.topology, record.topology_text):
            raise ClusterError(
                f"--topology {wanted.topology}: {path} holds a cluster of topology {record.topology};"
                " leave the flag out, or give an empty --data-dir"
            )
    if wanted.world is not None and _digest(read_text(wanted.world, "--world")) != record.world:
        raise ClusterError(
            f"--world {wanted.world}: {path} was made from another world file;"
            " leave the flag out to continue, or give an empty --data-dir"
        )
    data = _open(path, record)
    world = _sealed_world(data)
    moved = replace(
        record,
        base_port=record.base_port if wanted.base_port is None else wanted.base_port,
        backbone=wanted.backbone or record.backbone,
    )
    if moved == record:
        return data
    check_not_running(data)
    moved_data = _open(path, moved)
    _write_profiles(moved_data, world)
    _write_record(path, moved)
    return moved_data


def _sealed_world(data: DataDir) -> dict[str, Any]:
    from stsd.tokens import keyset

    try:
        world = keyset.unseal(data.read_key(), (data.path / WORLD_FILE).read_bytes())
    except keyset.SealError as error:
        raise ClusterError(f"{data.key_file}: not the key that {data.path} was made with: restore it") from error
    assert isinstance(world, dict)
    return world


# -- filling ---------------------------------------------------------------------------------------------------------


def _fill(path: Path, record: Record | None, wanted: Wanted) -> DataDir:
    if record is None and (foreign := sorted(os.listdir(path))):
        raise ClusterError(
            f"--data-dir {path}: not empty and not a cluster's data directory (it has {foreign[0]}):"
            " give an empty or a new directory"
        )
    name, text = topology_source(wanted.topology or DEFAULT_TOPOLOGY)
    world_text, source = _world_text(wanted.world)
    base_port = DEFAULT_BASE_PORT if wanted.base_port is None else wanted.base_port
    record = Record(FORMAT, False, name, text, base_port, _digest(world_text), wanted.backbone or "http")
    data = _open(path, record)
    world = _materialise(world_text, source)
    path.chmod(0o700)
    _clear(path)
    _write_record(path, data.record)
    _write_state(data, world)
    _write_profiles(data, world)
    complete = Record(**(asdict(data.record) | {"complete": True}))
    _write_record(path, complete)
    return DataDir(path, complete, data.topology, data.ports)


def _clear(path: Path) -> None:
    """Removes what an interrupted filling left; only called below our own marker or in an empty directory."""
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != MARKER:
            entry.unlink()


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _world_text(world: Path | None) -> tuple[str, str]:
    if world is not None:
        return read_text(world, "--world"), str(world)
    from stsd import world as worlds

    return worlds.default_text(), "default world"


def _materialise(text: str, source: str) -> dict[str, Any]:
    from stsd import world as worlds

    try:
        return worlds.materialise(worlds.load(text, source), os.urandom)
    except worlds.WorldError as error:
        raise ClusterError(*(f"--world {source}: {line}" for line in str(error).splitlines())) from error


def _write_state(data: DataDir, world: dict[str, Any]) -> None:
    from stsd import provision
    from stsd.provision import NodeFile
    from stsd.revocation.identity import SEED_BYTES
    from stsd.tokens import keyset

    key_text = provision.new_cluster_key(os.urandom)
    key = provision.read_cluster_key(key_text, "new cluster key")
    write_whole(data.key_file, key_text.encode())
    write_whole(data.path / WORLD_FILE, keyset.seal(key, world, os.urandom))
    root_text = provision.new_root_key(os.urandom)
    write_whole(data.path / provision.ROOT_KEY_FILE, root_text.encode())
    keys = provision.new_token_keys(os.urandom, time.time())
    seeds = {region: os.urandom(SEED_BYTES) for region in data.topology.regions}
    nodes = {region: (seed, data.url(region)) for region, seed in seeds.items()}
    peers = provision.founders(provision.read_root_key(root_text, "new root key"), nodes, time.time())
    for region, seed in seeds.items():
        node = NodeFile(region, founding=True, world_digest=data.record.world)
        files = provision.node_files(key, keys, world, node, identity_seed=seed, peers=peers, entropy=os.urandom)
        (data.path / region).mkdir(mode=0o700)
        for name, content in files.items():
            write_whole(data.path / region / name, content)
    for folder in (data.run, data.path / LINKS, data.path / ROUTER):
        folder.mkdir(mode=0o700)


def _write_profiles(data: DataDir, world: dict[str, Any]) -> None:
    from stsd.world import profiles

    endpoints = {"global": data.url(ROUTER)} | {region: data.url(region) for region in data.topology.regions}
    credentials, config = profiles.render(world, endpoints=endpoints, regions=data.topology.regions)
    write_whole(data.path / "credentials", credentials.encode())
    write_whole(data.path / "config", config.encode())


# -- cluster.json ----------------------------------------------------------------------------------------------------


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def read_cluster_file(data: DataDir) -> dict[str, Any] | None:
    """The content of `cluster.json`, None where there is none or it is not whole."""
    try:
        content = json.loads((data.path / CLUSTER_FILE).read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def begin_cluster_file(data: DataDir) -> None:
    """Writes `cluster.json` of a cluster of which nothing runs yet; the caller holds the directory's lock."""
    _write_cluster_file(data, _new_cluster_file(data))


def set_pid(data: DataDir, name: str, pid: int | None) -> None:
    """Tells which process serves a region or is the router; None for none. Nothing else is in the file."""
    if name != ROUTER and name not in data.topology.regions:
        return
    with locked(data.path):
        content = read_cluster_file(data) or _new_cluster_file(data)
        if name == ROUTER:
            content["router"]["pid"] = pid
        else:
            content["regions"][name]["pid"] = pid
            content["regions"][name]["nodes"][0]["pid"] = pid
        _write_cluster_file(data, content)


def _new_cluster_file(data: DataDir) -> dict[str, Any]:
    regions = {
        region: {
            "url": data.url(region),
            "pid": None,
            "nodes": [{"url": data.url(region), "pid": None, "log": str(data.log(region))}],
        }
        for region in data.topology.regions
    }
    locations = {
        place: {
            "region": place,
            "global": _url(ports.global_port),
            "regional": {region: _url(port) for region, port in ports.regional.items()},
        }
        for place, ports in data.ports.locations.items()
    }
    return {
        "router": {"url": data.url(ROUTER), "pid": None},
        "regions": regions,
        "locations": locations,
        "topology": data.topology.name,
        "started_at": int(time.time()),
    }


def _write_cluster_file(data: DataDir, content: dict[str, Any]) -> None:
    write_whole(data.path / CLUSTER_FILE, json.dumps(content, indent=1).encode() + b"\n")
