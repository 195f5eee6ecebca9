"""Shared fixtures: seeded entropy, a moment in time, a key set."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from stsd.tokens.keyset import KeySet, new_key_set

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
