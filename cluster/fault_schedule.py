"""A schedule of faults from a TOML file, run against a running cluster. (I/O)

| member | meaning |
|---|---|
| `duration_s` | when it is over, and everything is well again |
| `[[faults]]` | `at_s`, `action` and its members (see `fault_records`) |
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import control, disturb, fault_records, toml_shape
from cluster.data_dir import DataDir
from cluster.errors import ClusterError, Refused
from cluster.fault_records import Fault
from cluster.files import read_text

Say = Callable[[str], None]
_SCHEMA = toml_shape.table({"duration_s": toml_shape.POSITIVE, "faults": {"type": "array", "minItems": 1}})


@dataclass(frozen=True, slots=True)
class Schedule:
    """Faults in the order of their times, and when it is over."""

    duration_s: float
    faults: tuple[Fault, ...]


def read(path: Path, regions: Sequence[str]) -> Schedule:
    """The schedule in a file. Raises ClusterError with a line for everything that is wrong with it."""
    schedule = parse(read_text(path, "fault schedule"), str(path))
    if wrong := fault_records.check_places(schedule.faults, regions):
        raise ClusterError(*(f"{path}: {fault}" for fault in wrong))
    return schedule


def parse(text: str, source: str) -> Schedule:
    """The schedule in a TOML text, which faults call `source`. Raises ClusterError."""
    try:
        document = toml_shape.document(text)
    except toml_shape.TomlError as error:
        raise ClusterError(*(f"{source}: {fault}" for fault in error.faults)) from error
    wrong = [*toml_shape.faults(_SCHEMA, document), *fault_records.faults(document.get("faults", []), {})]
    if not wrong:
        faults, duration_s = document["faults"], document["duration_s"]
        wrong = [*fault_records.mistimed("faults", "fault", [fault["at_s"] for fault in faults], duration_s)]
        for index, fault in enumerate(faults):
            wrong += fault_records.crashless(f"faults[{index}]", fault, duration_s)
    if wrong:
        raise ClusterError(*dict.fromkeys(f"{source}: {fault}" for fault in wrong))
    return Schedule(float(document["duration_s"]), tuple(Fault.of(fault) for fault in document["faults"]))


async def run(data: DataDir, schedule: Schedule, seed: int, *, leave: bool, say: Say) -> None:
    """Every fault in its time; SIGINT and SIGTERM end it early. Raises Refused when something does not obey."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    begin = time.monotonic()
    faults = fault_records.drawn(schedule.faults, seed, data.topology.regions, schedule.duration_s)
    try:
        for fault in faults:
            if await _stopped(stop, begin + fault.at_s):
                break
            await disturb.do(data, fault)
            say(f"{time.monotonic() - begin:6.1f} s  {told(fault)}")
        await _stopped(stop, begin + schedule.duration_s)
    finally:
        if not leave:
            await restore(data)
            say(f"{time.monotonic() - begin:6.1f} s  everything is well again")
    if stop.is_set():
        raise Refused("stopped before its end")


async def _stopped(stop: asyncio.Event, until: float) -> bool:
    """Whether it was told to stop before `until`, in monotonic seconds."""
    try:
        async with asyncio.timeout(max(0.0, until - time.monotonic())):
            await stop.wait()
    except TimeoutError:
        pass
    return stop.is_set()


async def restore(data: DataDir) -> None:
    """Whatever is paused goes on, every fault ends, whatever is down starts. Raises Refused when all of it was
    tried."""
    faults: list[str] = []
    for doing in (_resume, disturb.heal, _start):
        try:
            await doing(data)
        except Refused as error:
            faults += error.faults
    if faults:
        raise Refused(*faults)


async def _resume(data: DataDir) -> None:
    paused = [region for region, state in (await _states(data)).items() if state["paused"]]
    await disturb.each(*(disturb.order(data, region, "resume") for region in paused))


async def _start(data: DataDir) -> None:
    down = [region for region, state in (await _states(data)).items() if state["pid"] is None]
    await disturb.each(*(disturb.order(data, region, "start") for region in down))


async def _states(data: DataDir) -> dict[str, dict[str, Any]]:
    """By region, of those that something supervises."""
    regions = data.topology.regions
    states = await asyncio.gather(*(asyncio.to_thread(control.ask, data.run, one, "status") for one in regions))
    return {region: state for region, state in zip(regions, states, strict=True) if state is not None}


def told(fault: Fault) -> str:
    """A fault in words: its action, its place, and what it does differently from a fault of its kind by default."""
    usual = Fault(fault.at_s, fault.action)
    amounts = ("ms", "share", "per_s", "queue_ms", "times", "status", "offset_s", "journal_only")
    given = [f"{name} {getattr(fault, name):g}" for name in amounts if getattr(fault, name) != getattr(usual, name)]
    return " ".join([fault.action, fault.where, *given]).rstrip()
