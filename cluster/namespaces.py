"""Network namespaces of one process: made, entered, and removed, also what a killed one has left. (I/O)

A name is `stsd-PID-STARTED-N`: who owns it can be told from the name alone, because the kernel never gives the same
process number and start time twice. What belongs to a process that is gone is removed at the next start.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cluster.errors import ClusterError

FOLDER = Path("/run/netns")
TUN = Path("/dev/net/tun")
NAME = re.compile(r"stsd-([0-9]+)-([0-9]+)-([0-9]+|probe)")
CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
DEVICE = "wide0"


class NamespaceError(Exception):
    """What could not be done with a namespace, and why."""


def why_not() -> str:
    """Why this machine can have no namespaces, in words; empty when it can."""
    if os.geteuid() != 0:
        return "that needs root"
    if not os.access(TUN, os.R_OK | os.W_OK):
        return f"{TUN} cannot be opened"
    if shutil.which("ip") is None:
        return "there is no `ip` (Debian package iproute2)"
    try:
        name = own_name("probe")
        _ip("netns", "add", name)
        try:
            os.close(_open_device(name))
        finally:
            _ip("netns", "delete", name)
    except (NamespaceError, OSError) as error:
        return str(error)
    return ""


def check(network: str) -> None:
    """Raises ClusterError where this machine cannot have that network (one of NETWORKS)."""
    if network == "netns" and (reason := why_not()):
        raise ClusterError(f"--network netns: not possible here: {reason}; --network inproc works everywhere")


def own_name(what: object) -> str:
    """A name of this process."""
    return f"stsd-{os.getpid()}-{_started(os.getpid())}-{what}"


def create(number: int, address: str, bits: int) -> tuple[str, int]:
    """A namespace with one device that has the address; its name, and the device's file. Raises NamespaceError."""
    name = own_name(number)
    _ip("netns", "add", name)
    device = _open_device(name)
    _ip("-n", name, "address", "add", f"{address}/{bits}", "dev", DEVICE)
    _ip("-n", name, "link", "set", "lo", "up")
    _ip("-n", name, "link", "set", DEVICE, "up")
    return name, device


def remove_own() -> None:
    """Removes every namespace of this process."""
    for path in _existing():
        if path.name.startswith(own_name("")):
            _remove(path.name)


def sweep() -> list[str]:
    """Removes what belongs to processes that are gone; the names."""
    gone = []
    for path in _existing():
        found = NAME.fullmatch(path.name)
        if found and _started(int(found[1])) != found[2]:
            _remove(path.name)
            gone.append(path.name)
    return gone


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """Sockets and devices that the body opens are in the namespace, and stay there. Must not await."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        other = os.open(FOLDER / name, os.O_RDONLY)
        try:
            _enter(other)
        finally:
            os.close(other)
        try:
            yield
        finally:
            _enter(own)
    finally:
        os.close(own)


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"a namespace cannot be entered: {os.strerror(number)}")


def _open_device(name: str) -> int:
    with inside(name):
        device = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
        try:
            fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN_NO_PI))
        except OSError:
            os.close(device)
            raise
    return device


def _existing() -> list[Path]:
    return sorted(FOLDER.glob("stsd-*")) if FOLDER.is_dir() else []


def _remove(name: str) -> None:
    with contextlib.suppress(NamespaceError):  # somebody else was quicker
        _ip("netns", "delete", name)


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot (proc(5), field 22); empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode != 0:
        raise NamespaceError(f"ip {' '.join(words)}: {done.stderr.strip()}")
