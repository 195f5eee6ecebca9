"""What can carry the replication in an experiment that compares engines. Pure; `brokers` runs the programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Engine(NamedTuple):
    """A backbone, and the nats-server that has to be there for it; empty for the one that is installed with us."""

    backbone: str
    program: str = ""


ENGINES: Mapping[str, Engine] = {
    "http": Engine("http"),
    "nats": Engine("nats"),
    "nats-debian": Engine("nats", "/usr/sbin/nats-server"),
}
"""`nats-debian` is the server of Debian's package nats-server, 2.9.10 in Debian 12; `nats` a current one."""
