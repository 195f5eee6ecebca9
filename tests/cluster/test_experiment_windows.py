"""Windows of checks that nothing could ever be measured in: refused with what they could begin or end at."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.experiment_console import EXPERIMENTS
from cluster.experiment_rules import mismatches

SHORT = Path(__file__).parent / "experiment.toml"


def told(name: str, change: Callable[[dict[str, Any]], object]) -> list[str]:
    """What is wrong with a shipped file after a change, or with the short one."""
    path = EXPERIMENTS / f"{name}.toml" if name else SHORT
    document = tomllib.loads(path.read_text())
    assert not [*mismatches(document)]
    change(document)
    return [*dict.fromkeys(mismatches(document))]


def check(index: int, **members: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["checks"][index].update(members)


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("", check(1, since="flood"), "checks[1].since: no window can begin at flood; allowed are begin, kill, start"),
        ("", check(1, until="flood"), "checks[1].until: no window can end at flood; allowed are kill, start, end"),
        ("", check(1, since="end"), "checks[1].since: no window can begin at end; allowed are begin, kill, start"),
        ("", check(1, until="begin"), "checks[1].until: no window can end at begin; allowed are kill, start, end"),
        ("", check(1, until="kill"), "checks[1].until: kill does not come after kill; allowed are start, end"),
        ("", check(1, since="start"), "checks[1].until: start does not come after start; allowed are end"),
        (
            "",
            check(1, since="start", until="kill"),
            "checks[1].until: kill does not come after start; allowed are end",
        ),
        ("", check(3, since="begin"), "checks[3].since: no window can begin at begin; allowed are kill, start"),
        (
            "brown-out",
            check(0, variants=["active only"]),
            "checks[0].since: no window can begin at errors with active only; allowed are begin, grey",
        ),
        (
            "brown-out",
            check(3, until="end of errors"),
            "checks[3].until: no window can end at end of errors with active only; allowed are grey, end",
        ),
        (
            "kill-during-revocation",
            check(0, since="crash"),
            "checks[0].since: no window can begin at crash; allowed are begin, kill, start",
        ),
        (
            "kill-during-revocation",
            check(0, since="kill", until="start"),
            "checks[0].until: start does not come after kill; allowed are end",
        ),
        (
            "verifier-stampede",
            check(3, since="begin"),
            "checks[3].since: no window can begin at begin with stsd.verifier; allowed are cold start, expiry,"
            " unknown key",
        ),
        (
            "verifier-stampede",
            lambda document: document["quick"]["verifiers"]["moments"].pop(),
            "quick: checks[5].since: no window can begin at unknown key with stsd.verifier; allowed are cold start,"
            " expiry",
        ),
        (
            "",
            lambda document: document["quick"].update(at_s=[6, 6]),
            "quick: checks[1].until: start does not come after kill; allowed are end",
        ),
        (
            "verifier-stampede",
            lambda document: document["quick"]["verifiers"].pop("moments"),
            "quick.verifiers.moments: a moment comes after the load; allowed is at_s below 33",
        ),
    ],
)
def test_a_window_that_nothing_is_measured_in_is_refused_with_what_it_may_be(name, change, fault):
    assert fault in told(name, change)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("", check(1, since="begin", until="end")),
        ("", check(1, since="begin", until="kill")),
        ("kill-during-revocation", check(0, since="kill")),
        ("retry-storm", check(0, since="overload")),
        ("brown-out", check(3, until="end")),
    ],
)
def test_a_window_from_or_until_what_happens_is_none_to_refuse(name, change):
    assert told(name, change) == []
