"""What every result of an experiment has to be, however its checks came out: complete, well-formed by contract 9, and
valid or with its reason; every check that did not hold is named. Timings are for the experiments to judge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product
from typing import Any

from cluster.experiment import Experiment
from cluster.experiment_console import STOPPED, numbers
from cluster.history import labelled
from cluster.report.record import parse

MEMBERS = {
    *("name", "question", "answer", "valid", "seed", "commit", "started_at", "topology", "parameters", "checks"),
    "series",
}
NO_REASON = (STOPPED, "it failed")
"""What says that a run did not come to its end, and is no reason for a result not to be valid."""


def check(text: str, form: Experiment, seed: int = 1) -> None:
    """Asserts all of it about the text of a `result.json` of an experiment in this form."""
    found = json.loads(text)
    assert set(found) == MEMBERS
    assert parse(text, numbers()).number == form.number  # every member of its kind, every row as wide as its columns
    assert (found["name"], found["question"], found["seed"]) == (form.name, form.question, seed)
    assert found["topology"]["name"] == form.topology
    assert found["topology"]["regions"]
    assert found["commit"]
    assert all(sorted(one) == ["holds", "measured", "name", "required"] for one in found["checks"])
    _is_explained(found)
    if found["valid"]:
        _is_complete(found, form)


def _is_explained(found: Mapping[str, Any]) -> None:
    answer, failed = found["answer"], [one["name"] for one in found["checks"] if not one["holds"]]
    assert [name for name in failed if name not in answer] == []
    assert ("checks did not hold" in answer) is bool(failed)
    reason = answer.partition("Not valid: ")[2].partition(". ")[0]
    assert answer.startswith("Not valid: ") is not found["valid"]
    assert bool(reason) is not found["valid"]
    assert not reason.startswith(NO_REASON), answer


def _is_complete(found: Mapping[str, Any], form: Experiment) -> None:
    """Every policy, variant and seed was run and measured, and every check judged for each of its own."""
    tables = {one["name"]: one["rows"] for one in found["series"]}
    assert {"conditions", "latency"} <= set(tables)
    seeds = range(found["seed"], found["seed"] + form.seeds)
    arms = [labelled(policy, variant.name) for policy, variant in form.arms]
    assert sorted(row[:2] for row in tables["conditions"]) == sorted([arm, seed] for arm in arms for seed in seeds)
    assert {row[0] for row in tables["latency"]} | {row[0] for row in tables.get("asked", ())} == set(arms)
    for one in form.checks:
        for arm in (labelled(*pair) for pair in product(one.policies, one.variants)):
            assert [c for c in found["checks"] if c["name"].startswith(f"{arm}: {one.name}")], (arm, one.name)
