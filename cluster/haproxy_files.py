"""The configuration of an HAProxy that stands where our router stands, so that both can be compared. Pure.

For each place of clients it has a listener, whose servers are the regions in the order of the router's policy: the
first one is used, the others are `backup` and get everything while those before them are down. A server is one of the
router's pinned ports, which adds the way to the region and the mark that a node wants to see, and chooses nothing.
Checks go to the regions themselves, without added latency, because the router's do.

| front | how it notices that a region is gone |
|---|---|
| `haproxy` | `GET /readyz`, as often and with the same time-out, `fall` and `rise` as the router's active checks |
| `haproxy-observe` | `observe layer7`: as many failed answers in a row as open the router's breaker; checks that fail
  are never enough (`fall` is out of reach), good ones bring a region back |

Nothing is sent twice (`retries 0`): HAProxy goes to a `backup` when every server before it is down, not when a request
fails, so it has no counterpart of the router's retry. Names are those of HAProxy 2.6's configuration manual, 5.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

FRONTS: Mapping[str, bool] = {"haproxy": False, "haproxy-observe": True}
"""What may stand in the router's place, and whether it observes traffic instead of trusting checks."""
OUT_OF_REACH = 10_000
"""So many failed checks do not come in an experiment."""
CONNECTIONS_MAX = 2_000
IDLE_S = 75
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Knobs:
    """What both proxies are set to; durations in seconds, `jitter` a share of the interval."""

    interval_s: float
    check_timeout_s: float
    jitter: float
    fall: int
    rise: int
    errors: int
    connect_timeout_s: float
    answer_timeout_s: float


@dataclass(frozen=True, slots=True)
class Server:
    """A region of one listener: the router's pinned port, and the region's own, which is checked."""

    region: str
    port: int
    checked_port: int


@dataclass(frozen=True, slots=True)
class Listen:
    """The global endpoint as one place sees it: its port, and its servers in their order."""

    place: str
    port: int
    servers: tuple[Server, ...]


def text(front: str, listeners: Iterable[Listen], knobs: Knobs) -> str:
    """The whole file."""
    return "\n".join([_common(knobs), *(_listen(one, FRONTS[front], knobs) for one in listeners)])


def _common(knobs: Knobs) -> str:
    return f"""\
global
    log stdout format raw daemon notice
    maxconn {CONNECTIONS_MAX}
    spread-checks {round(knobs.jitter * 100)}

defaults
    mode http
    log global
    retries 0
    timeout connect {_ms(knobs.connect_timeout_s)}
    timeout server {_ms(knobs.answer_timeout_s)}
    timeout client {IDLE_S}s
    timeout check {_ms(knobs.check_timeout_s)}
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host {HOST}
    http-check expect status 200
"""


def _listen(one: Listen, observes: bool, knobs: Knobs) -> str:
    fall = OUT_OF_REACH if observes else knobs.fall
    checks = f"check inter {_ms(knobs.interval_s)} fall {fall} rise {knobs.rise}"
    observing = f" observe layer7 error-limit {knobs.errors} on-error mark-down" if observes else ""
    lines = [f"listen {one.place}", f"    bind {HOST}:{one.port}", f"    default-server {checks}{observing}"]
    for index, server in enumerate(one.servers):
        backup = " backup" if index else ""
        lines.append(f"    server {server.region} {HOST}:{server.port} port {server.checked_port}{backup}")
    return "\n".join(lines) + "\n"


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
