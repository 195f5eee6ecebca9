"""Results in a folder: what is read, and what would be drawn over."""

from __future__ import annotations

import pytest

from cluster.errors import ClusterError, Refused
from cluster.report import console, folder
from tests.report import results


def test_two_results_of_one_experiment_are_told_and_neither_is_drawn_over_the_other(tmp_path):
    for name, seed in (("first", 1), ("second", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_bytes(results.encoded(results.found() | {"seed": seed}))
    records, (fault,) = folder.read(tmp_path, {})
    assert [record.seed for record in records] == [1]
    assert fault == (
        f"{tmp_path}/second/result.json: home-region-dies is in {tmp_path}/first/result.json already:"
        " move one to another folder"
    )
    with pytest.raises(Refused, match=r"is in .* already"):
        console.report(tmp_path, {})
    assert "is in " in (tmp_path / "report.html").read_text()
    with pytest.raises(ClusterError, match=r"is in .* already"):
        console.compare(tmp_path, tmp_path, {}, as_json=True)


def test_plots_of_an_earlier_run_go_and_files_of_others_stay(tmp_path):
    out = results.write(tmp_path, results.found())
    console.report(out, {})
    own = out / "home-region-dies"
    assert (own / "blast-radius.png").exists()
    for name in ("photo.svg", "photo.png", "my-cdf.svg", "timeline-mine.png"):
        (own / name).write_text("mine")
    kept = [table for table in results.found()["series"] if table["name"] == "latency distribution"]
    (own / "result.json").write_bytes(results.encoded(results.found(series=kept)))
    console.report(out, {})
    assert {path.name for path in own.iterdir()} == {
        *("result.json", "latency-cdf.svg", "latency-cdf.png"),
        *("photo.svg", "photo.png", "my-cdf.svg", "timeline-mine.png"),
    }
