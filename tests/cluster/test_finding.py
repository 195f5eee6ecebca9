from __future__ import annotations

import pytest

from cluster.checks import Verdict
from cluster.experiment_console import load_all
from cluster.finding import filled, number, torn, unknown
from cluster.history import labelled

VERDICTS = [
    Verdict("home-2011: p99 of latency (dublin)", True, 12.3456, "at most 20"),
    Verdict("home-2011: p99 of latency (virginia)", True, 7.0, "at most 20"),
    Verdict("nearest: p99 of latency (dublin)", True, 3.0, "at most 20"),
    Verdict("nearest: share lost", True, 0.1234, "at most 1"),
    Verdict("nearest: recovery", False, None, "at most 1"),
]


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("It took {p99 of latency} ms.", "It took 3 to 12.3 ms."),
        ("It took {home-2011: p99 of latency} ms.", "It took 7 to 12.3 ms."),
        ("It took {p99 of latency (virginia)} ms.", "It took 7 ms."),
        ("{share lost %} were lost.", "12.3 % were lost."),
        ("It came back after {recovery} s.", ""),
        ("It is {nothing like it}.", ""),
        ("No number.", "No number."),
    ],
)
def test_a_sentence_says_what_was_measured_or_nothing(sentence, said):
    assert filled([sentence], VERDICTS) == said


def test_numbers_have_three_digits_that_count():
    assert [number(value) for value in (0, 0.08561, 1.0, 33.99, 247.3, 12_345.0)] == [
        "0", "0.0856", "1", "34", "247", "12,300",
    ]  # fmt: skip


def test_names_that_mean_no_verdict_are_told_and_those_that_are_filled_are_not():
    names = [verdict.name for verdict in VERDICTS]
    good = ["{p99 of latency} {nearest: share lost %} {share lost}", "{home-2011: p99 of latency (dublin)}"]
    assert unknown(good, names) == []
    assert unknown(["{p99} and {lost %} and {nearest-2012: share lost}"], names) == [
        "p99",
        "lost",
        "nearest-2012: share lost",
    ]
    assert unknown(["{latency (dublin)}", "{latency (here) at noon}"], ["all: latency (anywhere)"]) == [
        "latency (here) at noon"
    ]


def test_a_brace_without_its_other_one_is_told():
    assert torn(["{a} and {b %}", "{a and b}", "{a", "b}", "{}", "{{a}}"]) == ["{a", "b}", "{}", "{{a}}"]


@pytest.mark.parametrize("one", load_all().values(), ids=lambda one: one.name)
def test_the_findings_of_every_experiment_are_said_in_its_full_form(one):
    """With every check measured, no sentence is left out."""
    verdicts = [
        Verdict(f"{labelled(policy, variant)}: {check.name} (here)", True, 1.0, "")
        for check in one.checks
        for policy in check.policies
        for variant in check.variants
    ]
    for sentence in one.finding:
        assert filled([sentence], verdicts)
