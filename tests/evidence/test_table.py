"""The README's tables of what replication was put through say what the committed data says; no bad result does."""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cluster.errors import ClusterError
from cluster.evidence import __main__ as command
from cluster.evidence import table
from tests.running import ROOT

COMMIT = "c0ffee" + "0" * 34
SIMULATION: dict[str, Any] = {
    "seed": 7, "commit": COMMIT, "minutes": 1.0, "worlds": 312, "virtual_hours": 2.6,
    "faults": {"crash": 1230, "cut_one_way": 88}, "acknowledged": 12001, "verifications": 40000, "denied": 9000,
    "lost": 0, "resurrected": 0, "false_denials": 0, "broken": [],
    "convergence": [
        {"regions": 12, "condition": "healthy", "heals": 90, "samples": 20000, "p50_ms": 150.4, "p99_ms": 390.0,
         "p999_ms": 512.0},
        {"regions": 6, "condition": "healthy", "heals": 11, "samples": 900, "p50_ms": 90.0, "p99_ms": None,
         "p999_ms": None},
        {"regions": 6, "condition": "after heal", "heals": 11, "samples": 700, "p50_ms": 300.0, "p99_ms": None,
         "p999_ms": None},
    ],
}  # fmt: skip
HISTORIES: dict[str, Any] = {
    "seed": 1, "commit": COMMIT, "histories": 10, "seconds": 360.0, "faults": {"kill": 4, "full disk": 2},
    "operations": {"verify": {"ok": 9000, "info": 3}, "use": {"ok": 500}}, "acknowledged": 1234, "copies": {"2": 1234},
    "lost": 0, "unsafe": 0, "resurrected": 0, "false_denials": 0, "broken": [], "aborted": None,
}  # fmt: skip
EXPERIMENT: dict[str, Any] = {
    "valid": True, "commit": COMMIT, "answer": "All 2 checks held.", "checks": [{"holds": True}, {"holds": True}],
    "topology": {"regions": ["a", "b", "c"]}, "parameters": {"seeds": 3},
    "series": [
        {
            "name": "convergence by condition",
            "columns": ["policy", "condition", "revocations", "p50_ms", "p99_ms", "p999_ms"],
            "rows": [["p", "healthy", 25832, 88.4, 201.0, 312.4], ["p", "after heal", 2592, 172.0, 610.0, None]],
        },
        {"name": "revocations", "columns": ["origin", "acked"], "rows": [["a", 9000], ["b", 8100]]},
        {"name": "faults", "columns": ["action", "name"], "rows": [["heal", "heal"], ["kill", ""], ["heal", "last"]]},
    ],
}  # fmt: skip
LOST = {"name": "p: lost", "holds": False, "measured": 1.0, "required": "at most 0"}
UNKNOWN = {"name": "p: seconds", "holds": False, "measured": None, "required": "at most 3"}
LATE = {"name": "p: seconds until it is seen", "holds": False, "measured": 9.629, "required": "at most 5"}
DATA = {
    "simulation": table.simulation(SIMULATION),
    "histories": {"http": table.histories(HISTORIES, "http")},
    "convergence": {"http": table.convergence(EXPERIMENT, "http")},
}


def cells(text: str, first: str) -> list[str]:
    [line] = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_readme_has_what_the_committed_data_says():
    data = json.loads(command.DATA.read_text())
    assert table.between(command.README.read_text()) == table.render(data), "python -m cluster.evidence render"


def test_the_committed_data_is_evidence():
    data = json.loads(command.DATA.read_text())
    for one in (data["simulation"], *data["histories"].values(), *data["convergence"].values()):
        assert table.COMMIT.fullmatch(one["commit"])
    for one in (data["simulation"], *data["histories"].values()):
        assert (one["lost"], one["resurrected"], one["false_denials"]) == (0, 0, 0)
        assert sum(one["faults"].values()) > 0
    for one in data["convergence"].values():
        assert one["healthy"]["samples"] > 1000
        assert one["after heal"]["samples"] > 0


def test_counts_faults_and_times_stand_in_their_columns():
    text = table.render(DATA)
    assert cells(text, "histories, a seed each") == ["312", "10"]
    assert cells(text, "faults") == ["1,318", "6"]
    assert cells(text, "revocations acknowledged") == ["12,001", "1,234"]
    assert cells(text, "answers about sessions") == ["40,000", "9,500"]
    assert cells(text, "**lost acknowledged revocations**") == ["0", "0"]
    assert "Faults in virtual time: 1,230 crash, 88 cut one way." in text
    assert "Faults in processes: 2 full disk, 4 kill." in text
    real = ["3", "17,100", "88", "201", "312", "25,832", "172", "610", "–", "2,592", "2"]
    assert cells(text, "processes, http") == real
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| virtual time | ")]
    assert [(row[1], row[2], row[-1].strip()) for row in rows] == [("6", "1,600", "11"), ("12", "20,000", "90")]


def test_a_percentile_from_too_few_samples_is_not_told():
    for samples, told in ((999, ["88", "–", "–", "999"]), (19_999, ["88", "201", "–", "19,999"])):
        healthy = {"samples": samples, "p50_ms": 88.4, "p99_ms": 201.0, "p999_ms": 400.0}
        one = {"regions": 3, "revocations": samples // 2, "heals": 1, "healthy": healthy}
        text = table.render(DATA | {"convergence": {"http": one}})
        assert cells(text, "processes, http")[2:6] == told


def test_a_time_that_is_too_long_is_told_below_the_table():
    late = table.convergence(EXPERIMENT | {"checks": [LATE]}, "NATS 2.9.10")
    text = table.render(DATA | {"convergence": {"NATS 2.9.10": late}})
    assert text.endswith("\nLate on NATS 2.9.10: seconds until it is seen: 9.63, required at most 5.\n")


def test_the_table_is_well_formed():
    width = 0
    for line in table.render(DATA).splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        width = width or line.count("|")
        assert line.count("|") == width


@pytest.mark.parametrize(
    ("keep", "result", "change", "said"),
    [
        (table.simulation, SIMULATION, {"broken": [{"invariant": 6, "seed": 12}]}, "invariants were broken"),
        (table.simulation, SIMULATION, {"worlds": None}, "worlds is missing"),
        (lambda found: table.histories(found, "http"), HISTORIES, {"broken": [{"invariant": 1}]}, "invariant"),
        (lambda found: table.histories(found, "http"), HISTORIES, {"aborted": "did not start"}, "did not start"),
        (lambda found: table.convergence(found, "http"), EXPERIMENT, {"valid": False}, "Run it again"),
        (table.simulation, SIMULATION, {"commit": f"{COMMIT}-dirty"}, "which is no commit"),
        (lambda found: table.histories(found, "http"), HISTORIES, {"commit": f"{COMMIT}-dirty"}, "which is no commit"),
        (lambda found: table.convergence(found, "http"), EXPERIMENT, {"commit": "unknown"}, "which is no commit"),
        (lambda found: table.convergence(found, "http"), EXPERIMENT, {"checks": [LOST]}, "Run it again"),
        (lambda found: table.convergence(found, "http"), EXPERIMENT, {"checks": [UNKNOWN]}, "Run it again"),
        (
            lambda found: table.convergence(found, "http"),
            EXPERIMENT,
            {"series": []},
            "no convergence by condition; is it",
        ),
    ],
)
def test_a_result_that_is_no_evidence_is_refused(keep, result, change, said):
    changed = deepcopy(result) | change
    wrong = {name: value for name, value in changed.items() if value is not None or name == "aborted"}
    with pytest.raises(table.EvidenceError, match=said):
        keep(wrong)


def test_a_readme_without_markers_is_refused_and_one_with_them_keeps_the_rest():
    with pytest.raises(table.EvidenceError, match="markers are missing"):
        table.into("# stsd\n", "| a |\n")
    readme = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
    assert table.into(readme, "| new |\n") == f"before\n{table.BEGIN}\n| new |\n{table.END}\nafter\n"


@pytest.fixture
def measured(tmp_path, monkeypatch) -> Path:
    """A folder with every result of the engine `http`, and a README and data of its own."""
    monkeypatch.setattr(command, "DATA", tmp_path / "data.json")
    monkeypatch.setattr(command, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text(f"before\n{table.BEGIN}\n{table.END}\nafter\n")
    experiment = tmp_path / "out" / "convergence-http" / table.EXPERIMENT
    experiment.mkdir(parents=True)
    (experiment / "result.json").write_text(json.dumps(EXPERIMENT))
    (tmp_path / "out" / "simulation.json").write_text(json.dumps(SIMULATION))
    (tmp_path / "out" / "histories-http.json").write_text(json.dumps(HISTORIES))
    return tmp_path


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(command.evidence, arguments, standalone_mode=False)


def test_results_that_are_there_are_not_measured_again(measured):
    answer = invoke("measure", "--out", str(measured / "out"), "--engine", "http")
    assert answer.exception is None, answer.exception
    assert json.loads((measured / "data.json").read_text()) == DATA
    assert table.between((measured / "README.md").read_text()) == table.render(DATA)


def test_a_step_that_is_not_measured_keeps_what_the_data_has(measured):
    assert invoke("measure", "--out", str(measured / "out"), "--engine", "http").exception is None
    again = measured / "again"
    again.mkdir()
    (again / "simulation.json").write_text(json.dumps(SIMULATION | {"worlds": 400}))
    answer = invoke("measure", "--out", str(again), "--engine", "http", "--step", "simulation")
    assert answer.exception is None, answer.exception
    data = json.loads((measured / "data.json").read_text())
    assert data == DATA | {"simulation": DATA["simulation"] | {"worlds": 400}}
    assert table.between((measured / "README.md").read_text()) == table.render(data)


def test_data_is_not_written_while_something_was_never_measured(measured):
    (measured / "out" / "histories-http.json").unlink()
    answer = invoke("measure", "--out", str(measured / "out"), "--engine", "http", "--step", "simulation")
    assert answer.exception is None, answer.exception
    assert "left to do: histories-http" in answer.output
    assert not (measured / "data.json").exists()


def test_a_bad_result_changes_neither_the_data_nor_the_readme(measured):
    (measured / "out" / "histories-http.json").write_text(json.dumps(HISTORIES | {"aborted": "did not start"}))
    answer = invoke("measure", "--out", str(measured / "out"), "--engine", "http")
    assert isinstance(answer.exception, ClusterError)
    assert not (measured / "data.json").exists()
    assert table.between((measured / "README.md").read_text()) == ""


@pytest.mark.parametrize(
    ("result", "said"), [("", "exit code 1 and no result"), ('{"aborted": "did not start"}', "did not start")]
)
def test_a_step_without_a_good_result_is_not_used_and_the_others_stay(measured, monkeypatch, result, said):
    path = measured / "out" / "histories-http.json"
    path.unlink()
    program = f"import pathlib, sys; {result!r} and pathlib.Path({str(path)!r}).write_text({result!r}); sys.exit(1)"
    real = command._steps

    def steps(*arguments: Any) -> list[command.Step]:
        return [replace(one, command=(sys.executable, "-c", program)) for one in real(*arguments)]

    monkeypatch.setattr(command, "_steps", steps)
    answer = invoke("measure", "--out", str(measured / "out"), "--engine", "http")
    assert isinstance(answer.exception, ClusterError)
    assert said in str(answer.exception)
    assert path.with_suffix(".bad.json").exists() == bool(result)
    assert not path.exists()
    assert (measured / "out" / "simulation.json").exists()
    assert not (measured / "data.json").exists()


def test_an_unknown_step_is_bad_usage(measured):
    answer = invoke("measure", "--out", str(measured / "out"), "--engine", "http", "--step", "dance")
    assert "choose from simulation, histories-http, convergence-http" in str(answer.exception)


def test_every_step_runs_a_command_that_exists():
    for step in command._steps(Path("/out"), command.engines(("http",)), 1, 1, quick=True):
        module = step.command[2].replace(".", "/")
        assert (ROOT / module / "__main__.py").exists(), step
