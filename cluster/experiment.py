"""An experiment as data: question, topology, load, faults and checks. Pure; `experiment_file` reads one from TOML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from cluster import dns, fault_records
from cluster.checks import Check
from cluster.fault_records import Fault

START_S = 3.0
"""To start a cluster and to end it. This and REPORT_S were measured on two cores, in a quick run of all."""
PRELOADED_PER_S = 4_000.0
"""Revocations that fill journals, of all regions together, beside little other work; beside much it was half of it."""
REPORT_S = 4.0
"""To draw the plots of a result, and the report."""


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
    `behaviour`), `verifiers` the kind of them (see `crowd.workers`), `engine` what carries the replication (see
    `engines`), empty for what the run is asked to use."""

    name: str = ""
    clients: str = "plain"
    verifiers: str = "stsd.verifier"
    engine: str = ""
    without: tuple[str, ...] = ()
    """Parts of the router that are left out (see `router_config`)."""
    front: str = ""
    """What stands where the router's global endpoint stands (one of `haproxy_files.FRONTS`); empty for the router."""
    policies: tuple[str, ...] = ()
    """The router policies that it is run under; empty for all of the experiment's."""
    dns_ttl_s: float = dns.TTL_S
    """How long the router's policy `dns` keeps an answer."""


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
class Revoking:
    """Revocations beside the load: how many per second in each region, how long to wait after the last one, and how
    many there are before the load begins."""

    per_s: float
    settle_s: float
    preloaded: int = 0


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Rounds of cut-offs beside the load: one begins every so often and makes more sessions so long after its cut-off;
    `settle_s` after the load every region is asked once more."""

    every_s: float
    after_s: tuple[float, ...]
    settle_s: float


@dataclass(frozen=True, slots=True)
class Moment:
    """When every verifier is called at once, with a token of which key: a `published` or an `unknown` one."""

    name: str
    at_s: float
    key: str = "published"


@dataclass(frozen=True, slots=True)
class Verifiers:
    """Many verifiers at the home region's node beside the load; see `crowd.workers`."""

    count: int
    calls: int
    spread_s: float
    keys_age_s: float
    moments: tuple[Moment, ...]


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
    crashes_until_s: float | None = None
    """When crashes end that end before the load; None where there are none."""
    variants: tuple[str, ...] = ("",)
    verifiers: Verifiers | None = None

    def sooner(self, fault: Fault, at_s: float) -> Fault:
        """A fault of the full form as it comes in this one."""
        return replace(fault, at_s=at_s, until_s=None if fault.until_s is None else self.crashes_until_s)


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
    cutoffs: Cutoffs | None = None
    variants: tuple[Variant, ...] = (Variant(),)
    finding: tuple[str, ...] = ()
    """Sentences of the answer; see `finding`."""
    verifiers: Verifiers | None = None
    tied: str = ""
    """Why it means nothing on another topology; empty where it does."""
    elsewhere: bool = False
    """Whether `topology` is another one than its own (see `elsewhere`)."""
    upgrade_from: str = ""
    """The commit of which every node is at first; empty for the code that runs the experiment."""

    def shortened(self) -> Experiment:
        """The quick form: fewer seeds, shorter load, earlier faults, and only the checks that fit it."""
        return replace(
            self,
            topology=self.quick.topology,
            seeds=self.quick.seeds,
            load=self.quick.load,
            revoking=None if self.revoking is None else replace(self.revoking, preloaded=self.quick.preloaded),
            faults=tuple(map(self.quick.sooner, self.faults, self.quick.at_s)),
            verifiers=self.quick.verifiers,
            variants=tuple(variant for variant in self.variants if variant.name in self.quick.variants),
            checks=tuple(check.of_variants(self.quick.variants) for check in self.checks if check.quick),
        )

    def on(self, backbone: str) -> Experiment:
        """With the checks that count on this backbone."""
        return replace(self, checks=tuple(check for check in self.checks if check.backbone in ("", backbone)))

    @property
    def arms(self) -> list[tuple[str, Variant]]:
        """What is run with each seed: a router policy and a variant each."""
        pairs = product(self.policies, self.variants)
        return [(policy, variant) for policy, variant in pairs if policy in (variant.policies or self.policies)]

    @property
    def seconds(self) -> float:
        """How long its load lasts in all, starts of clusters not counted."""
        settle_s = max(0.0 if one is None else one.settle_s for one in (self.revoking, self.cutoffs))
        return self.seeds * len(self.arms) * (self.load.warm_up_s + self.load.duration_s + settle_s)

    @property
    def whole_s(self) -> float:
        """About how long it takes in all, on two cores."""
        clusters = self.seeds * len(self.arms)
        preloaded = 0 if self.revoking is None else self.revoking.preloaded
        return self.seconds + clusters * (START_S + preloaded / PRELOADED_PER_S) + REPORT_S

    def drawn(self, seed: int, regions: Sequence[str], variant: str = "") -> list[Fault]:
        """All faults of a variant in order, every crash drawn: the same for the same seed."""
        chosen = [fault for fault in self.faults if not fault.variants or variant in fault.variants]
        return fault_records.drawn(chosen, seed, regions, self.load.duration_s)


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
