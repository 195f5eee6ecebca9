"""A cluster of an experiment's own is gone with it, whenever a Ctrl-C comes."""

from __future__ import annotations

import asyncio
import signal
import sys
from types import SimpleNamespace

import pytest

from cluster import runner
from cluster.children import spawn
from cluster.errors import Refused
from cluster.experiment_console import load_all
from cluster.own_cluster import OwnCluster
from cluster.runner import Runner

ENDS_SLOWLY = """
import pathlib, signal, sys, time
def end(*_):
    time.sleep(0.5)
    sys.exit()
signal.signal(signal.SIGINT, end)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""


async def test_a_ctrl_c_while_it_ends_leaves_no_process_and_no_keys(tmp_path):
    cluster, ready = OwnCluster("three_regions", "nearest", 1), tmp_path / "ready"
    cluster._root = tmp_path / "root"
    cluster._root.mkdir()
    (cluster._root / "root.key").touch()
    cluster._process = await spawn([sys.executable, "-c", ENDS_SLOWLY, str(ready)], signal.SIGKILL)
    while not ready.exists():  # noqa: ASYNC110  another process
        await asyncio.sleep(0.01)
    ending = asyncio.create_task(cluster.__aexit__())
    await asyncio.sleep(0.05)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert cluster._process.returncode is not None
    assert not cluster._root.exists()


async def test_a_run_is_kept_though_a_ctrl_c_comes_while_its_last_counts_are_read(monkeypatch, tmp_path):
    async def refused(*_):
        raise Refused("no cluster here")

    async def interrupted(*_):
        raise asyncio.CancelledError

    monkeypatch.setattr(runner, "_generator", lambda *_: SimpleNamespace(now=lambda: 0.0, exchanges=["one"]))
    monkeypatch.setattr(runner, "_prepare", refused)
    monkeypatch.setattr(runner, "_completed", interrupted)
    one = load_all()["brown-out"]
    running = Runner(one, 1, lambda *_: None)
    with pytest.raises(asyncio.CancelledError):
        await running._load(SimpleNamespace(path=tmp_path), one.policies[0], one.variants[0], 1, {})
    assert [run.exchanges for run in running.runs] == [["one"]]
