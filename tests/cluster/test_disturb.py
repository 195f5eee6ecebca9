"""The end of faults where something of it does not work: the rest is well again, and what is not is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from click.testing import CliRunner

from cluster import control, disturb, fault_cli, fault_schedule
from cluster.data_dir import DataDir, Wanted, prepare
from cluster.errors import Refused

A, B, C = "us-east-1", "eu-west-1", "ap-southeast-1"
WELL = {"clock_offset_s": 0.0}


@dataclass
class Cluster:
    """Supervisors, links and nodes with hooks that obey, but for those in `fails`; `done` is what they obeyed."""

    paused: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    fails: set[tuple[str, str]] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    """Nodes that do not say how they do."""
    done: set[tuple[str, str]] = field(default_factory=set)

    def ask(self, run: object, name: str, verb: str, **members: Any) -> dict[str, Any]:
        if verb == "status":
            pid = None if name in self.down else 1
            return {"ok": True, "pid": pid, "paused": name in self.paused, "hooks": True}
        if (name, verb) in self.fails:
            return {"ok": False, "fault": "it does not"}
        self.done.add((name, verb))
        self.paused -= {name} if verb == "resume" else set()
        self.down -= {name} if verb == "start" else set()
        return {"ok": True}

    async def hook(self, data: DataDir, region: str, name: str, content: object) -> None:
        if (region, name) in self.fails:
            raise Refused(f"{name} of {region} did not work: it does not answer")
        self.done.add((region, name))

    async def inside(self, data: DataDir, region: str, within_s: float = 1.0) -> dict[str, Any] | None:
        return None if region in self.silent else WELL

    def pid_of(self, data: DataDir, region: str) -> int | None:
        return None if region in self.down else 1


@pytest.fixture
def data(tmp_path):
    return prepare(tmp_path / "data", Wanted())


@pytest.fixture
def cluster(monkeypatch) -> Cluster:
    one = Cluster()
    monkeypatch.setattr(control, "ask", one.ask)
    for name in ("hook", "inside", "pid_of"):
        monkeypatch.setattr(disturb, name, getattr(one, name))
    monkeypatch.setattr(disturb, "_limit_files", lambda pid, full: None)
    return one


async def test_a_node_that_is_too_busy_to_say_what_is_wrong_is_healed_and_not_taken_for_well(cluster, data):
    cluster.silent = {A}
    with pytest.raises(Refused, match=f"clock of {A} did not work"):
        await disturb.heal(data, A)
    assert {(A, "faults"), (A, "capacity")} <= cluster.done


async def test_a_heal_does_all_that_it_can_and_tells_all_that_did_not_work(cluster, data):
    cluster.fails = {(control.LINKS_FAULTS, "heal"), (A, "faults")}
    with pytest.raises(Refused) as refused:
        await disturb.heal(data)
    assert [fault.split(" did not")[0] for fault in refused.value.faults] == [f"faults of {A}", "heal"]
    assert {(B, "faults"), (C, "faults")} <= cluster.done


async def test_what_a_node_had_inside_ends_with_it_while_it_is_healed(cluster, data, monkeypatch):
    cluster.fails, pids = {(A, "faults")}, iter([1, None])
    monkeypatch.setattr(disturb, "pid_of", lambda data, region: next(pids))
    assert await disturb.heal(data, A) == []


async def test_a_paused_node_keeps_what_is_wrong_inside_and_is_named(cluster, data):
    cluster.paused = {B}
    assert await disturb.heal(data) == [B]
    assert (B, "faults") not in cluster.done


@pytest.mark.parametrize("fails", [(A, "resume"), (control.LINKS_FAULTS, "heal"), (B, "faults")])
async def test_after_a_schedule_one_thing_that_fails_leaves_nothing_else_as_it_was(cluster, data, fails):
    cluster.paused, cluster.down, cluster.fails = {A}, {C}, {fails}
    with pytest.raises(Refused, match="did not work"):
        await fault_schedule.restore(data)
    wanted = {(A, "resume"), (control.LINKS_FAULTS, "heal"), (B, "faults"), (C, "start")}
    assert wanted - cluster.done == {fails}


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ((), "every link and region is well"),
        ((A,), f"{A}: its links are as before, inside it is well"),
        ((A, B), f"{A} and {B}: the link is well"),
    ],
)
def test_a_heal_says_what_is_well_now_and_of_one_region_not_that_its_links_are(data, monkeypatch, places, words):
    async def heal(data: DataDir, region: str, to: str) -> list[str]:
        return []

    monkeypatch.setattr(disturb, "heal", heal)
    monkeypatch.setattr(fault_cli, "_cluster", lambda path, *regions: data)
    assert CliRunner().invoke(fault_cli.heal, places).output == f"{words}\n"
