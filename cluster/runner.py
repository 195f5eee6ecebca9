"""Runs one experiment: per seed, policy and variant a cluster, its load, its faults; records the history. (I/O)

What was recorded is kept at every moment, so that Ctrl-C leaves a partial history and no process.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import aiohttp

from cluster import (
    brokers,
    conditions,
    disturb,
    fault_records,
    fronts,
    node_checks,
    own_cluster,
    snapshot,
    supervisor,
    version_before,
    watched,
)
from cluster.behaviour import BEHAVIOURS
from cluster.beside import beside
from cluster.crowd.herd import Herd
from cluster.cutoff_load import Cutter
from cluster.cutoff_records import CLOCK
from cluster.data_dir import DataDir
from cluster.engines import ENGINES, Engine
from cluster.errors import Refused
from cluster.experiment import Experiment, Load, Variant, Verifiers
from cluster.fault_records import Fault
from cluster.history import Conditions, Event, Run, labelled
from cluster.load import Generator, check_targets, groups, open_session, schedule
from cluster.observer import Observer, journal_bytes
from cluster.own_cluster import OwnCluster
from cluster.revocation_load import Revoker
from cluster.revocation_preload import preload
from cluster.topology import NETWORKS
from loadtest.places import DataDirError, read_key, read_places, read_role

TICK_S = 0.2
HEAD_START_S = 0.2

Progress = Callable[[float, str], None]
"""Told how many seconds of load are done in all, and what is being done."""


class Runner:
    """One experiment with one seed to begin from. `runs` is what was recorded so far."""

    def __init__(
        self, experiment: Experiment, seed: int, progress: Progress, backbone: str = "http", network: str = NETWORKS[0]
    ) -> None:
        self.experiment = experiment
        self.seed = seed
        self.backbone, self.network = backbone, network
        self.topology = own_cluster.read_topology(experiment.topology)
        self.runs: list[Run] = []
        self._progress = progress
        self._done_s = 0.0
        self._impossible: dict[str, None] = {}

    async def run(self) -> None:
        """Everything. Raises ClusterError when a cluster does not start or does not obey."""
        one = self.experiment
        with version_before.checkout(one.upgrade_from) if one.upgrade_from else contextlib.nullcontext() as code:
            for seed in range(self.seed, self.seed + one.seeds):
                for policy, variant in one.arms:
                    if not self._is_possible(variant):
                        continue
                    self._progress(self._done_s, f"{labelled(policy, variant.name)}, seed {seed}: starting")
                    environment = {} if code is None else {supervisor.CODE: str(code)}
                    front = fronts.chosen(variant.front, policy, self.topology)
                    async with (
                        self._cluster(policy, variant, seed, environment, front) as data,
                        fronts.running(front, data) as urls,
                    ):
                        await self._load(data, policy, variant, seed, urls)
        if self._impossible:
            raise Refused(*self._impossible)

    def _is_possible(self, variant: Variant) -> bool:
        """Whether the programs that it needs are there; what is not is told in the end, and the others run."""
        program = ENGINES[variant.engine].program if variant.engine else ""
        why = f"{program} is not there" if program and not Path(program).exists() else fronts.missing(variant.front)
        if why:
            checks = (c.name for c in self.experiment.checks if variant.name in (*c.variants, c.than))
            unjudged = "; ".join(dict.fromkeys(checks)) or "nothing"
            self._impossible[f"{variant.name} was not run: {why}; not judged of it: {unjudged}"] = None
        return not why

    def _cluster(
        self, policy: str, variant: Variant, seed: int, environment: dict[str, str], front: fronts.Front | None
    ) -> OwnCluster:
        engine = ENGINES[variant.engine] if variant.engine else Engine(self.backbone)
        if engine.program:
            environment = environment | {brokers.PROGRAM: engine.program}
        flags = [
            "--backbone",
            engine.backbone,
            "--network",
            self.network,
            *_hooks(self.experiment.faults),
            *_router(variant, front),
        ]
        return OwnCluster(self.experiment.topology, policy, seed, *flags, environment=environment)

    async def _load(
        self, data: DataDir, policy: str, variant: Variant, seed: int, global_urls: Mapping[str, str]
    ) -> None:
        """`global_urls`: the global endpoint by place, where it is another one than the router's."""
        load = self.experiment.load
        what = f"{labelled(policy, variant.name)}, seed {seed}"
        generator = _generator(data.path, load.timeout_s, global_urls)
        generator.behaviour, generator.seed = BEHAVIOURS[variant.clients], seed
        arrivals = schedule(load, groups(self.topology, load.regional), seed)
        events: list[Event] = []
        measured, hedges = Conditions(), None
        revoker: Revoker | None = None
        cutter: Cutter | None = None
        herd: Herd | None = None
        observer = Observer(data, generator.now) if self._looks else None
        async with open_session(load.timeout_s) as session:
            try:
                await _prepare(generator, session)
                revoker = self._revoker(data, generator, session)
                cutter = self._cutter(data, generator, session)
                await self._preload(data, what)
                generator.begin = time.monotonic() + load.warm_up_s + HEAD_START_S
                herd = self._herd(data, generator, variant)
                looking = [] if observer is None else [observer.run()]
                async with beside(self._tick(generator, what), *looking), asyncio.TaskGroup() as tasks:
                    tasks.create_task(generator.run(arrivals, session))
                    tasks.create_task(self._faults(data, generator, events, seed, variant.name))
                    tasks.create_task(_steps(load, generator, events))
                    if revoker is not None:
                        tasks.create_task(revoker.run(load.duration_s, seed))
                    if cutter is not None:
                        tasks.create_task(cutter.run(load.duration_s))
                    if herd is not None:
                        tasks.create_task(herd.run(load.duration_s))
                        tasks.create_task(_moments(self.experiment.verifiers, generator, events))
                    before = tasks.create_task(snapshot.take(data, after_s=-generator.now()))
                    after = tasks.create_task(snapshot.take(data, after_s=load.duration_s - generator.now()))
                measured = snapshot.between(before.result(), after.result())
                hedges = conditions.hedges(await own_cluster.router_metrics(data))
            finally:
                done = Run(
                    policy,
                    seed,
                    generator.exchanges,
                    events,
                    measured,
                    generator.now(),
                    variant=variant.name,
                    hedges=hedges,
                )
                self.runs.append(done)  # at once: a Ctrl-C may come before the rest is known
                self.runs[-1] = await _completed(done, data, revoker, cutter, herd, observer)
        self._done_s += self._run_s
        self._progress(self._done_s, f"{what}: done")

    @property
    def _looks(self) -> bool:
        """Whether a check needs what is looked at beside the load."""
        return any(check.kind in node_checks.MEASURES for check in self.experiment.checks)

    @property
    def _run_s(self) -> float:
        """How long the load of one run lasts."""
        one = self.experiment
        return one.seconds / one.seeds / len(one.arms)

    def _revoker(self, data: DataDir, generator: Generator, session: aiohttp.ClientSession) -> Revoker | None:
        settings = self.experiment.revoking
        if settings is None:
            return None
        urls = {region: data.url(region) for region in self.topology.regions}
        return Revoker(urls, generator.role, settings, session, generator.now)

    def _cutter(self, data: DataDir, generator: Generator, session: aiohttp.ClientSession) -> Cutter | None:
        settings = self.experiment.cutoffs
        if settings is None:
            return None
        moves = ((one.at_s, one.offset_s) for one in self.experiment.faults if one.action == CLOCK)
        return Cutter(data, settings, moves, session, generator.now)

    def _herd(self, data: DataDir, generator: Generator, variant: Variant) -> Herd | None:
        settings = self.experiment.verifiers
        if settings is None:
            return None
        return Herd(data, settings, variant.verifiers, generator.token, generator.begin)

    async def _preload(self, data: DataDir, what: str) -> None:
        """What is in the journals before anything is measured."""
        settings = self.experiment.revoking
        if settings is not None and settings.preloaded:
            self._progress(self._done_s, f"{what}: making {settings.preloaded} revocations")
            urls = {region: data.url(region) for region in self.topology.regions}
            await preload(urls, read_key(data.path, "admin"), settings.preloaded)
            if not await own_cluster.until_heads_are_equal(data):
                raise Refused("the experiment's regions did not agree on the revocations before it")

    async def _faults(self, data: DataDir, generator: Generator, events: list[Event], seed: int, variant: str) -> None:
        for fault in self.experiment.drawn(seed, self.topology.regions, variant):
            await asyncio.sleep(max(0.0, fault.at_s - generator.now()))
            for action in fault_records.done(fault.action):
                began_at = generator.now()
                await disturb.do(data, replace(fault, action=action))
                events.append(Event(action, fault.where, began_at, generator.now(), fault.name))

    async def _tick(self, generator: Generator, what: str) -> None:
        """Tells the progress."""
        load = self.experiment.load
        while True:
            done_s = min(max(0.0, generator.now() + load.warm_up_s), self._run_s)
            self._progress(self._done_s + done_s, what)
            await asyncio.sleep(TICK_S)


def _hooks(faults: Iterable[Fault]) -> list[str]:
    """The flag that faults inside a node need."""
    return ["--unsafe-test-hooks"] if any(fault.needs_hooks for fault in faults) else []


def _router(variant: Variant, front: fronts.Front | None) -> list[str]:
    if front is not None:
        return front.flags
    left_out = [word for part in variant.without for word in ("--without", part)]
    return [*left_out, "--dns-ttl", f"{variant.dns_ttl_s:g}"]


async def _steps(load: Load, generator: Generator, events: list[Event]) -> None:
    """Notes when the load changes; the schedule does it."""
    for step in load.steps:
        await asyncio.sleep(max(0.0, step.at_s - generator.now()))
        events.append(Event("load", f"{step.times:g} times", step.at_s, step.at_s, step.name))


async def _moments(settings: Verifiers | None, generator: Generator, events: list[Event]) -> None:
    """Notes when something happens to all verifiers; their process does it."""
    for moment in () if settings is None else settings.moments:
        await asyncio.sleep(max(0.0, moment.at_s - generator.now()))
        events.append(Event("verifiers", "", moment.at_s, moment.at_s, moment.name))


def _generator(path: Path, timeout_s: float, global_urls: Mapping[str, str]) -> Generator:
    try:
        places = [replace(one, global_url=global_urls.get(one.name, one.global_url)) for one in read_places(path)]
        check_targets(places)
        return Generator({place.name: place for place in places}, read_role(path), timeout_s)
    except DataDirError as error:
        raise Refused(str(error)) from error


async def _prepare(generator: Generator, session: aiohttp.ClientSession) -> None:
    """Raises Refused."""
    try:
        await generator.prepare(session)
    except (aiohttp.ClientError, ValueError) as error:
        raise Refused(f"the experiment's cluster gives no token: {error}") from error


async def _completed(
    done: Run,
    data: DataDir,
    revoker: Revoker | None,
    cutter: Cutter | None,
    herd: Herd | None,
    observer: Observer | None,
) -> Run:
    """With what was recorded beside the load, and what each node had counted in the end."""
    if revoker is not None:
        sessions = revoker.sessions
        done = replace(done, revocations=watched.revocations(sessions), untouched=watched.untouched(sessions))
    if cutter is not None:
        done = replace(done, cutoffs=cutter.cutoffs)
    if herd is not None:
        done = replace(done, crowd=herd.found())
    if observer is not None:
        sizes = await asyncio.to_thread(journal_bytes, data)
        done = replace(done, samples=observer.samples, journal_bytes=sizes)
    return replace(done, nodes=await own_cluster.node_counts(data))
