"""Nodes of an earlier commit: their code from git, and the way in which one gives way to the next version."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster import children, control, disturb, version_before
from cluster.data_dir import Wanted, prepare
from cluster.errors import Refused
from cluster.experiment_console import load_all
from cluster.fault_records import Fault

REGION = "eu-west-1"


def git(*words: str, folder: Path = version_before.ROOT) -> str:
    names = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *names, *words], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two commits of a package, in a repository that stands for ours."""
    commits = []
    git("init", "-q", folder=tmp_path)
    package = tmp_path / version_before.PACKAGE
    package.mkdir()
    for said in ("before", "now"):
        (package / "__init__.py").write_text(f"said = {said!r}\n")
        (tmp_path / "other.py").write_text(said)
        git("add", ".", folder=tmp_path)
        git("commit", "-q", "-m", said, folder=tmp_path)
        commits.append(git("rev-parse", "HEAD", folder=tmp_path))
    monkeypatch.setattr(version_before, "ROOT", tmp_path)
    return commits


async def test_the_code_of_a_commit_is_what_a_process_there_runs_and_is_gone_afterwards(history, tmp_path):
    log = tmp_path / "said"
    with version_before.checkout(history[0]) as code:
        command = [sys.executable, "-c", "import stsd; print(stsd.said)"]
        process = await children.spawn(command, signal.SIGKILL, log, code=str(code))
        assert await process.wait() == 0
        assert log.read_text() == "before\n"
        assert [one.name for one in code.iterdir()] == [version_before.PACKAGE]
    assert not code.exists()


def test_what_git_does_not_have_is_refused_by_name(history, monkeypatch):
    with pytest.raises(Refused, match=f"git has no {'0' * 40}"), version_before.checkout("0" * 40):
        pass
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Refused, match="git does not run"), version_before.checkout(history[0]):
        pass


FIRST_OF_THE_LAST_ISSUE = "5c99bade83475d49cc3e18a9214fc9b40a64927a"


def test_the_experiment_begins_with_the_last_commit_before_the_issue_that_was_begun_last():
    commit = load_all()["rolling-upgrade"].upgrade_from
    try:
        assert git("merge-base", "--is-ancestor", commit, "HEAD") == ""
    except (OSError, subprocess.CalledProcessError) as error:
        if getattr(error, "returncode", 128) == 1:
            raise
        pytest.skip("this checkout has no history")
    assert git("rev-parse", f"{FIRST_OF_THE_LAST_ISSUE}^") == commit
    with version_before.checkout(commit) as code:
        assert "stsd_unknown_revocations" in (code / "stsd" / "server" / "metrics.py").read_text()


class Obeying:
    """Supervisors and a router that note their orders; of each call of the router one more is answered."""

    def __init__(self, in_flight: int = 0, fails: str = "") -> None:
        self.orders: list[str] = []
        self._in_flight, self._fails = in_flight, fails

    def ask(self, run: Path, name: str, verb: str, **members: Any) -> dict[str, Any]:
        self.orders.append(f"{verb} {members['draining']}" if verb == "drain" else verb)
        left, self._in_flight = self._in_flight, max(0, self._in_flight - 1)
        return {"ok": verb != self._fails, "fault": "it does not", "in_flight": left}


@pytest.fixture
def data(tmp_path):
    return prepare(tmp_path / "data", Wanted())


async def upgrade(data, monkeypatch, obeying: Obeying) -> list[str]:
    monkeypatch.setattr(control, "ask", obeying.ask)
    await disturb.do(data, Fault(0, "upgrade", REGION))
    return obeying.orders


async def test_a_node_is_replaced_when_its_calls_are_answered_and_gets_new_ones_when_it_is_ready(data, monkeypatch):
    assert await upgrade(data, monkeypatch, Obeying()) == ["drain True", "stop", "start", "drain False"]


async def test_what_is_in_flight_is_waited_for_before_it_ends(data, monkeypatch):
    orders = await upgrade(data, monkeypatch, Obeying(in_flight=2))
    assert orders == ["drain True"] * 3 + ["stop", "start", "drain False"]


async def test_what_is_never_answered_keeps_a_node_from_being_replaced(data, monkeypatch):
    monkeypatch.setattr(disturb, "DRAIN_S", 0.01)
    obeying = Obeying(in_flight=10_000)
    with pytest.raises(Refused, match="still not answered"):
        await upgrade(data, monkeypatch, obeying)
    assert "stop" not in obeying.orders


@pytest.mark.parametrize("fails", ["drain", "stop", "start"])
async def test_an_order_that_is_not_obeyed_ends_the_upgrade_and_is_told(data, monkeypatch, fails):
    obeying = Obeying(fails=fails)
    with pytest.raises(Refused, match="it does not"):
        await upgrade(data, monkeypatch, obeying)
    assert obeying.orders[-1].startswith(fails)
