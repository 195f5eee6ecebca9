"""A topology: which regions a cluster has, where its clients are, and how far apart everything is.

A topology file is TOML; every member is checked and an unknown one is a fault, so nothing is silently ignored:

| member | meaning |
|---|---|
| `regions` | 1 to 12 region names; the first is where a client of the router's own URL counts as being |
| `home` | the region that `home-2011` sends everything to; the first region unless given |
| `locations` | places of clients, region names of the round-trip table; the topology's regions unless given |
| `[[rtt]]` | `from`, `to`, `p50_ms`, `p90_ms`: a round trip that the table lacks, or another than the table's |
| `path_shifts` | true: routes change now and then (see `latency`); false unless given |
| `[capacity]` | calls a second that a region can serve, by region: what the policy `weighted` spreads by |

Times are round trips in milliseconds. This module is pure: texts come in, values go out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from cluster import toml_shape

REGION_NAME = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]+")
MEMBERS = {"regions", "home", "locations", "rtt", "capacity", "path_shifts"}
RTT_MEMBERS = {"from", "to", "p50_ms", "p90_ms"}
RTT_MS_MAX = 60_000
"""No request lives longer."""
REGIONS_MAX = 12
"""The regional endpoints are on the ports N+1 to N+12."""
FIRST_LOCATION_PORT = 20
"""What locations see begins at N+20: N+10 to N+19 stay free, among them 8711, where `stsd serve` listens."""
LINKS = "links"
"""The name of the process that the links between regions are in."""
CORE, JETSTREAM = "core", "jetstream"
"""What the names of a region's NATS servers begin with: `core-us-east-1`."""
BACKBONES = ("http", "nats")
NETWORKS = ("inproc", "netns")
"""What is between regions: delays in the link process, or namespaces with an IP router."""


class TopologyError(ValueError):
    """A topology that cannot be used; `faults` says in one line each what, where and how to mend it."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """Median and 90th percentile of a round trip, in milliseconds."""

    p50_ms: float
    p90_ms: float


RttTable = Mapping[tuple[str, str], RoundTrip]
SAME_PLACE = RoundTrip(1.0, 1.0)
"""Within a region that the table does not know."""


@dataclass(frozen=True, slots=True)
class Topology:
    """Regions in their order, the home region, client locations, and how far each location is from each region."""

    name: str
    regions: tuple[str, ...]
    home: str
    locations: tuple[str, ...]
    rtt: RttTable
    between: RttTable = field(default_factory=dict)
    """The round trip of each region to each other one."""
    opt_in: frozenset[str] = frozenset()
    """Its regions and locations that an account has to opt in to, as the round-trip table marks them."""
    capacity: Mapping[str, float] = field(default_factory=dict)
    """Calls a second that each region can serve; empty when that is not known."""
    path_shifts: bool = False
    """Whether routes change now and then."""

    def away_ms(self, place: str, region: str) -> float:
        """The usual round trip from a location, or from a region that is none, to a region."""
        trip = self.rtt.get((place, region)) or self.between.get((place, region))
        return trip.p50_ms if trip else 0.0


@dataclass(frozen=True, slots=True)
class LocationPorts:
    """The ports on which one place of clients sees the global and each regional endpoint."""

    global_port: int
    regional: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RegionPorts:
    """The ports of one region's NATS servers: the core's for clients, leaf nodes and gateways, and the jetstream
    server's for clients."""

    core: int
    leaf: int
    gateway: int
    jetstream: int


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port of a cluster, told in `cluster.json` (contract 3)."""

    router: int
    regions: Mapping[str, int]
    locations: Mapping[str, LocationPorts]
    links: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Where the node of the first region reaches that of the second, through the link between them."""
    nats: Mapping[str, RegionPorts] = field(default_factory=dict)
    """The ports of each region's NATS servers, where they carry the replication."""
    gateways: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Where the core server of the first region reaches the gateway of the second, through the link."""

    def broker(self, name: str) -> int:
        """The port on which a NATS server serves clients, by its name."""
        kind, _, region = name.partition("-")
        return self.nats[region].core if kind == CORE else self.nats[region].jetstream

    def named(self) -> dict[int, str]:
        """What each port is for, in words, by port number."""
        names = {self.router: "router"} | {port: region for region, port in self.regions.items()}
        for place, ports in self.locations.items():
            names[ports.global_port] = f"global endpoint seen from {place}"
            names |= {port: f"{region} seen from {place}" for region, port in ports.regional.items()}
        for name in self.brokers:
            names |= self._broker_names(name)
        return names | self._link_names()

    @property
    def brokers(self) -> tuple[str, ...]:
        """The names of the NATS servers."""
        return tuple(f"{kind}-{region}" for region in self.nats for kind in (CORE, JETSTREAM))

    def of(self, process: str) -> dict[int, str]:
        """The ports that a region's node, the links, or the router with all that is nobody else's, listens on."""
        if process in self.regions:
            return {self.regions[process]: process}
        if process == LINKS:
            return self._link_names()
        if process in self.brokers:
            return self._broker_names(process)
        brokers = {port for name in self.brokers for port in self._broker_names(name)}
        others = {*self.regions.values(), *self._link_names(), *brokers}
        return {port: use for port, use in self.named().items() if port not in others}

    def _link_names(self) -> dict[int, str]:
        names = {port: f"link from {a} to {b}" for (a, b), port in self.links.items()}
        return names | {port: f"gateway link from {a} to {b}" for (a, b), port in self.gateways.items()}

    def _broker_names(self, name: str) -> dict[int, str]:
        kind, _, region = name.partition("-")
        ports = self.nats[region]
        if kind == JETSTREAM:
            return {ports.jetstream: name}
        return {ports.core: name, ports.leaf: f"{name} for leaf nodes", ports.gateway: f"{name} for gateways"}


def assign_ports(topology: Topology, base_port: int, backbone: str = "http") -> Ports:
    """Router on N, the i-th region on N+i, everything else on N+20 and up. Raises TopologyError."""
    width = len(topology.regions) + 1
    pairs = list(permutations(topology.regions, 2))
    first_link = base_port + FIRST_LOCATION_PORT + width * len(topology.locations)
    first_broker = first_link + len(pairs)
    brokers = {
        region: RegionPorts(*range(first_broker + 4 * i, first_broker + 4 * i + 4))
        for i, region in enumerate(topology.regions if backbone == "nats" else ())
    }
    first_gateway = first_broker + 4 * len(brokers)
    gateways = {pair: first_gateway + i for i, pair in enumerate(pairs if brokers else ())}
    last = first_gateway + len(gateways) - 1
    if not 1 <= base_port <= 65535 - (last - base_port):
        raise TopologyError([f"--base-port {base_port}: give a number from 1 to {65535 - (last - base_port)}"])
    locations = {}
    for index, place in enumerate(topology.locations):
        first = base_port + FIRST_LOCATION_PORT + index * width
        regional = {region: first + 1 + i for i, region in enumerate(topology.regions)}
        locations[place] = LocationPorts(first, regional)
    regions = {region: base_port + 1 + i for i, region in enumerate(topology.regions)}
    links = {pair: first_link + i for i, pair in enumerate(pairs)}
    return Ports(base_port, regions, locations, links, brokers, gateways)


def parse_rtt_table(text: str) -> RttTable:
    """The measured table, `data/region-rtt.json`, as round trips by (from, to)."""
    data = json.loads(text)
    p50, p90 = data["region_rtt_p50_ms"], data["region_rtt_p90_ms"]
    return {(a, b): RoundTrip(p50[a][b], p90[a][b]) for a in p50 for b in p50[a]}


def parse_opt_in(text: str) -> frozenset[str]:
    """The regions of `data/region-rtt.json` that an account has to opt in to."""
    return frozenset(json.loads(text)["opt_in_regions"])


def parse(text: str, name: str, table: RttTable, opt_in: frozenset[str] = frozenset()) -> Topology:
    """The topology of a TOML text. Raises TopologyError with every fault; `name` is what the faults call the file."""
    try:
        document = toml_shape.document(text)
    except toml_shape.TomlError as error:
        raise TopologyError(f"topology {name}: {fault}" for fault in error.faults) from error
    faults = [
        f"{member}: not known; allowed are {', '.join(sorted(MEMBERS))}" for member in document if member not in MEMBERS
    ]
    regions = _names(document, "regions", faults)
    if len(regions) > REGIONS_MAX:
        faults.append(f"regions: give 1 to {REGIONS_MAX} region names")
    locations = _names(document, "locations", faults) if "locations" in document else regions
    home = document.get("home", regions[0] if regions else "")
    if regions and home not in regions:
        faults.append(f"home: {home!r} is not one of the regions")
    own = _own_round_trips(document.get("rtt", []), dict.fromkeys((*regions, *locations)), faults)
    rtt = _round_trips(locations, regions, own, table, faults)
    unseen = [region for region in regions if region not in locations]
    trips = {**rtt, **_round_trips(unseen, regions, own, table, faults)}
    capacity = _capacity(document.get("capacity", {}), regions, faults)
    path_shifts = document.get("path_shifts", False)
    if not isinstance(path_shifts, bool):
        faults.append("path_shifts: give true or false")
    if faults:
        raise TopologyError(f"topology {name}: {fault}" for fault in faults)
    between = {pair: trips[pair] for pair in permutations(regions, 2)}
    marked = opt_in & {*regions, *locations}
    return Topology(name, regions, home, locations, rtt, between, marked, capacity, path_shifts)


def _capacity(given: Any, regions: tuple[str, ...], faults: list[str]) -> dict[str, float]:
    if not isinstance(given, dict):
        faults.append("capacity: give a table of region = calls per second")
        return {}
    if given and (missing := [region for region in regions if region not in given]):
        faults.append(f"capacity: {', '.join(missing)} is missing; give calls per second of every region or of none")
    for region, per_s in given.items():
        if region not in regions:
            faults.append(f"capacity: {region!r} is not one of the regions")
        elif isinstance(per_s, bool) or not isinstance(per_s, int | float) or not 0 < per_s < math.inf:
            faults.append(f"capacity.{region}: give calls per second, above 0")
    return given


def _names(document: Mapping[str, Any], member: str, faults: list[str]) -> tuple[str, ...]:
    given = document.get(member, [])
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        faults.append(f"{member}: give a list of region names")
        return ()
    faults += [
        f"{member}: {name!r} is not a region name such as us-east-1"
        for name in given
        if not REGION_NAME.fullmatch(name)
    ]
    faults += [f"{member}: {name} is named twice" for name in sorted({n for n in given if given.count(n) > 1})]
    if not given:
        faults.append(f"{member}: name at least one region")
    return tuple(given)


def _own_round_trips(entries: Any, places: Collection[str], faults: list[str]) -> RttTable:
    """What the file says of pairs of its places: of any other pair it would change nothing."""
    own: dict[tuple[str, str], RoundTrip] = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        if not isinstance(entry, dict) or set(entry) != RTT_MEMBERS:
            faults.append(f"rtt[{index}]: give exactly from, to, p50_ms and p90_ms")
            continue
        p50, p90 = entry["p50_ms"], entry["p90_ms"]
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (p50, p90))
        if not numbers or not 0 <= p50 <= p90 <= RTT_MS_MAX:
            faults.append(
                f"rtt[{index}]: p50_ms and p90_ms are milliseconds up to {RTT_MS_MAX:,}, and p90_ms is not below p50_ms"
            )
            continue
        pair = str(entry["from"]), str(entry["to"])
        faults += [
            f"rtt[{index}]: {place} is no region or location here; allowed are {', '.join(places)}"
            for place in pair
            if places and place not in places
        ]
        if pair in own:
            faults.append(f"rtt[{index}]: {pair[0]} to {pair[1]} is there twice")
        own[pair] = RoundTrip(float(p50), float(p90))
    return own


def _round_trips(
    locations: Iterable[str], regions: tuple[str, ...], own: RttTable, table: RttTable, faults: list[str]
) -> RttTable:
    found: dict[tuple[str, str], RoundTrip] = {}
    for place in locations:
        for region in regions:
            pair, back = (place, region), (region, place)
            trip = own.get(pair) or own.get(back) or table.get(pair)
            if trip is None and place == region:
                trip = SAME_PLACE
            if trip is None:
                faults.append(f"no round trip from {place} to {region} is known: add one under [[rtt]]")
            else:
                found[pair] = trip
    return found
