from __future__ import annotations

import json

import pytest

from cluster.report.record import RecordError, ordered, parse
from tests.report import results


def test_a_result_is_read_as_it_was_written():
    made = results.found()
    record = results.record()
    assert record.title == "E2 home-region-dies"
    assert [check.name for check in record.checks] == [check["name"] for check in made["checks"]]
    assert [table.name for table in record.tables] == [table["name"] for table in made["series"]]
    assert json.loads(json.dumps(made)) == json.loads(results.encoded(made))


@pytest.mark.parametrize(
    ("members", "verdict"),
    [
        ({}, "does not hold"),
        ({"checks": [{"name": "a", "holds": True, "measured": 1.0, "required": "at most 2"}]}, "holds"),
        ({"checks": []}, "does not hold"),
        ({"valid": False}, "not valid"),
    ],
)
def test_a_verdict_needs_every_check_and_a_valid_run(members, verdict):
    assert results.record(**members).verdict == verdict


def test_members_that_came_later_are_no_fault():
    assert parse(json.dumps(results.found() | {"later": 1}), {}).number == ""


def deep(levels):
    return [deep(levels - 1)] if levels else 0


CURVE = [f"p{percent}_ms" for percent in (5, 25, 75, 90, 95, 99)]


def table(columns, row):
    return {"series": [{"name": "x", "columns": columns, "rows": [row]}]}


def one_cell(column, value):
    return {"series": [{"name": "x", "columns": [column], "rows": [[value]]}]}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda made: "{", "it is not JSON"),
        (lambda made: json.dumps([made]), "$"),
        (lambda made: json.dumps({k: v for k, v in made.items() if k != "checks"}), "checks"),
        (lambda made: json.dumps(made | {"name": "../../etc"}), "$.name"),
        (lambda made: json.dumps(made | {"started_at": 10**15}), "$.started_at"),
        (lambda made: json.dumps(made | {"series": [{"name": "x", "columns": ["a"], "rows": [[1, 2]]}]}), "2 cells"),
        (lambda made: json.dumps(made | {"series": [{"name": "x", "columns": ["a"], "rows": [[[]]]}]}), "$.series"),
        (lambda made: json.dumps(made | {"name": "brief\n"}), "$.name"),
        (lambda made: "[" * 99_999, "it is not JSON"),
        (lambda made: json.dumps(made | {"parameters": {"x": deep(100)}}), "$.parameters.x[0][0]"),
        (lambda made: json.dumps(made | {"answer": "\ud800"}), "$.answer: half a letter"),
        (lambda made: json.dumps(made | {"parameters": {"\ud800": 1}}), "$.parameters: half a letter"),
        (lambda made: json.dumps(made | {"answer": "\x1b[1m"}), "$.answer: a control character, '\\x1b'"),
        (lambda made: json.dumps(made | one_cell("region", "a\0")), "$.series[0].rows[0][0]: a control character"),
        (lambda made: json.dumps(made | {"parameters": {"\ufffe": 1}}), "$.parameters: a control character"),
        (
            lambda made: json.dumps(made | {"parameters": {"load": {"arrivals_per_s": 10**400}}}),
            "arrivals_per_s: a number",
        ),
        (
            lambda made: json.dumps(made | {"checks": []}).replace('"checks": []', '"checks": 1e999'),
            "$.checks: a number beyond",
        ),
        (lambda made: json.dumps(made | {"topology": {"regions": 3}}), "$.topology.regions"),
        (lambda made: json.dumps(made | {"parameters": {"seeds": "3"}}), "$.parameters.seeds"),
        (lambda made: json.dumps(made | {"parameters": {"not_judged": 3}}), "$.parameters.not_judged"),
        (lambda made: json.dumps(made | {"parameters": {"cutoffs": {"after_s": ["soon"]}}}), "after_s[0]"),
        (
            lambda made: json.dumps(made | {"parameters": {"faults": [{"at_s": 1, "until_s": "x"}]}}),
            "faults[0].until_s",
        ),
        (lambda made: json.dumps(made | {"seed": float("nan")}), "NaN"),
        (lambda made: json.dumps(made | one_cell("p50_ms", 1e308)), "$.series"),
        (lambda made: json.dumps(made | one_cell("p50_ms", "soon")), "series x, row 0, p50_ms"),
        (lambda made: json.dumps(made | one_cell("second", None)), "series x, row 0, second"),
        (lambda made: json.dumps(made | one_cell("lost", True)), "series x, row 0, lost"),
        (lambda made: json.dumps(made | one_cell("region", 7)), "series x, row 0, region"),
        (lambda made: json.dumps(made | one_cell("p.._ms", 7)), "series x, p.._ms: .. is no percentage"),
        (lambda made: json.dumps(made | one_cell("p50_ms", -1)), "series x, row 0, p50_ms: -1 is a time below zero"),
        (lambda made: json.dumps(made | one_cell("ok", -1)), "series x, row 0, ok: -1 is a count below zero"),
        (lambda made: json.dumps(made | table(CURVE, [1] * 6)), "series x: 6 quantiles without p50_ms"),
        (
            lambda made: json.dumps(made | table(["lost", "requests"], [3, 2])),
            "series x, row 0: 3 of 2 requests lost",
        ),
        (
            lambda made: json.dumps(made | {"parameters": {"faults": [{"action": "slow", "ms": "a bit"}]}}),
            "faults[0].ms",
        ),
        (lambda made: json.dumps(made | {"parameters": {"load": {"arrivals_per_s": "x"}}}), "$.parameters.load"),
        (lambda made: json.dumps(made | {"parameters": {"variants": ["naive"]}}), "$.parameters.variants"),
        (lambda made: json.dumps(made | {"parameters": {"regions": "9"}}), "$.parameters.regions"),
        (
            lambda made: json.dumps(made | {"parameters": {"nodes_per_region": "1; rm -rf ~"}}),
            "$.parameters.nodes_per_region",
        ),
    ],
)
def test_a_damaged_file_is_a_fault_that_says_where(damage, said):
    with pytest.raises(RecordError) as fault:
        parse(damage(results.found()), {})
    assert said in str(fault.value)
    assert "\n" not in str(fault.value)


def test_what_only_looks_like_damage_is_read():
    columns = ["p50_ms", "p999_ms", "lost", "requests"]
    assert results.record(**table(columns, [0, None, 2, 2])).table("x").rows == ((0, None, 2, 2),)
    assert results.record(answer="a\tb\r\n\x7f\U0001f600").answer == "a\tb\r\n\x7f\U0001f600"
    assert results.record(**table(CURVE[:5], [1] * 5)).table("x").columns == tuple(CURVE[:5])


def test_results_stand_in_the_order_of_their_numbers():
    unknown = parse(json.dumps(results.found() | {"name": "unheard-of"}), results.NUMBERS)
    made = [unknown, results.record("home-region-dies"), results.record("global-vs-regional")]
    assert [one.name for one in ordered(made)] == ["global-vs-regional", "home-region-dies", "unheard-of"]
