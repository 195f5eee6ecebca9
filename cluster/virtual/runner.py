"""Runs one experiment in virtual time: as `cluster.runner` does, without a process, a socket or a clock.

What it cannot know is told: `refusals` says why an experiment cannot be simulated, `left_out` which of its checks
are about processes and therefore not judged. A seed repeats every number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from cluster import fault_records, latency, watched
from cluster.behaviour import BEHAVIOURS
from cluster.checks import Check
from cluster.experiment import Experiment, Variant
from cluster.fault_records import Fault
from cluster.faults import Links
from cluster.history import Conditions, Event, Run, labelled
from cluster.load import groups, schedule
from cluster.sim.invariants import InvariantBroken
from cluster.topology import Topology
from cluster.virtual.clients import Clients
from cluster.virtual.faults import ACTIONS, Machine
from cluster.virtual.replication import Replication
from cluster.virtual.revoking import VirtualRevoker, void
from cluster.virtual.router import VirtualRouter
from cluster.virtual.service import SERVICE_S, Service
from cluster.virtual.tasks import Steps, spawn

HEAD_START_S = 3.0
"""Virtual seconds before the warm-up, in which nodes and health checks find each other."""
SLICE_S = 1.0
JUDGED = frozenset(
    {
        *("latency_ratio", "mean_latency_ratio", "measured_to_table", "p99_ratio"),
        *("lost", "lost_share", "recovery_s", "collapsed_s", "impaired_s", "amplification"),
        *("latency_ms_p99", "hedged_share", "switch_s"),
        *("convergence_ms_p99", "convergence_s", "caught_up_s", "accepted_after_ack", "lost_acked"),
        *("differing_heads", "phantoms", "unacked"),
    }
)
"""Kinds of checks that virtual time has something to say about; the others ask what processes do."""
NO_DELAY_ERROR = Conditions(idle_cpu=None, delay_error_ms_p99=0.0)
Progress = Callable[[float, str], None]


def refusals(experiment: Experiment, backbone: str) -> list[str]:
    """Why an experiment cannot be run in virtual time; empty when it can."""
    found = [f"backbone {backbone}: the simulation knows http"] if backbone != "http" else []
    found += ["cut-offs are not simulated"] if experiment.cutoffs is not None else []
    found += ["verifiers are not simulated"] if experiment.verifiers is not None else []
    known = {*ACTIONS, "crash"}
    found += [f"fault {action} is not simulated" for action in _unknown((f.action for f in experiment.faults), known)]
    engines = _unknown((one.engine for one in experiment.variants), {"", "http"})
    found += [f"engine {one} is not simulated" for one in engines]
    found += ["only another proxy is run, which is a real program"] if all(v.front for v in experiment.variants) else []
    operations = experiment.load.operations
    found += [f"operation {one} is not simulated" for one in _unknown(iter(operations), {*SERVICE_S})]
    if not found and not any(check.kind in JUDGED for check in experiment.checks):
        found.append("all of its checks are about processes")
    return found


def _unknown(words: Iterator[str], known: set[str]) -> list[str]:
    return sorted({*words} - known)


def left_out(experiment: Experiment) -> dict[str, str]:
    """The names of checks that are not judged, and why; where only some variants are not, they are named too."""
    found = {check.name: f"{check.kind} is about processes" for check in experiment.checks if check.kind not in JUDGED}
    for variant in (one for one in experiment.variants if one.front):
        for check in experiment.checks:
            if variant.name in (*check.variants, check.than):
                name = check.name if check in _lost_with(experiment) else f"{variant.name}: {check.name}"
                found.setdefault(name, f"{variant.front} is a real program, which virtual time has not")
    return found


def _simulated(experiment: Experiment) -> list[str]:
    return [variant.name for variant in experiment.variants if not variant.front]


def _lost_with(experiment: Experiment) -> list[Check]:
    """Checks of which nothing is left without the variants that are not simulated."""
    names = _simulated(experiment)
    return [c for c in experiment.checks if not c.of_variants(names).variants or (c.than and c.than not in names)]


def judged(experiment: Experiment) -> Experiment:
    """With the checks and variants that virtual time can say something about, and nothing preloaded: no journal is
    read."""
    revoking, names, lost = experiment.revoking, _simulated(experiment), _lost_with(experiment)
    kept = (check for check in experiment.checks if check.kind in JUDGED and check not in lost)
    return replace(
        experiment,
        variants=tuple(variant for variant in experiment.variants if variant.name in names),
        checks=tuple(check.of_variants(names) for check in kept),
        revoking=None if revoking is None else replace(revoking, preloaded=0),
    )


class VirtualRunner:
    """One experiment with one seed to begin from. `runs` is what was recorded so far."""

    def __init__(self, experiment: Experiment, topology: Topology, seed: int, progress: Progress) -> None:
        self.experiment, self.topology, self.seed = experiment, topology, seed
        self.runs: list[Run] = []
        self._progress = progress
        self._done_s = 0.0

    def run(self) -> None:
        """Everything. Raises InvariantBroken, with what shows it again."""
        one = self.experiment
        for seed in range(self.seed, self.seed + one.seeds):
            for policy, variant in one.arms:
                self._load(policy, variant, seed)

    def _load(self, policy: str, variant: Variant, seed: int) -> None:
        scene = _Scene(self.experiment, self.topology, policy, variant, seed)
        what = f"{labelled(policy, variant.name)}, seed {seed}"
        try:
            for now in scene.slices():
                self._progress(self._done_s + max(0.0, now), what)
        finally:
            self.runs.append(scene.recorded())
        one = self.experiment
        self._done_s += one.seconds / one.seeds / len(one.arms)
        self._progress(self._done_s, f"{what}: done")


class _Scene:
    """One cluster, its clients and its faults."""

    def __init__(self, experiment: Experiment, topology: Topology, policy: str, variant: Variant, seed: int) -> None:
        self._experiment, self._policy, self._variant, self._seed = experiment, policy, variant, seed
        load = experiment.load
        replay = f"python -m cluster experiment run {experiment.name} --simulate --seed {seed}"
        shifts = latency.shifts(topology.between if topology.path_shifts else (), seed)
        links = Links(topology.regions, topology.between, shifts)
        self._world = Replication(seed, links, replay)
        self._scheduler = self._world.scheduler
        services = {region: Service(self._scheduler) for region in topology.regions}
        self._machine = Machine(services, self._world, links)
        self._router = VirtualRouter(
            topology, policy, services, self._scheduler, seed, variant.without, variant.dns_ttl_s
        )
        begin = HEAD_START_S + load.warm_up_s
        self._clients = Clients(self._router, self._scheduler, load.timeout_s, BEHAVIOURS[variant.clients], seed, begin)
        self._clients.plan(schedule(load, groups(topology, load.regional), seed))
        self._events = [Event("load", f"{step.times:g} times", step.at_s, step.at_s, step.name) for step in load.steps]
        void(spawn(self._scheduler, self._faults(experiment.drawn(seed, topology.regions, variant.name))))
        self._revoker: VirtualRevoker | None = None
        if experiment.revoking is not None:
            self._revoker = VirtualRevoker(self._world, services, experiment.revoking, begin, seed, load.timeout_s)
            self._revoker.plan(load.duration_s)

    def slices(self) -> Iterator[float]:
        """Lets time pass until every request has its answer; tells how far it is, in seconds of load."""
        load, revoking = self._experiment.load, self._experiment.revoking
        load_ends = HEAD_START_S + load.warm_up_s + load.duration_s
        settled = load_ends + max(load.timeout_s, revoking.settle_s if revoking else 0.0)
        yield from self._until(settled)
        if self._revoker is not None:
            self._revoker.audit()
        latest = load_ends + self._clients.longest_s
        while self._clients.unanswered and self._scheduler.now < latest:
            yield from self._until(min(latest, self._scheduler.now + SLICE_S))

    def _until(self, end: float) -> Iterator[float]:
        load = self._experiment.load
        while self._scheduler.now < end:
            self._world.run(min(end, self._scheduler.now + SLICE_S))
            yield min(self._scheduler.now - HEAD_START_S, load.warm_up_s + load.duration_s)

    def recorded(self) -> Run:
        """What happened so far."""
        exchanges = sorted(self._clients.exchanges, key=lambda e: (e.due_at, e.location, e.endpoint, e.region))
        events = sorted(self._events, key=lambda event: event.began_at)
        sessions = [] if self._revoker is None else self._revoker.sessions
        return Run(
            self._policy,
            self._seed,
            exchanges,
            events,
            NO_DELAY_ERROR,
            self._clients.now(),
            revocations=watched.revocations(sessions),
            untouched=watched.untouched(sessions),
            nodes=self._world.counts(),
            variant=self._variant.name,
            hedges=float(self._router.hedges),
        )

    def _faults(self, faults: Sequence[Fault]) -> Steps:
        for fault in faults:
            yield max(0.0, fault.at_s - self._clients.now())
            for action in fault_records.done(fault.action):
                began_at = self._clients.now()
                yield from ACTIONS[action](self._machine, fault)
                self._events.append(Event(action, fault.where, began_at, self._clients.now(), fault.name))


__all__ = ["InvariantBroken", "VirtualRunner", "judged", "left_out", "refusals"]
