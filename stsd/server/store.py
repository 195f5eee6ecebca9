"""The data directory of a node: made once, private (0700, files 0600), owned by one process at a time.

An empty directory becomes a node of its own: cluster key, token keys, a materialised world and the files that AWS
SDKs read. A directory of something else is never touched.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stsd import provision
from stsd import world as worlds
from stsd.config import Config, ConfigError
from stsd.provision import NodeFile, NodeFiles, ProvisionError
from stsd.revocation.identity import SEED_BYTES
from stsd.server import clock
from stsd.world import WorldError, profiles

LOCK_FILE = "lock"
JOURNAL_FILE = "journal.db"
LOG_FILE = "node.log"
"""What `python -m cluster` writes beside a node's state."""
SNAPSHOTS_FOLDER = "snapshots"


@dataclass(slots=True)
class DataDirectory:
    """An open data directory; the lock is held until the process ends."""

    path: Path
    cluster_key: bytes
    files: NodeFiles
    lock: int
    standalone: bool
    """Whether this is a node of its own, which serves the profiles of its world itself."""

    @property
    def journal(self) -> Path:
        """Where the revocation journal lies."""
        return self.path / JOURNAL_FILE

    def shared_files(self) -> dict[str, bytes]:
        """What is the same on every node: world and token keys, sealed under the cluster key."""
        return {name: (self.path / name).read_bytes() for name in (provision.WORLD_FILE, provision.TOKEN_KEYS_FILE)}

    def settled(self) -> None:
        """The journal exists: from now on a node without one is a node that lost it, and joins."""
        if self.files.node.founding:
            settled = replace(self.files.node, founding=False)
            write_new(self.path / provision.NODE_FILE, provision.node_file(settled))

    def write_profiles(self, url: str, region: str) -> None:
        """The credentials and config files of a node of its own: every endpoint is this node."""
        credentials, config = profiles.render(
            self.files.world, endpoints={"global": url, region: url}, regions=(region,), global_region=region
        )
        write_new(self.path / "credentials", credentials.encode())
        write_new(self.path / "config", config.encode())


def open_directory(config: Config, now: float) -> DataDirectory:
    """Open or make the data directory. Raises ConfigError with the mend."""
    path = config.data_dir
    fresh = _make(path)
    lock = _lock(path)
    if fresh:
        _found(config, now)
    elif not (path / provision.NODE_FILE).exists():
        raise ConfigError(f"--data-dir: {path} is not empty and not a node's data directory; choose another one")
    try:
        key_file = config.cluster_key_file
        cluster_key = provision.read_cluster_key(
            _read(key_file, "--cluster-key").decode("ascii", "replace"), str(key_file)
        )
        files = provision.read_node_files(cluster_key, _existing(path), str(path))
    except ProvisionError as error:
        raise ConfigError(str(error)) from error
    if config.world is not None and _digest(config.world) != files.node.world_digest:
        raise ConfigError(f"--world: {path} was made from another world; use the same file or another --data-dir")
    if config.region != files.node.region:
        raise ConfigError(f"--region: the data directory is of region {files.node.region}, not {config.region}")
    if not files.peers.is_member(files.node.region, files.signer.public_key):
        raise ConfigError(
            f"--data-dir: the node of {path} was removed from its cluster: join anew with another directory"
        )
    alone = not config.peers and config.cluster_key is None and not files.node.joined
    return DataDirectory(path, cluster_key, files, lock, standalone=alone)


def claim_empty(path: Path, *allowed: str) -> None:
    """Make a directory that holds nothing yet but `allowed` files and a supervisor's log, and lock it for this process.
    Raises ConfigError."""
    _make(path)
    _lock(path)
    foreign = {entry.name for entry in path.iterdir()} - {LOCK_FILE, LOG_FILE, *allowed}
    if provision.NODE_FILE in foreign:
        raise ConfigError(f"--data-dir: {path} is a node already; choose an empty directory")
    if foreign:
        raise ConfigError(f"--data-dir: {path} is not empty (it has {min(foreign)}); choose another one")


def write_new(path: Path, content: bytes, flag: str = "--data-dir") -> None:
    """Write a file that an operator asked for with `flag`. Raises ConfigError."""
    try:
        write_private(path, content)
    except OSError as error:
        raise ConfigError(f"{flag}: {path} cannot be written: {error.strerror}") from error


def write_private(path: Path, content: bytes) -> None:
    """Replace a file by `content` at once, readable by its owner alone. Raises OSError: then nothing is there anew."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _make(path: Path) -> bool:
    """Whether the directory is new or empty; the lock of a start that failed does not count, nor what an operator has
    to put there before the first one."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return not {entry.name for entry in path.iterdir()} - {LOCK_FILE, provision.CA_FILE}
    except OSError as error:
        raise ConfigError(f"--data-dir: {path} cannot be used: {error.strerror}") from error


def _lock(path: Path) -> int:
    try:
        descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError(
            f"--data-dir: {path} is in use by another node; stop it or choose another directory"
        ) from error
    except OSError as error:
        raise ConfigError(f"--data-dir: {path} cannot be used: {error.strerror}") from error
    return descriptor


def _found(config: Config, now: float) -> None:
    """Fill an empty directory: a cluster of one node."""
    if config.peers:
        raise ConfigError(
            f"--peer: {config.data_dir} is empty, and a node with peers needs its cluster's state;"
            " `python -m cluster up` makes it"
        )
    text = worlds.default_text() if config.world is None else _world_text(config.world)
    source = "default world" if config.world is None else str(config.world)
    try:
        world: Mapping[str, Any] = worlds.materialise(worlds.load(text, source), clock.entropy)
    except WorldError as error:
        raise ConfigError("\n".join(f"--world {source}: {line}" for line in str(error).splitlines())) from error
    if config.cluster_key is None:
        write_new(config.cluster_key_file, provision.new_cluster_key(clock.entropy).encode())
    key_text = _read(config.cluster_key_file, "--cluster-key").decode("ascii", "replace")
    cluster_key = provision.read_cluster_key(key_text, str(config.cluster_key_file))
    keys = provision.new_token_keys(clock.entropy, now)
    root_text, seed = provision.new_root_key(clock.entropy), clock.entropy(SEED_BYTES)
    root = provision.read_root_key(root_text, provision.ROOT_KEY_FILE)
    write_new(config.data_dir / provision.ROOT_KEY_FILE, root_text.encode())
    files = provision.node_files(
        cluster_key,
        keys,
        world,
        NodeFile(config.region, founding=True, world_digest=provision.world_digest(text)),
        identity_seed=seed,
        peers=provision.founders(root, {config.region: (seed, config.url)}, now),
        entropy=clock.entropy,
    )
    for name, content in files.items():
        write_new(config.data_dir / name, content)


def _existing(path: Path) -> dict[str, bytes]:
    return {name: _read(path / name, "--data-dir") for name in provision.FILES if (path / name).exists()}


def _digest(path: Path) -> str:
    return provision.world_digest(_world_text(path))


def _world_text(path: Path) -> str:
    try:
        return _read(path, "--world").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"--world: {path} is not text in UTF-8: see its byte {error.start + 1}") from error


def _read(path: Path, flag: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{flag}: {path} cannot be read: {error.strerror}") from error
