"""`python -m cluster sim`: what is refused before anything is computed."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from cluster.__main__ import cluster
from cluster.errors import ClusterError
from cluster.scale import console


def sim(*words: object) -> None:
    CliRunner().invoke(cluster, ["sim", *map(str, words)], standalone_mode=False, catch_exceptions=False)


def test_a_place_that_cannot_be_written_is_told_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(console, "_parts", lambda size: pytest.fail("it computes"))
    (tmp_path / "out" / console.NAME).mkdir(parents=True)
    (tmp_path / "out" / console.NAME / "result.json").mkdir()
    with pytest.raises(ClusterError, match=r"--out .*: cannot be written: Is a directory"):
        sim("--regions", 2, "--nodes", 1, "--out", tmp_path / "out")


def test_a_seed_that_no_result_may_have_is_refused(monkeypatch):
    monkeypatch.setattr(console, "run", lambda *args: pytest.fail("it runs"))
    done = CliRunner().invoke(cluster, ["sim", "--seed", str(10**20)])
    assert done.exit_code == 2
    assert "0<=x<=4294967295" in done.output
