"""What an experiment that compares engines runs, and what it leaves out and tells."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from cluster import brokers, runner
from cluster.engines import ENGINES, Engine
from cluster.errors import Refused
from cluster.experiment import Variant
from cluster.experiment_console import load_all
from cluster.runner import Runner


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The backbone and the broker's program of every cluster that would start."""
    found: list[tuple[str, str]] = []

    @contextlib.asynccontextmanager
    async def cluster(topology, policy, seed, *flags, environment):
        found.append((flags[flags.index("--backbone") + 1], environment.get(brokers.PROGRAM, "")))
        yield None

    async def no_load(self, *arguments):
        return

    monkeypatch.setattr(runner, "OwnCluster", cluster)
    monkeypatch.setattr(Runner, "_load", no_load)
    return found


def comparing(*engines: str) -> Runner:
    variants = tuple(Variant(name=engine, engine=engine) for engine in engines)
    return Runner(replace(load_all()["engine-swap"], variants=variants, seeds=1), 1, lambda done_s, what: None)


async def test_each_variant_runs_on_its_own_engine_with_its_own_program(begun, monkeypatch, tmp_path):
    program = tmp_path / "nats-server"
    program.touch()
    monkeypatch.setitem(ENGINES, "nats-debian", Engine("nats", str(program)))  # type: ignore[arg-type]
    await comparing("http", "nats", "nats-debian").run()
    assert begun == [("http", ""), ("nats", ""), ("nats", str(program))]


async def test_an_engine_whose_program_is_missing_is_told_when_all_others_have_run(begun, monkeypatch):
    monkeypatch.setitem(ENGINES, "nats-debian", Engine("nats", "/nowhere/nats-server"))  # type: ignore[arg-type]
    with pytest.raises(Refused, match="nats-debian was not run: /nowhere/nats-server is not there"):
        await comparing("nats-debian", "http", "nats").run()
    assert begun == [("http", ""), ("nats", "")]


async def test_without_an_engine_of_its_own_a_variant_runs_on_the_backbone_that_was_asked_for(begun):
    one = replace(load_all()["engine-swap"], variants=(Variant(),), seeds=1)
    await Runner(one, 1, lambda done_s, what: None, backbone="nats").run()
    assert begun == [("nats", "")]


def test_the_experiment_compares_every_engine_that_is_known():
    variants = load_all()["engine-swap"].variants
    assert {variant.engine for variant in variants} == ENGINES.keys()
    assert Path(ENGINES["nats-debian"].program).is_absolute()
