"""Every experiment comes to its end with a well-formed result that is valid or says why not: each that virtual time
can run in its quick form, and all of them on processes in `make soak`."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest

from cluster.experiment_console import load_all
from cluster.interrupts import Interrupts
from cluster.report.record import RecordError
from cluster.result import encoded
from cluster.scale import fleet, plan
from cluster.virtual import console
from cluster.virtual.runner import judged, left_out, refusals
from tests import whole
from tests.running import ROOT, run

FORMS = {name: one.shortened().on("http") for name, one in load_all().items()}
SIMULATED = [name for name, form in FORMS.items() if not refusals(form, "http")]
ALL_S = 3600
"""More than all quick forms take on two cores."""


@cache
def simulated(name: str) -> dict[str, Any]:
    form = FORMS[name]
    return console.run(form, console.place(form, None), Interrupts(), quick=True, seed=1, commit="c")


def failed(name: str) -> list[str]:
    """The checks that did not hold."""
    return [one["name"] for one in simulated(name)["checks"] if not one["holds"]]


@pytest.mark.parametrize("name", SIMULATED)
def test_every_quick_form_comes_to_a_whole_result_in_virtual_time(name):
    whole.check(encoded(simulated(name)).decode(), judged(FORMS[name]))


def test_the_home_region_dies_in_virtual_time_as_on_processes():
    assert failed("home-region-dies") == []


def test_a_region_that_turns_grey_while_it_gets_a_share_only_is_left_soon():
    assert failed("brown-out") == []


def test_the_readme_says_of_each_experiment_where_it_runs():
    section = (ROOT / "cluster" / "README.md").read_text().partition("### Which experiment runs where")[2]
    rows = [line.strip("| ").split(" | ") for line in section.partition("\n## ")[0].splitlines() if line[:3] == "| E"]
    assert [row[0] for row in rows] == [f"{one.number} `{name}`" for name, one in load_all().items()]
    for (name, one), (_, simulated, tables) in zip(load_all().items(), rows, strict=True):
        told = "no" if name not in SIMULATED else "but" if left_out(one) else "all"
        assert simulated.partition(" ")[0].rstrip(":") == told, name
        named = re.findall(r"`([a-z ]+)`", tables)
        assert {*named} <= {*re.findall(r"`([a-z ]+)`", plan.__doc__)}
        if name in fleet.WHY_NONE:
            assert tables.rstrip(" |") == f"none: {fleet.WHY_NONE[name]}"
        else:
            assert named, name


def made(**changes: Any) -> str:
    """A whole result of E10, with something else in it."""
    return encoded(simulated("control-plane-outage") | changes).decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"valid": False},
        {"valid": False, "answer": "Not valid: it failed: KeyError: 'x'. All 5 checks held."},
        {"valid": False, "answer": "Not valid: stopped before its end. All 5 checks held."},
        {"checks": [{"name": "x", "holds": False, "measured": 1.0, "required": "at most 0"}]},
        {"checks": []},
        {"series": []},
        {"question": "another one"},
        {"series": [{"name": "latency", "columns": ["policy", "seed"], "rows": [["nearest"]]}]},
    ],
    ids=str,
)
def test_a_result_that_is_not_whole_is_found(changes):
    with pytest.raises((AssertionError, RecordError)):
        whole.check(made(**changes), judged(FORMS["control-plane-outage"]))


def test_a_result_that_says_why_it_is_not_valid_is_whole():
    why = "Not valid: nearest-failover, seed 1: only 3% of the CPU was idle, 25% is needed. All 5 checks held."
    whole.check(made(valid=False, answer=why), judged(FORMS["control-plane-outage"]))


@pytest.mark.soak
@pytest.mark.processes
def test_all_quick_forms_come_to_whole_results_on_processes(tmp_path):
    done = run("cluster", "experiment", "run", "all", "--quick", "--out", str(tmp_path), timeout_s=ALL_S)
    assert done.returncode in (0, 1), done.stderr  # 1 is an answer too
    assert {path.parent.name for path in tmp_path.glob("*/result.json")} == set(FORMS)
    for name, form in FORMS.items():
        whole.check((tmp_path / name / "result.json").read_text(), form)
