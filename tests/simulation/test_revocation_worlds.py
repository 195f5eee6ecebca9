"""Seeded worlds of replicating nodes: faults first, while everything that must hold is checked; then heal and agree.

Every failure prints its seed and the command that shows it again. `make soak` goes on for an hour of CPU time, or for
STSD_SIM_MINUTES, from seed STSD_SIM_SEED on.
"""

import os
import subprocess
import sys
from hashlib import blake2b

import pytest

from cluster.sim.faults import FAULTS
from cluster.sim.scheduler import Scheduler, Stalled
from cluster.sim.world import World

THIS = "tests/simulation/test_revocation_worlds.py"
TROUBLED_S = 15.0


def live(seed: int, *, size: int, troubled_s: float = TROUBLED_S, replay: str = f"python -m pytest {THIS}") -> World:
    """One world from its start to its agreement."""
    world = World(seed, size=size, replay=replay)
    world.run(until=troubled_s)
    world.heal()
    world.eventually_all_agree()
    return world


@pytest.mark.parametrize("seed", range(200))
def test_nothing_forbidden_happens_through_faults_and_all_agree_after_them(seed):
    replay = f"python -m pytest {THIS} -k 'nothing_forbidden and [{seed}]'"
    world = live(seed, size=2 + seed % 4, replay=replay)
    assert world.tally.requests > 0


@pytest.mark.soak
def test_an_hour_of_worlds(tmp_path):
    minutes, seed = os.environ.get("STSD_SIM_MINUTES", "60"), os.environ.get("STSD_SIM_SEED", "1000")
    result = tmp_path / "simulation.json"
    command = [sys.executable, "-m", "cluster.sim", "--minutes", minutes, "--seed", seed, "--json", str(result)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    print(result.read_text())


def test_the_worlds_see_every_fault_and_many_denials():
    faults, denied = {}, 0
    for seed in (*range(20), 66):  # a record is torn in one world of fifty; in this one it is
        tally = live(seed, size=3).tally
        denied += tally.denied
        for name, count in tally.faults.items():
            faults[name] = faults.get(name, 0) + count
    assert set(faults) == {fault.__name__ for fault in FAULTS} | {"torn_record", "bit_flip"}
    assert denied > 100


def test_a_seed_replays_the_same_history():
    first, second, other = (live(seed, size=4) for seed in (7, 7, 8))
    assert first.history == second.history
    assert first.history != other.history


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_seed_replays_the_same_history_in_another_process(hash_seed):
    here = history_digest(5)
    program = (
        "import importlib.util;"
        f"spec = importlib.util.spec_from_file_location('worlds', {__file__!r});"
        "worlds = importlib.util.module_from_spec(spec); spec.loader.exec_module(worlds);"
        "print(worlds.history_digest(5))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == here


def history_digest(seed: int) -> str:
    """A fingerprint of everything that happened."""
    world = live(seed, size=4)
    return blake2b(repr(world.history).encode()).hexdigest()


def test_a_world_without_plans_is_stalled():
    with pytest.raises(Stalled, match="nothing is planned"):
        Scheduler(1).run(until=1.0)


def test_a_world_in_which_time_stands_still_is_stalled():
    scheduler = Scheduler(1)

    def again() -> None:
        scheduler.after(0.0, again)

    scheduler.after(0.5, again)
    with pytest.raises(Stalled, match=r"stands still at 0\.500 s"):
        scheduler.run(until=1.0)
