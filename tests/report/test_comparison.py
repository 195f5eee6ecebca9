from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cluster.__main__ import cluster
from cluster.errors import ClusterError, Refused
from cluster.report import console, published, results_page
from cluster.report.comparison import compared
from tests.report import results


def checks(*given):
    return [{"name": name, "holds": holds, "measured": value, "required": "at most 2"} for name, holds, value in given]


def run(*words):
    done = CliRunner().invoke(cluster, ["experiment", *map(str, words)], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.return_value or 0, done.output


def test_checks_are_compared_by_name_as_ratios_with_the_change_of_verdict():
    a = results.record(
        checks=checks(
            ("x", True, 2.0), ("y", False, 4.0), ("gone", True, 1.0), ("zero", True, 0.0), ("never", False, 1.0)
        )
    )
    b = results.record(
        checks=checks(
            ("x", False, 3.0), ("y", True, 1.0), ("zero", True, 5.0), ("new", False, 1.0), ("more", True, 1.0)
        )
    )
    [found] = compared([a], [b])
    assert [(one.name, one.ratio, one.change) for one in found.checks] == [
        ("x", 1.5, "worse"),
        ("y", 0.25, "better"),
        ("gone", None, "worse"),
        ("zero", None, ""),
        ("never", None, "gone"),
        ("new", None, "worse"),
        ("more", None, "new"),
    ]
    assert found.worse
    assert {one.ratio for one in found.numbers} <= {1.0, None}


def test_what_else_differs_between_the_runs_is_told():
    b = results.record()
    a = results.record(parameters=dict(b.parameters) | {"backbone": "nats", "seeds": 3})
    [found] = compared([a], [b])
    assert found.differs == ("backbone nats and http", "seeds 3 and 1")
    assert not found.worse


def test_two_runs_of_other_commits_and_seeds_say_so():
    a, b = results.record(commit="a" * 40), results.record(commit="a" * 40 + "-dirty", seed=2)
    assert compared([a], [b])[0].differs == ("commit aaaaaaaaaaaa and aaaaaaaaaaaa-dirty", "seed 1 and 2")


@pytest.mark.parametrize(
    ("b", "code"),
    [
        ({}, 0),
        ({"valid": False}, 1),
        ({"checks": checks(("x", False, 9.0))}, 1),
        ({"checks": checks(("x", True, 1.0), ("new", False, 9.0))}, 1),
        ({"checks": checks(("x", True, 1.0), ("new", True, 1.0))}, 0),
        ({"checks": []}, 1),
    ],
    ids=str,
)
def test_the_exit_code_says_whether_something_is_worse(tmp_path, b, code):
    good = {"checks": checks(("x", True, 1.0)), "valid": True}
    first = results.write(tmp_path / "a", results.found(**good))
    second = results.write(tmp_path / "b", results.found(**good | b))
    assert run("compare", first, second)[0] == code
    assert run("compare", second, second)[0] == 0
    found, said = run("compare", first, second / "home-region-dies" / "result.json", "--json")
    assert found == code
    assert [one["worse"] for one in json.loads(said)] == [bool(code)]


def test_nothing_of_a_result_is_markdown_on_the_page_of_results():
    name, hostile = "home-region-dies", "`x`\n```\n<script>"
    record = results.record(commit=hostile, answer=hostile, question=hostile, parameters={"backbone": hostile})
    page = results_page.markdown([published.line(record, hostile)], {})
    assert page.count("\n```") == 4
    assert [line for line in page.splitlines() if "<script>" in line.replace("\\<", "")] == [
        f"python -m cluster experiment run {name} --seed 1 --backbone '`x` ``` <script>' --out out/"
    ]
    assert "commit `x  <scr`:" in page


def test_a_page_of_all_experiments_says_nothing_of_others():
    page = results_page.markdown([published.line(results.record(), None)], {"home-region-dies": "E2"})
    assert "One experiment on one machine" in page
    assert "Not shown" not in page
    assert "experiment run all --quick --seed 1 --out out/" in page
    assert "Processes are real" in page
    virtual = results.record(parameters={"form": "quick", "simulated": True})
    page = results_page.markdown([published.line(virtual, None)], {"home-region-dies": "E2"})
    assert "All in virtual time" in page
    assert "experiment run all --quick --seed 1 --simulate --out out/" in page


def test_a_new_check_that_does_not_hold_is_not_shown_as_the_same(tmp_path):
    a = results.write(tmp_path / "a", results.found(checks=checks(("x", True, 1.0))))
    b = results.write(tmp_path / "b", results.found(checks=checks(("x", True, 1.0), ("y", False, 9.0))))
    code, said = run("compare", a, b)
    [row] = [line.split() for line in said.splitlines() if line.split()[:1] == ["y"]]
    assert (code, row) == (1, ["y", "–", "9", "–", "worse"])


def test_of_two_checks_of_one_name_none_hides_the_other():
    a = results.record(checks=checks(("x", True, 1.0), ("x", True, 1.0), ("y", False, 1.0)))
    b = results.record(checks=checks(("x", False, 9.0), ("x", True, 1.0), ("y", False, 1.0)))
    [found] = compared([a], [b])
    assert [(one.name, one.change) for one in found.checks] == [("x", "worse"), ("x (2)", ""), ("y", "")]
    assert found.worse


def test_names_are_shown_as_they_are(tmp_path):
    name = "what [red] and [/no] mean"
    out = results.write(tmp_path, results.found(checks=checks((name, True, 1.0))))
    assert name in run("compare", out, out)[1]


def test_an_experiment_that_only_one_side_has_is_told(tmp_path):
    both = results.write(tmp_path / "a", results.found(), results.found("global-vs-regional"))
    one = results.write(tmp_path / "b", results.found())
    assert run("compare", both, one)[0] == 1
    assert run("compare", one, both)[0] == 0


def test_a_broken_file_is_refused_with_what_is_wrong(tmp_path):
    good = results.write(tmp_path / "a", results.found())
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(ClusterError, match="it is not JSON"):
        run("compare", good, tmp_path / "result.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ClusterError, match="no result here"):
        run("compare", good, tmp_path / "empty")


def test_a_report_is_made_of_what_can_be_read_and_the_rest_is_told(tmp_path):
    made = results.found("revocation-convergence", [results.revoking()])
    few = [table for table in made["series"] if table["name"] == "convergence distribution"]
    out = results.write(tmp_path, results.found(series=[]), made | {"series": few})
    assert run("report", out)[0] == 0
    assert {path.suffix for path in (out / "revocation-convergence").iterdir()} == {".json", ".svg", ".png"}
    whole = (out / "report.html").read_text()
    (out / "revocation-convergence" / "result.json").write_bytes(b"\xff")
    with pytest.raises(Refused, match="not UTF-8"):
        run("report", out)
    assert "revocation-convergence" in whole
    assert "not UTF-8" in (out / "report.html").read_text()
    assert (out / "report.html").stat().st_mode & 0o777 == 0o600


def test_after_a_run_only_what_ran_is_drawn_again_and_the_page_has_all(tmp_path, capsys):
    out = results.write(tmp_path, results.found(), results.found("global-vs-regional"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "result.json").write_text("{")
    console.write(out, ["home-region-dies"], results.NUMBERS)
    assert (out / "home-region-dies" / "blast-radius.svg").exists()
    assert [path.name for path in (out / "global-vs-regional").iterdir()] == ["result.json"]
    assert "E1 global-vs-regional" in (out / "report.html").read_text()
    assert "broken/result.json: it is not JSON" in capsys.readouterr().err


def test_the_page_of_results_has_an_answer_a_command_and_a_picture_for_each(tmp_path):
    out = results.write(tmp_path / "out", results.found(), results.found("global-vs-regional", question="a | b <c>?"))
    assert run("publish", out, "--docs", tmp_path / "docs")[0] == 0
    page = (tmp_path / "docs" / "results.md").read_text()
    for name in ("home-region-dies", "global-vs-regional"):
        assert f"python -m cluster experiment run {name} --quick --seed 1 --out out/" in page
        assert f"](results/{name}.svg)" in page
        assert (tmp_path / "docs" / "results" / f"{name}.svg").stat().st_size < 60_000
    assert "a \\| b \\<c>?" in page
    assert f"2 of {len(results.NUMBERS)} experiments on one machine" in page
    assert "Not shown here: E3 brown-out, E4 " in page
    assert "experiment run global-vs-regional home-region-dies --quick --seed 1 --out out/" in page
