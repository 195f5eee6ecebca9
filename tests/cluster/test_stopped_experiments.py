"""Ctrl-C at any moment of an experiment leaves a readable partial result, no process, no namespace and no file."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from cluster import namespaces
from tests.cluster.conftest import require_namespaces
from tests.running import ROOT, wait_for

pytestmark = pytest.mark.processes

US = "us-east-1"
NAME = "stopped"
EXPERIMENT = """
number = "E{number}"
name = "{name}"
question = "What is left?"
latency = false
topology = "two_continents"
policies = ["nearest-failover"]
seeds = 1
[load]
kind = "open"
operations = ["verify"]
regional = "own"
arrivals_per_s = 5
warm_up_s = 0.1
duration_s = {duration_s}
timeout_s = 1
[[faults]]
at_s = 0.2
action = "{action}"
region = "us-east-1"
[[checks]]
kind = "lost"
name = "clients lose nothing"
policies = ["nearest-failover"]
endpoint = "regional"
at_most = 0
[quick]
checks = "all"
leaves_out = "nothing"
"""
"""`duration_s` of load, in which a region is killed or paused at once and stays so."""

RUN = """
import sys
from pathlib import Path
from cluster import experiment_console
experiment_console.EXPERIMENTS = Path(sys.argv[1])
sys.exit(experiment_console.run_all(["all"], quick=False, seed=1, out=Path(sys.argv[2]), network=sys.argv[3]))
"""


@dataclass
class Stopped:
    """`experiment run` of experiments of our own, and all that belonged to it as long as it lived."""

    folder: Path
    process: subprocess.Popen[bytes]
    namespaces_before: set[str]
    family: set[psutil.Process] = field(default_factory=set)
    served: bool = False

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def look(self) -> int:
        """How many processes belong to it now."""
        with contextlib.suppress(psutil.NoSuchProcess):
            now = psutil.Process(self.process.pid).children(recursive=True)
            self.family.update(now)
            return len(now)
        return 0

    def node(self) -> int | None:
        """The process of the region that the fault is about, None while there is none. Raises ValueError before that
        is known."""
        (file,) = self.folder.glob("temporary/*/data/cluster.json")
        pid: int | None = json.loads(file.read_text())["regions"][US]["pid"]
        self.served = self.served or pid is not None
        return pid

    def namespaces(self) -> set[str]:
        """Those that it made and that are there."""
        made = {path.name for path in namespaces.FOLDER.glob("stsd-*")} - self.namespaces_before
        pids = {process.pid for process in self.family}
        return {name for name in made if (found := namespaces.NAME.fullmatch(name)) and int(found[1]) in pids}

    def processes(self) -> list[psutil.Process]:
        """Those that belonged to it, or of which the command line names its temporary folder, that are there."""
        folder = str(self.folder / "temporary")
        naming = [one for one in psutil.process_iter(["cmdline"]) if folder in " ".join(one.info["cmdline"] or ())]
        return naming + [one for one in self.family if one.is_running()]

    def has_ended(self) -> bool:
        self.look()
        return self.process.poll() is not None


def its_cluster_begins(run: Stopped) -> bool:
    return run.look() > 0 and any(run.folder.glob("temporary/*/up.log"))


def half_of_the_processes_are_there(run: Stopped) -> bool:
    return run.look() >= 5  # `cluster up`, and of two regions, the links and the router each two


def the_first_namespace_is_there(run: Stopped) -> bool:
    return run.look() > 0 and any(not name.endswith("probe") for name in run.namespaces())


def the_node_is_killed(run: Stopped) -> bool:
    run.look()
    return run.node() is None and run.served


def the_node_is_paused(run: Stopped) -> bool:
    run.look()
    pid = run.node()
    return pid is not None and psutil.Process(pid).status() == psutil.STATUS_STOPPED


def the_result_is_there(run: Stopped) -> bool:
    """And the report is about to be written."""
    run.look()
    return (run.out / NAME / "result.json").exists()


Moment = Callable[[Stopped], bool]


@contextlib.contextmanager
def running(folder: Path, network: str, action: str, duration_s: float) -> Iterator[Stopped]:
    """Two experiments, one after the other; the second one is never begun if the first one is stopped."""
    for sub in ("experiments", "temporary"):
        (folder / sub).mkdir()
    for number, name in enumerate((NAME, "left-out"), 1):
        text = EXPERIMENT.format(number=number, name=name, action=action, duration_s=duration_s)
        (folder / "experiments" / f"{name}.toml").write_text(text)
    before = {path.name for path in namespaces.FOLDER.glob("stsd-*")}
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(folder / "experiments"), str(folder / "out"), network],
            cwd=ROOT, env=os.environ | {"TMPDIR": str(folder / "temporary")}, start_new_session=True,
            stdout=said, stderr=said,
        )  # fmt: skip
    try:
        yield Stopped(folder, process, before)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("network", "moment", "action", "duration_s"),
    [
        ("inproc", its_cluster_begins, "kill", 30),
        ("inproc", half_of_the_processes_are_there, "kill", 30),
        ("inproc", the_node_is_killed, "kill", 30),
        ("inproc", the_node_is_paused, "pause", 30),
        ("inproc", the_result_is_there, "kill", 1),
        ("netns", the_first_namespace_is_there, "kill", 30),
        ("netns", the_node_is_paused, "pause", 30),
        ("netns", the_result_is_there, "kill", 1),
    ],
)
def test_ctrl_c_leaves_a_readable_result_no_process_no_namespace_and_no_file(
    tmp_path: Path, network: str, moment: Moment, action: str, duration_s: float
) -> None:
    if network == "netns":
        require_namespaces()
    with running(tmp_path, network, action, duration_s) as run:
        wait_for(lambda: moment(run) or run.process.poll() is not None, moment.__name__)
        assert run.process.poll() is None, (tmp_path / "said").read_text()
        os.killpg(run.process.pid, signal.SIGINT)
        wait_for(run.has_ended, "the end")
        assert run.processes() == []
        assert run.namespaces() == set()
    assert run.process.returncode == 1
    assert [*(tmp_path / "temporary").iterdir()] == []
    found = json.loads((run.out / NAME / "result.json").read_text())
    if moment is not the_result_is_there:
        assert (found["valid"], "stopped before its end" in found["answer"]) == (False, True)
        assert not (run.out / "left-out").exists()
    assert (run.out / "report.html").read_text().rstrip().endswith("</html>")
