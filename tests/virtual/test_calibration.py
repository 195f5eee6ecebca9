"""Results of processes beside those of virtual time."""

from __future__ import annotations

import pytest

from cluster.errors import ClusterError
from cluster.result import encoded
from cluster.virtual import calibration, console
from tests.report import results

COLUMNS = ["policy", "location", "endpoint", "region", "requests", "lost", "p50_ms", "p90_ms", "p99_ms"]


def result(*rows: list[object]) -> dict[str, object]:
    return {"name": "brief", "series": [{"name": "latency", "columns": COLUMNS, "rows": rows}]}


def row(place: str, p50: float | None, p99: float | None = None) -> list[object]:
    return ["nearest", place, "global", "", 100, 0, p50, None, p99]


def test_percentiles_are_compared_where_both_have_them():
    real = result(row("us-east-1", 10.0, 50.0), row("eu-west-1", 20.0), row("ap-southeast-1", None))
    virtual = result(row("us-east-1", 11.0), row("eu-west-1", 30.0), row("ap-southeast-1", 5.0))
    compared = calibration.compare(real, virtual)
    assert [(one.group, one.percentile, one.ratio) for one in compared] == [
        ("nearest, us-east-1, global", "p50_ms", 1.1),
        ("nearest, eu-west-1, global", "p50_ms", 1.5),
    ]


def test_the_farthest_ratio_is_judged_and_told_with_its_reason():
    compared = calibration.compare(
        result(row("us-east-1", 10.0), row("eu-west-1", 20.0)), result(row("us-east-1", 11.0), row("eu-west-1", 30.0))
    )
    (verdict,) = calibration.verdicts(compared)
    assert (verdict.holds, verdict.measured) == (False, 1.5)
    told = calibration.reasons(compared)
    assert "eu-west-1, global, p50: 20 ms in processes, 30 ms in virtual time (+50%)" in told
    assert "us-east-1" not in told
    assert calibration.reasons(compared[:1]) == ""


def test_results_that_cannot_be_compared_are_named_and_none_at_all_is_a_mistake(tmp_path, capsys):
    folder = tmp_path / "home-region-dies"
    folder.mkdir()
    parameters = {"simulated": False, "backbone": "nats", "form": "quick"}
    content = results.found(valid=False, parameters=parameters)
    (folder / "result.json").write_bytes(encoded(content))
    with pytest.raises(ClusterError, match="no valid result of an experiment on processes"):
        console.calibrate(tmp_path, tmp_path / "out")
    assert "not compared: it is not valid; backbone nats" in capsys.readouterr().err


def test_results_without_a_percentile_in_common_agree_in_nothing(tmp_path, monkeypatch, capsys):
    results.write(tmp_path, results.found(series=result(row("us-east-1", None))["series"]))
    monkeypatch.setattr(console, "_repeatable", lambda real, path: "brief")
    monkeypatch.setattr(console, "_repeated", lambda one, real: result(row("us-east-1", 10.0)) | {"valid": True})
    with pytest.raises(ClusterError, match="no valid result of an experiment on processes"):
        console.calibrate(tmp_path, tmp_path / "out")
    assert "not compared: no percentile is in both" in capsys.readouterr().err


def test_a_repetition_that_failed_is_nothing_to_compare_with(tmp_path, monkeypatch, capsys):
    results.write(tmp_path, results.found(series=result(row("us-east-1", 10.0))["series"]))
    failed = result(row("us-east-1", 10.0)) | {"valid": False, "answer": "Not valid: it failed: KeyError: 'lost'."}
    monkeypatch.setattr(console, "_repeatable", lambda real, path: "brief")
    monkeypatch.setattr(console, "_repeated", lambda one, real: failed)
    with pytest.raises(ClusterError, match="no valid result of an experiment on processes"):
        console.calibrate(tmp_path, tmp_path / "out")
    assert "not compared: in virtual time: Not valid: it failed: KeyError: 'lost'." in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{", "null", "[" * 99_999, '{"name": "home-region-dies", "valid": true}'])
def test_a_file_that_is_no_result_is_refused_with_its_path(tmp_path, content):
    path = tmp_path / "home-region-dies" / "result.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(ClusterError) as refused:
        console.calibrate(tmp_path, tmp_path / "out")
    (fault,) = refused.value.faults
    assert fault.startswith(f"{path}: ")
