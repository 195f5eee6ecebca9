"""Files as a data directory needs them: private, whole or not at all, one writer at a time. (I/O)"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from cluster import topology
from cluster.errors import ClusterError
from cluster.topology import Topology

HERE = Path(__file__).parent
TOPOLOGIES = HERE / "topologies"
RTT_FILE = HERE / "data" / "region-rtt.json"
DEFAULT_TOPOLOGY = "three_regions"


def read_text(path: Path, what: str) -> str:
    """The text of a file. Raises ClusterError that says what the file was for."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ClusterError(f"{what} {path}: cannot be read: {reason}") from error


def write_whole(path: Path, content: bytes) -> None:
    """Replaces a file (mode 0600) so that a reader or a crash sees the old or the new content, never a part."""
    new = path.with_name(f"{path.name}.new-{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Holds the directory's lock; other processes wait. The kernel drops it with the process."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def topology_source(name: str) -> tuple[str, str]:
    """Short name and text of a topology given by name or by file. Raises ClusterError."""
    shipped = TOPOLOGIES / f"{name}.toml"
    if name.replace("_", "").isalnum() and shipped.is_file():
        return name, read_text(shipped, "--topology")
    path = Path(name)
    if path.suffix != ".toml" and not path.is_file():
        known = ", ".join(sorted(file.stem for file in TOPOLOGIES.glob("*.toml")))
        raise ClusterError(f"--topology {name}: no such topology; give a .toml file or one of {known}")
    return path.stem, read_text(path, "--topology")


def parse_topology(name: str, text: str) -> Topology:
    """The topology of a text, with the measured round trips. Raises ClusterError."""
    try:
        known = read_text(RTT_FILE, "round-trip table")
        return topology.parse(text, name, topology.parse_rtt_table(known), topology.parse_opt_in(known))
    except topology.TopologyError as error:
        raise ClusterError(*error.faults) from error
