"""An experiment as data: question, topology, load, faults and checks. Pure; `experiment_file` reads one from TOML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from cluster.checks import Check


class ExperimentError(ValueError):
    """An experiment file that cannot be used; `faults` says in one line each where, why and what is allowed."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True, slots=True)
class Step:
    """From `at_s` on, arrivals come `times` as often as the load says. `name` is what checks call its beginning."""

    at_s: float
    times: float
    name: str


@dataclass(frozen=True, slots=True)
class Variant:
    """One of several ways that are compared, each on clusters of its own. `clients` is their behaviour (see
    `behaviour`)."""

    name: str = ""
    clients: str = "plain"


@dataclass(frozen=True, slots=True)
class Load:
    """An open-loop load; see `experiment_file`."""

    operations: tuple[str, ...]
    regional: Literal["none", "own", "all"]
    arrivals_per_s: float
    warm_up_s: float
    duration_s: float
    timeout_s: float
    steps: tuple[Step, ...] = ()
    """In order. Before the first one, and in the warm-up, arrivals come as often as `arrivals_per_s` says."""

    def times(self, at_s: float) -> float:
        """How many times as often as usual requests arrive then."""
        return next((step.times for step in reversed(self.steps) if step.at_s <= at_s), 1.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, `at_s` seconds after the warm-up."""

    at_s: float
    action: str
    region: str = ""
    to: str = ""
    """The other region of a partition, or of a slow or lossy link."""
    one_way: bool = False
    ms: float = 0.0
    """How much slower a slow link is, each way."""
    share: float = 0.0
    """Of the messages that a lossy link loses."""
    name: str = ""
    """What checks call it; its action, unless given."""
    per_s: float = 0.0
    """How many calls a second a node serves whose capacity is lowered; 0 ends it."""
    queue_ms: float | None = None
    """How long a call may wait there before it is refused; None: as long as it takes."""
    variants: tuple[str, ...] = ()
    """In which variants it comes; all of them unless given."""
    every_s: float = 0.0
    """A crash comes again and again until the load is nearly over, at a random moment of each such time."""

    @property
    def where(self) -> str:
        """Its region or regions in words."""
        return f"{self.region} {'to' if self.one_way else 'and'} {self.to}" if self.to else self.region


@dataclass(frozen=True, slots=True)
class Revoking:
    """Revocations beside the load: how many per second in each region, how long to wait after the last one, and how
    many there are before the load begins."""

    per_s: float
    settle_s: float
    preloaded: int = 0


@dataclass(frozen=True, slots=True)
class Quick:
    """What the quick form replaces, and in words what it leaves out."""

    topology: str
    seeds: int
    load: Load
    at_s: tuple[float, ...]
    checks: str
    leaves_out: str
    preloaded: int = 0
    variants: tuple[str, ...] = ("",)


@dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment in one form; `shortened` gives the quick one."""

    number: str
    name: str
    question: str
    latency: bool
    topology: str
    policies: tuple[str, ...]
    seeds: int
    load: Load
    faults: tuple[Fault, ...]
    checks: tuple[Check, ...]
    quick: Quick
    revoking: Revoking | None = None
    variants: tuple[Variant, ...] = (Variant(),)
    finding: tuple[str, ...] = ()
    """Sentences of the answer; see `finding`."""

    def shortened(self) -> Experiment:
        """The quick form: fewer seeds, shorter load, earlier faults, and only the checks that fit it."""
        return replace(
            self,
            topology=self.quick.topology,
            seeds=self.quick.seeds,
            load=self.quick.load,
            revoking=None if self.revoking is None else replace(self.revoking, preloaded=self.quick.preloaded),
            faults=tuple(replace(fault, at_s=at_s) for fault, at_s in zip(self.faults, self.quick.at_s, strict=True)),
            variants=tuple(variant for variant in self.variants if variant.name in self.quick.variants),
            checks=tuple(check.of_variants(self.quick.variants) for check in self.checks if check.quick),
        )

    def on(self, backbone: str) -> Experiment:
        """With the checks that count on this backbone."""
        return replace(self, checks=tuple(check for check in self.checks if check.backbone in ("", backbone)))

    @property
    def seconds(self) -> float:
        """How long its load lasts in all, starts of clusters not counted."""
        settle_s = 0.0 if self.revoking is None else self.revoking.settle_s
        return (
            self.seeds
            * len(self.policies)
            * len(self.variants)
            * (self.load.warm_up_s + self.load.duration_s + settle_s)
        )

    def drawn(self, seed: int, regions: Sequence[str], variant: str = "") -> list[Fault]:
        """All faults of a variant in order, every crash drawn: the same for the same seed."""
        rng, found = Random(seed), []  # noqa: S311  chance, not secret
        for fault in (one for one in self.faults if not one.variants or variant in one.variants):
            if fault.action != "crash":
                found.append(fault)
                continue
            at_s = fault.at_s
            while at_s + fault.every_s <= self.load.duration_s:
                region = fault.region or rng.choice(regions)
                found.append(replace(fault, at_s=at_s + rng.uniform(0, fault.every_s / 2), region=region))
                at_s += fault.every_s
        return sorted(found, key=lambda fault: fault.at_s)


def select(wanted: Iterable[str], experiments: Mapping[str, Experiment]) -> list[Experiment]:
    """The experiments of slugs, numbers (all that have it) or `all`, each once, in the order given. Raises
    ExperimentError."""
    chosen: dict[str, Experiment] = {}
    for word in wanted:
        found = {n: e for n, e in experiments.items() if word.lower() in ("all", n, e.number.lower())}
        if not found:
            raise ExperimentError(
                [f"experiment {word}: not known; choose {', '.join(experiments)}, their numbers or all"]
            )
        chosen |= found
    return list(chosen.values())
