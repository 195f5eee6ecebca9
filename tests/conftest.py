"""Shared fixtures: seeded entropy, a moment in time, a key set; and the order in which the files are run."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable, Iterator

import hypothesis
import pytest

from stsd.tokens.keyset import KeySet, new_key_set
from tests.running import RunningCluster, RunningNode, running_cluster, running_node

# Hundreds of processes are started: where compiled modules may not be kept, each would compile the project anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Behind `nohup` and `&` these are ignored, which tests of Ctrl-C and what they start would inherit.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)

hypothesis.settings.register_profile("stsd", deadline=None, derandomize=True)
hypothesis.settings.load_profile("stsd")

LONG = ("test_docs_experiments.py", "test_docs.py", "test_local.py", "test_boto3.py", "test_membership.py")
"""The files that take longest, begun first so that the workers of `make test` end together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(LONG)}
    last = len(LONG) + 1

    def turn(item: pytest.Item) -> int:
        starts_processes = item.get_closest_marker("processes") is not None
        return rank.get(item.path.name, last - starts_processes)

    turns: dict[object, int] = {}
    for item in items:
        turns[item.path] = min(turn(item), turns.get(item.path, last))
    items.sort(key=lambda item: turns[item.path])


NOW = 1_795_435_200.0
"""2026-11-23T12:00:00Z, the moment of the specification's vectors."""


def seeded(seed: int) -> Callable[[int], bytes]:
    """Entropy that a seed replays."""
    return random.Random(seed).randbytes


@pytest.fixture
def now() -> float:
    return NOW


@pytest.fixture
def entropy() -> Callable[[int], bytes]:
    return seeded(1)


@pytest.fixture
def keys(entropy: Callable[[int], bytes]) -> KeySet:
    return new_key_set(entropy, NOW)


@pytest.fixture(scope="session")
def started_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster") / "data", "--unsafe-test-hooks") as cluster:
        yield cluster


@pytest.fixture
def cluster(started_cluster: RunningCluster) -> Iterator[RunningCluster]:
    """The one cluster of the run; every test leaves it as new."""
    yield started_cluster
    started_cluster.restore()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node of its own, for tests that change nothing which others would see."""
    with running_node(tmp_path_factory.mktemp("node") / "data", "--unsafe-test-hooks") as started:
        yield started
