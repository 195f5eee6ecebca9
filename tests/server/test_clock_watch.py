"""Nodes that ask each other's clocks, with a network that delivers at once and clocks that a test moves."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from multidict import CIMultiDict

from stsd.revocation.messages import Sent
from stsd.revocation.peer_clocks import HEARD_S
from stsd.server.clock import Clock
from stsd.server.clock_watch import MOVING_S, ClockWatch
from stsd.server.metrics import Metrics
from stsd.server.probes import Probes
from stsd.wire.messages import Request

REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-1")


class MovedClock:
    """Seconds of a world, and how far a node's service time is off."""

    def __init__(self) -> None:
        self.now, self.offset_s = 1_000_000.0, 0.0

    def steady(self) -> float:
        return self.now

    def service(self) -> float:
        return self.now + self.offset_s


class Epoch:
    epoch = 0


@dataclass
class SeenBy:
    """What a watch needs of a view."""

    replica: Epoch = field(default_factory=Epoch)
    clock_wrong_by_s: float | None = None


class World:
    """A watch for each region; nobody reaches those that are `cut`."""

    def __init__(self, *regions: str) -> None:
        self.cut: set[str] = set()
        self.clocks = {region: MovedClock() for region in regions}
        self.views = {region: SeenBy() for region in regions}
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.watches = {
            region: ClockWatch(Backbone(self, region), self.views[region], self.clocks[region], self._report(region))
            for region in regions
        }

    def _report(self, region: str):
        return lambda event, **members: self.events.append((region, event, members))

    def deliver(self, sender: str, to: str, message: Sent) -> None:
        if not self.cut & {sender, to}:
            for answer in self.watches[to].hear(sender, message):
                self.watches[sender].hear(to, answer)

    def heartbeat(self, times: int = 1) -> None:
        for _ in range(times):
            for clock in self.clocks.values():
                clock.now += 1
            for watch in self.watches.values():
                watch.ask()

    def move(self, region: str, offset_s: float) -> None:
        self.clocks[region].offset_s = offset_s
        self.watches[region].moved()

    @property
    def wrong(self) -> dict[str, float]:
        told = {region: view.clock_wrong_by_s for region, view in self.views.items()}
        return {region: by_s for region, by_s in told.items() if by_s is not None}


class Backbone:
    def __init__(self, world: World, own: str) -> None:
        self._world, self._own = world, own

    @property
    def peers(self) -> tuple[str, ...]:
        return tuple(region for region in self._world.clocks if region != self._own)

    def tell(self, peers: tuple[str, ...], message: Sent) -> None:
        for peer in peers:
            self._world.deliver(self._own, peer, message)


@pytest.fixture
def world() -> World:
    made = World(*REGIONS)
    made.heartbeat(2)
    return made


@pytest.mark.parametrize("offset_s", [5, -5, 60, -60])
def test_a_node_knows_within_a_heartbeat_that_its_clock_is_wrong_and_right_again(world, offset_s):
    world.move("eu-west-1", offset_s)
    world.heartbeat()
    assert world.wrong == {"eu-west-1": pytest.approx(offset_s)}
    [(region, event, told)] = world.events
    assert (region, event, told["offset_s"]) == ("eu-west-1", "clock_wrong", pytest.approx(offset_s))
    world.heartbeat(5)
    assert len(world.events) == 1
    world.move("eu-west-1", 0)
    world.heartbeat()
    assert world.wrong == {}


def test_a_clock_that_something_else_sets_right_is_believed_within_a_heartbeat(world):
    world.clocks["eu-west-1"].offset_s = 60
    world.heartbeat()
    assert "eu-west-1" in world.wrong
    world.clocks["eu-west-1"].offset_s = 0
    world.heartbeat()
    assert world.wrong == {}
    assert [event for _, event, _ in world.events] == ["clock_wrong", "clock_right"]


def test_within_the_allowance_nothing_happens_and_the_offsets_are_told(world):
    world.move("eu-west-1", 1.5)
    world.heartbeat(3)
    assert (world.wrong, world.events) == ({}, [])
    assert world.watches["eu-west-1"].offsets_s() == {
        "us-east-1": pytest.approx(1.5),
        "ap-southeast-1": pytest.approx(1.5),
    }
    assert world.watches["us-east-1"].offsets_s()["eu-west-1"] == pytest.approx(-1.5)


def test_two_nodes_do_not_know_which_of_them_is_wrong():
    world = World(*REGIONS[:2])
    world.move(REGIONS[0], 60)
    world.heartbeat(3)
    assert (world.wrong, world.events) == ({}, [])


def test_who_is_cut_off_issues_whatever_its_clock_says(world):
    world.move("eu-west-1", 60)
    world.heartbeat()
    assert "eu-west-1" in world.wrong
    world.cut = {"eu-west-1"}
    world.heartbeat(int(HEARD_S) + 1)
    assert world.wrong == {}
    assert world.events[-1][:2] == ("eu-west-1", "clock_unknown")
    assert world.watches["eu-west-1"].offsets_s() == {}
    world.cut = set()
    world.heartbeat()
    assert "eu-west-1" in world.wrong


def test_a_hook_that_moves_one_node_after_the_other_stops_none(world):
    for region in REGIONS:
        world.move(region, 86_400)
        for watch in world.watches.values():  # heartbeats that fall between the moves
            watch.ask()
        assert world.wrong.keys() <= {*REGIONS[REGIONS.index(region) + 1 :]}
    assert world.wrong == {}
    world.heartbeat(3)
    assert world.wrong == {}


def test_what_arrives_while_clocks_are_moved_is_not_measured(world):
    world.move("eu-west-1", 60)
    for clock in world.clocks.values():
        clock.now += MOVING_S / 2
    world.watches["eu-west-1"].ask()
    assert world.watches["eu-west-1"].offsets_s() == {}


class Ready:
    """What readiness asks of a view and its replica, of keys, of a membership."""

    epoch, joined, left, origin, region, degraded = 0, True, False, "us-east-1/1/0", "us-east-1", ""

    def __init__(self) -> None:
        self.clock_wrong_by_s: float | None = None
        self.replica = self
        self.keys: Any = type("Keys", (), {"keys": ()})

    def look(self, now: float) -> None:
        """Nothing is stale."""


@pytest.mark.parametrize(("wrong_by_s", "status"), [(None, 200), (59.99951, 503), (-5.0, 503)])
async def test_a_node_whose_clock_is_wrong_is_not_ready_and_says_why(wrong_by_s, status):
    view = Ready()
    view.clock_wrong_by_s = wrong_by_s
    probes = Probes(view, None, dict, Clock(), view)  # type: ignore[arg-type]
    answer = await probes.readyz(Request("GET", "/readyz", "", CIMultiDict(), b"", "id"))
    told = json.loads(answer.body)
    assert (answer.status, told["ready"]) == (status, status == 200)
    assert told["clock_wrong_by_s"] == (None if wrong_by_s is None else round(wrong_by_s, 3))


def test_the_offset_from_each_peer_is_a_metric():
    metrics = Metrics(lambda: type("Keys", (), {"keys": ()}), dict, dict, dict, lambda: 0.0)  # type: ignore[arg-type,return-value]
    metrics.clock_offsets = lambda: {"eu-west-1": -1.5}
    assert b'stsd_clock_offset_seconds{peer="eu-west-1"} -1.5\n' in metrics.render()
