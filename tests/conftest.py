"""Shared fixtures: seeded entropy, a moment in time, a key set."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import hypothesis
import pytest

from stsd.tokens.keyset import KeySet, new_key_set
from tests.running import RunningCluster, RunningNode, running_cluster, running_node

hypothesis.settings.register_profile("stsd", deadline=None, derandomize=True)
hypothesis.settings.load_profile("stsd")

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
    """The one cluster of the run; as new for every test."""
    started_cluster.restore()
    yield started_cluster
    started_cluster.restore()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node of its own, for tests that change nothing which others would see."""
    with running_node(tmp_path_factory.mktemp("node") / "data", "--unsafe-test-hooks") as started:
        yield started
