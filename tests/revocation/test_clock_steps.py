"""Three regions, one of which has a clock that steps between sessions and cut-offs by at most 1 s to each side: nothing
escapes, and whoever asks again 4 s after a cut-off is served."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product

import pytest

from stsd.revocation.instants import Instants
from stsd.revocation.revocation_set import EPSILON_MS, Revocation, RevocationSet
from tests.revocation.test_revocation_set import ROLE, role_session

NOW = 1_795_435_200.0
STEPPING, RIGHT, OTHER = "eu-west-1", "us-east-1", "ap-southeast-1"
STEPS_S = {"1 s slow": -1.0, "right": 0.0, "1 s fast": 1.0}
ACTIONS = ("issue", "cut off", "wait", *STEPS_S)
LONG_S = 0.7


@dataclass
class World:
    """`true` is Unix seconds; heartbeats tell each region the time of its own once a second."""

    ahead_s: dict[str, float]
    true: float = NOW
    instants: dict[str, Instants] = field(default_factory=dict)
    revocations: RevocationSet = field(default_factory=RevocationSet)
    made: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.instants = {region: Instants() for region in self.ahead_s}
        self.said = {region: self.clock(region) for region in self.ahead_s}

    def clock(self, region: str) -> float:
        return self.true + self.ahead_s[region]

    def behind_s(self, region: str) -> float:
        return self.said[region] - self.clock(region)

    def wait(self, seconds: float) -> None:
        """Nodes look at their clocks at least once a second."""
        self.true += seconds
        for region, instants in self.instants.items():
            instants.look(self.clock(region), self.behind_s(region))
            self.said[region] = max(self.said[region], self.clock(region))

    def issue(self) -> None:
        """Everywhere, at one instant."""
        self.made = [(region, instants.issue(self.clock(region))) for region, instants in self.instants.items()]

    def cut_off(self, region: str) -> None:
        cutoff_ms = self.instants[region].cut_off(self.clock(region), self.behind_s(region))
        until = int(self.true) + 3600
        self.revocations.add(Revocation("role", ROLE, cutoff_ms, until), region, self.true)

    def refused(self, made: Iterable[tuple[str, int]]) -> list[str]:
        sessions = ((region, role_session(at_ms, region)) for region, at_ms in made)
        return [region for region, one in sessions if self.revocations.check(one, self.true) is not None]


def after_a_wrong_minute(others_s: float, left_s: float) -> World:
    """The clock was a minute fast for a second, in which a session was given; of that minute `left_s` are left."""
    world = World({STEPPING: 60.0, RIGHT: 0.0, OTHER: others_s})
    world.issue()
    world.ahead_s[STEPPING] = 0.0
    for _ in range(round(60 - left_s)):
        world.wait(1.0)
    return world


def at_first(others_s: float) -> World:
    return World({STEPPING: 0.0, RIGHT: 0.0, OTHER: others_s})


def play(world: World, actions: Iterable[str]) -> None:
    """What was issued before a cut-off is refused everywhere from then on."""
    before: list[tuple[str, int]] = []
    for action in actions:
        if action == "issue":
            world.issue()
            before += world.made
        elif action == "cut off":
            world.cut_off(STEPPING)
            assert world.refused(before) == [region for region, _ in before]
        elif action == "wait":
            world.wait(LONG_S)
        else:
            world.ahead_s[STEPPING] = STEPS_S[action]


ORDERS = [("issue", *order, "cut off", last) for order in product(ACTIONS, repeat=3) for last in STEPS_S]


@pytest.mark.parametrize("before", ["", "a minute fast, eight seconds of it left"])
@pytest.mark.parametrize(("others_s", "spared_after_s"), [(0.0, 3.001), (-1.0, 4.001)])
def test_nothing_escapes_and_who_asks_again_is_served(before, others_s, spared_after_s):
    """After at most the second that the clock is off and the allowance, where another one is off the other way 4 s."""
    assert spared_after_s < 2 * EPSILON_MS / 1000 + 0.01
    for order in ORDERS:
        world = after_a_wrong_minute(others_s, 8.0) if before else at_first(others_s)
        play(world, order)
        world.wait(spared_after_s)
        world.issue()
        assert world.refused(world.made) == [], order


def test_in_its_own_region_a_cut_off_spares_as_soon_as_a_session_would_be_valid_elsewhere():
    for order in ORDERS:
        world = at_first(0.0)
        play(world, order)
        world.wait(0.01)  # a step of all the 2 s is a millisecond too far
        world.issue()
        assert STEPPING not in world.refused(world.made), order
