"""An experiment as data: question, topology, load, faults and checks. Pure; `experiment_file` reads one from TOML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from cluster.checks import Check


class ExperimentError(ValueError):
    """An experiment file that cannot be used; `faults` says in one line each where, why and what is allowed."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True, slots=True)
class Load:
    """An open-loop load; see the module's table."""

    operations: tuple[str, ...]
    regional: Literal["own", "all"]
    arrivals_per_s: float
    warm_up_s: float
    duration_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, `at_s` seconds after the warm-up."""

    at_s: float
    action: str
    region: str


@dataclass(frozen=True, slots=True)
class Quick:
    """What the quick form replaces, and in words what it leaves out."""

    topology: str
    seeds: int
    load: Load
    at_s: tuple[float, ...]
    checks: str
    leaves_out: str


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

    def shortened(self) -> Experiment:
        """The quick form: fewer seeds, shorter load, earlier faults, and only the checks that fit it."""
        return replace(
            self,
            topology=self.quick.topology,
            seeds=self.quick.seeds,
            load=self.quick.load,
            faults=tuple(replace(fault, at_s=at_s) for fault, at_s in zip(self.faults, self.quick.at_s, strict=True)),
            checks=tuple(check for check in self.checks if check.quick),
        )

    @property
    def seconds(self) -> float:
        """How long its load lasts in all, starts of clusters not counted."""
        return self.seeds * len(self.policies) * (self.load.warm_up_s + self.load.duration_s)


def select(wanted: Iterable[str], experiments: Mapping[str, Experiment]) -> list[Experiment]:
    """The experiments of slugs, numbers or `all`, each once, in the order given. Raises ExperimentError."""
    names = {key: name for name, e in experiments.items() for key in (name, e.number.lower())}
    chosen: dict[str, Experiment] = {}
    for word in wanted:
        if word == "all":
            chosen |= experiments
        elif word.lower() in names:
            name = names[word.lower()]
            chosen[name] = experiments[name]
        else:
            raise ExperimentError(
                [f"experiment {word}: not known; choose {', '.join(experiments)}, their numbers or all"]
            )
    return list(chosen.values())
