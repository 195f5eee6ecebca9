"""The user-space IP router between the namespaces of regions, in a process of its own. (I/O)

It makes a namespace with a TUN device for each region, reads packets from all devices, holds each one as long as its
way takes, and writes it to the device of its region. The first line of its input says what it is for, each later one is
an order for the links (see `faults`), or asks for the `lateness` of packets; each is answered with a line. Its end
removes the namespaces, and it ends with its input, with a signal, and with whoever started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import sys
from collections.abc import Mapping, Sequence
from random import Random
from time import monotonic
from typing import Any

from cluster import latency, lateness, namespaces, packets
from cluster.faults import FaultError, Links
from cluster.packets import Packets
from cluster.topology import RoundTrip

PACKET_BYTES = 65_535
PACKETS_AT_ONCE = 64


def main() -> int:
    """Serves until its input ends. Exit 1 with a line when the network cannot be made."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _serve(json.loads(sys.stdin.buffer.readline()))
    except (namespaces.NamespaceError, OSError) as error:
        print(json.dumps({"ok": False, "fault": str(error)}), flush=True)
        return 1
    finally:
        namespaces.remove_own()
    return 0


def asked(links_of: Sequence[str], table: Mapping[tuple[str, str], RoundTrip], shifts: bool, seed: int | None) -> bytes:
    """The first line of its input."""
    trips = [[a, b, trip.p50_ms, trip.p90_ms] for (a, b), trip in table.items()]
    content = {"regions": list(links_of), "trips": trips, "path_shifts": shifts, "seed": seed}
    return json.dumps(content).encode() + b"\n"


def _serve(given: Mapping[str, Any]) -> None:
    table = {(a, b): RoundTrip(p50, p90) for a, b, p50, p90 in given["trips"]}
    shifts = latency.shifts(table if given["path_shifts"] else (), given["seed"])
    on_the_way = Packets(Links(given["regions"], table, shifts), Random(given["seed"]))  # noqa: S311  not secret
    namespaces.sweep()
    made = [namespaces.create(n, packets.address(n), packets.BITS) for n in range(1, len(given["regions"]) + 1)]
    devices = {number: device for number, (_, device) in enumerate(made, 1)}
    print(json.dumps({"ok": True, "namespaces": [name for name, _ in made]}), flush=True)
    with selectors.DefaultSelector() as selector:
        for device in devices.values():
            selector.register(device, selectors.EVENT_READ)
        os.set_blocking(sys.stdin.fileno(), False)
        selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        _route(selector, devices, on_the_way)


def _route(selector: selectors.BaseSelector, devices: Mapping[int, int], on_the_way: Packets) -> None:
    orders, entry = b"", sys.stdin.fileno()
    while True:
        next_at = on_the_way.next_at
        wait_s = None if next_at is None else max(0.0, next_at - monotonic())
        for key, _ in selector.select(wait_s):
            if key.fd != entry:
                _read(key.fd, on_the_way)
                continue
            content = os.read(entry, PACKET_BYTES)
            if not content:
                return
            *lines, orders = (orders + content).split(b"\n")
            for line in lines:
                print(json.dumps(_obey(on_the_way, json.loads(line))), flush=True)
        for number, packet in on_the_way.due(monotonic()):
            with contextlib.suppress(OSError):  # a device that is full loses a packet, as any router does
                os.write(devices[number], packet)


def _read(device: int, on_the_way: Packets) -> None:
    for _ in range(PACKETS_AT_ONCE):
        try:
            packet = os.read(device, PACKET_BYTES)
        except BlockingIOError:
            return
        on_the_way.offer(packet, monotonic())


def _obey(on_the_way: Packets, order: Mapping[str, Any]) -> dict[str, Any]:
    if order.get("verb") == "lateness":
        return {"ok": True, "lateness": lateness.told(on_the_way.delays)}
    try:
        on_the_way.links.obey(order)
    except FaultError as error:
        return {"ok": False, "fault": str(error)}
    return {"ok": True}


if __name__ == "__main__":
    sys.exit(main())
