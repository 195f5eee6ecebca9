"""What is done to a cluster, and when: the same for the same seed. Pure.

A plan is a row of episodes. In each, up to four faults begin one after the other and end in another order, some only
with the episode; then all is well for a moment. A region has one fault of its own at a time, links may have several.
The loss of a disk has an episode for itself, at most one a plan: copies promise to survive one lost disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random

EPISODE_S = 5.0
CALM_S = 1.0
"""Without faults, between two episodes."""
FAULTS_AT_ONCE = 4
OFFSET_S_MAX = 0.95
"""Of one clock from the true time: two of them differ by less than revocations allow for (contract 10)."""
SLOW_MS = (50.0, 400.0)
LOSS = (0.02, 0.3)

REGION_FAULTS = ("kill", "pause", "full disk", "move clock")
LINK_FAULTS = ("cut", "cut one way", "isolate", "slow", "lossy")
LOSE_DISK = "lose disk"
VERBS = (*REGION_FAULTS, *LINK_FAULTS, LOSE_DISK)


@dataclass(frozen=True, slots=True)
class Step:
    """One fault from `begin_s` to `end_s`, seconds since the history began; `amount` in the unit of its verb."""

    verb: str
    where: tuple[str, ...]
    begin_s: float
    end_s: float
    amount: float = 0.0


def plan(seed: int, regions: Sequence[str], seconds: float, verbs: Sequence[str] = VERBS) -> list[Step]:
    """The faults of a history that lasts about `seconds`, in the order in which they begin."""
    rng = Random(seed)  # noqa: S311  chance, not secret
    episodes = max(1, round(seconds / (EPISODE_S + CALM_S)))
    lossy_episode = rng.randrange(episodes) if LOSE_DISK in verbs else -1
    common = [verb for verb in verbs if verb != LOSE_DISK]
    steps: list[Step] = []
    for number in range(episodes):
        start_s = CALM_S + number * (EPISODE_S + CALM_S)
        if number == lossy_episode:
            steps.append(Step(LOSE_DISK, (rng.choice(regions),), start_s, start_s + rng.uniform(0.2, 2.0)))
        elif common:
            steps += _episode(rng, regions, start_s, common)
    return sorted(steps, key=lambda step: step.begin_s)


def _episode(rng: Random, regions: Sequence[str], start_s: float, verbs: Sequence[str]) -> list[Step]:
    taken: set[str] = set()
    steps = []
    for _ in range(rng.randint(1, FAULTS_AT_ONCE)):
        verb = rng.choice(verbs)
        free = [region for region in regions if region not in taken]
        if verb in REGION_FAULTS:
            if not free:
                continue
            where: tuple[str, ...] = (rng.choice(free),)
            taken.add(where[0])
        elif verb == "isolate":
            where = (rng.choice(regions),)
        else:
            where = tuple(rng.sample(rng.choice([*combinations(regions, 2)]), 2))
        begin_s = start_s + rng.uniform(0, EPISODE_S / 3)
        end_s = start_s + EPISODE_S if rng.random() < 0.3 else rng.uniform(begin_s + 0.3, start_s + EPISODE_S)
        steps.append(Step(verb, where, begin_s, end_s, _amount(rng, verb)))
    return steps


def _amount(rng: Random, verb: str) -> float:
    match verb:
        case "slow":
            return round(rng.uniform(*SLOW_MS), 1)
        case "lossy":
            return round(rng.uniform(*LOSS), 3)
        case "move clock":
            return round(rng.uniform(-OFFSET_S_MAX, OFFSET_S_MAX), 3)
    return 0.0
