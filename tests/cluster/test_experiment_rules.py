"""Mutations of experiment files, shipped ones and a short one, that must be refused before anything runs."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from cluster.experiment import ExperimentError
from cluster.experiment_console import EXPERIMENTS
from cluster.experiment_file import parse
from cluster.experiment_rules import mismatches

SHORT = Path(__file__).parent / "experiment.toml"


def text_of(name: str) -> str:
    """Of a shipped file, or of the short one that has every member."""
    return (EXPERIMENTS / f"{name}.toml" if name else SHORT).read_text()


def refused(name: str, old: str, new: str) -> tuple[str, ...]:
    """What is said of a file in which `new` stands in the place of the first `old`."""
    text = text_of(name)
    assert old in text
    with pytest.raises(ExperimentError) as caught:
        parse(text.replace(old, new, 1), "e.toml")
    return caught.value.faults


@pytest.mark.parametrize(
    ("name", "old", "new", "fault"),
    [
        ("", "seeds = 3", "seeds = 3.0", "seeds: 3.0 has the wrong type; allowed is integer"),
        ("", "seeds = 1\n", "seeds = 1.0\n", "quick.seeds: 1.0 has the wrong type; allowed is integer"),
        ("verifier-stampede", "count = 5000", "count = 5000.0", "verifiers.count: 5000.0 has the wrong type"),
        ("empty-disk-rejoin", "preloaded = ", "preloaded = 1.0 #", "revocations.preloaded: 1.0 has the wrong type"),
        ("brown-out", 'action = "grey"', 'action = "grey"\nstatus = 503.0', "faults[0].status: 503.0 is not known"),
    ],
)
def test_a_number_with_a_point_is_no_integer(name, old, new, fault):
    assert any(line.startswith(f"e.toml: {fault}") for line in refused(name, old, new))


@pytest.mark.parametrize(
    ("name", "old", "new", "fault"),
    [
        ("", '"E2"', f'"E{"9" * 5000}"', "does not fit; allowed are E and one to four digits"),
        ("", '"E2"', '"E2\\n"', "number: 'E2\\n' does not fit; allowed are E and one to four digits"),
        (
            "",
            'dies"',
            'dies\\n"',
            "name: 'home-region-dies\\n' does not fit; allowed are words of small letters with - between them",
        ),
        ("", '"home-region-dies"', f'"{"a" * 300}"', "is too long; allowed are at most 60 characters"),
        ("brown-out", '"passive"', '"passive\\n"', "variants[0].name: 'passive\\n' does not fit; allowed are small"),
        (
            "rolling-upgrade",
            'upgrade_from = "',
            'upgrade_from = "\\n',
            "does not fit; allowed are a commit, in 7 to 40",
        ),
    ],
)
def test_names_that_cannot_be_told_in_one_line_are_refused(name, old, new, fault):
    assert any(fault in line for line in refused(name, old, new))


@pytest.mark.parametrize(
    ("every_s", "fault"),
    [
        (70, "faults[0].every_s: 70 leaves no time for a crash before 75; allowed is at most 50"),
        (17, "quick: faults[0].every_s: 17 leaves no time for a crash before 22; allowed is at most 16"),
    ],
)
def test_crashes_so_seldom_that_none_comes_in_one_form_are_refused(every_s, fault):
    assert f"e.toml: {fault}" in refused("", 'action = "kill"', f'name = "kill"\naction = "crash"\nevery_s = {every_s}')


@pytest.mark.parametrize(
    ("name", "old", "new", "fault"),
    [
        (
            "retry-storm",
            "times = 1.5",
            "times = 1e9",
            "load.steps[1].times: 1000000000.0 is out of range; allowed is 0 to",
        ),
        ("clock-skew", "every_s = 0.9", "every_s = 1e-9", "cutoffs.every_s: 1e-09 is out of range; allowed is 0.1 to"),
    ],
)
def test_loads_that_no_machine_bears_are_refused(name, old, new, fault):
    assert any(line.startswith(f"e.toml: {fault}") for line in refused(name, old, new))


LOST = "{clients of other regional endpoints lose nothing}"


@pytest.mark.parametrize(
    ("new", "fault"),
    [
        ("{home-2012: clients of other regional endpoints lose nothing}", "no check measures home-2012: clients of"),
        ("{home-2011, naif: clients of other regional endpoints lose nothing}", "no check measures home-2011, naif: "),
        ("{dns: clients of other regional endpoints lose nothing}", "no check measures dns: clients"),
        (
            "{clients of other regional endpoints lose nothing (mars)}",
            "lose nothing (mars); allowed are clients of other",
        ),
        ("{clients of other regional endpoints lose nothing at all}", "no check measures clients of other"),
        ("{clients of other regional endpoints lose nothing", "has a brace of its own; allowed is a check's name in"),
    ],
)
def test_a_sentence_with_a_number_that_nothing_measures_is_refused(new, fault):
    (line,) = refused("", LOST, new)
    assert line.startswith("e.toml: finding: ")
    assert fault in line


def test_a_sentence_can_name_a_policy_or_a_place_of_a_check():
    text = text_of("").replace(LOST, LOST.replace("{", "{home-2011: "), 1)
    assert parse(text, "e.toml").finding[0].count("home-2011") == 1
    text = text_of("global-vs-regional").replace("latency in Dublin}", "latency in Dublin (eu-west-1)}", 1)
    assert "(eu-west-1)" in parse(text, "e.toml").finding[0]


@pytest.mark.parametrize(
    ("name", "old", "new", "fault"),
    [
        (
            "brown-out",
            'name = "active only"',
            'name = "passive"',
            "variants[1].name: passive is that of another variant; allowed is a name of its own",
        ),
        (
            "slow-node",
            "quick = false\n",
            "",
            "quick.variants: healthy is missing, with which checks[0] compares ejection; allowed are all that are"
            " compared, or quick = false of the check",
        ),
        (
            "brown-out",
            "[quick]",
            '[quick]\nvariants = ["active only"]',
            "quick.variants: passive is missing, with which checks[3] compares active only; allowed are all that are"
            " compared, or quick = false of the check",
        ),
    ],
)
def test_variants_that_cannot_be_told_apart_or_compared_are_refused(name, old, new, fault):
    assert f"e.toml: {fault}" in refused(name, old, new)


@pytest.mark.parametrize(
    ("name", "old", "new", "fault"),
    [
        (
            "brown-out",
            'variants = ["active only"]\nthan = "passive"',
            'variants = ["passive"]\nthan = "passive"',
            "checks[3].than: passive would be compared with itself; allowed are active only",
        ),
        (
            "brown-out",
            'variants = ["active only"]\nthan = "passive"',
            'than = "passive"',
            "checks[3].than: passive would be compared with itself; allowed are none",
        ),
        ("brown-out", "level = 0.95", "level = 0", "checks[0].level: 0 is out of range; allowed is more than 0"),
        (
            "",
            "at_most = 0\n",
            "at_most = -1\n",
            "checks[0].at_least: 0 is more than at_most; allowed is at most -1",
        ),
        ("", "[quick]", '[quick]\nvariants = ["a"]', "quick.variants: a is not compared; allowed are none"),
    ],
)
def test_checks_that_come_out_the_same_whatever_happens_are_refused(name, old, new, fault):
    assert any(line.startswith(f"e.toml: {fault}") for line in refused(name, old, new))


def leave_no_quick_check(document: dict[str, Any]) -> None:
    for check in document["checks"]:
        check["quick"] = False


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("", leave_no_quick_check, "quick: no check is left in it; allowed is at least one without quick = false"),
        ("slow-node", leave_no_quick_check, "quick: no check is left in it; allowed is at least one without"),
        (
            "verifier-stampede",
            lambda document: document["checks"].__delitem__(slice(0, 2)) or document["quick"].update(variants=["x"]),
            "quick: no check is left in it; allowed is at least one without quick = false, of a variant that is left",
        ),
        (
            "",
            lambda document: document["checks"][3].update(kind="convergence_s"),
            "revocations: is missing; checks[3] of kind convergence_s needs it",
        ),
        (
            "clock-skew",
            lambda document: document.pop("cutoffs"),
            "cutoffs: is missing; checks[0] of kind escapes needs it",
        ),
        (
            "verifier-stampede",
            lambda document: document.pop("verifiers"),
            "verifiers: is missing; checks[0] of kind peak_to_mean needs it",
        ),
        (
            "verifier-stampede",
            lambda document: document.pop("verifiers"),
            "quick.verifiers: replaces nothing; allowed is none without verifiers",
        ),
        (
            "kill-during-revocation",
            lambda document: document["revocations"].pop("preloaded"),
            "quick.preloaded: replaces nothing; allowed is none without revocations.preloaded",
        ),
        (
            "rolling-upgrade",
            lambda document: document.pop("upgrade_from"),
            "upgrade_from: is missing; faults[0] of action upgrade needs it",
        ),
        (
            "empty-disk-rejoin",
            lambda document: document["faults"][0].update(action="kill"),
            "checks[2].kind: reused_origins is measured at a fault empty-disk, of which there is none",
        ),
        (
            "retry-storm",
            lambda document: document["load"]["steps"][2].update(name="end"),
            "load.steps[2].name: end is what checks call the load's own; allowed is another name",
        ),
        (
            "brown-out",
            lambda document: document["faults"][1].update(name="begin"),
            "faults[1].name: begin is what checks call the load's own; allowed is another name",
        ),
        (
            "verifier-stampede",
            lambda document: document["quick"]["verifiers"]["moments"][1].update(name="end"),
            "quick.verifiers.moments[1].name: end is what checks call the load's own; allowed is another name",
        ),
    ],
)
def test_what_means_nothing_without_another_member_is_refused(name, change, fault):
    document = tomllib.loads(text_of(name))
    assert not [*mismatches(document)]
    change(document)
    found = [*mismatches(document)]
    assert any(line.startswith(fault) for line in found), found
