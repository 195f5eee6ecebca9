"""What the observer makes of what regions, router and links say, or do not say."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import Any

import pytest

from cluster import control, observer, probe
from cluster.data_dir import ROUTER, DataDir, Wanted, prepare
from cluster.history import Look
from cluster.observer import Observer, journal_bytes
from tests.cluster.fake_regions import eventually

HEALTHY = (
    "# HELP router_region_healthy Whether a region can be sent to.\n"
    'router_region_healthy{region="us-east-1"} 1.0\n'
    'router_region_healthy{region="eu-west-1"} 0.0\n'
)


class Answers:
    """The pages of a cluster by URL; one that is missing does not answer."""

    def __init__(self, data: DataDir) -> None:
        self._data, self.pages = data, dict[str, tuple[int, bytes]]()
        self.put(ROUTER, "/metrics", 200, HEALTHY)

    def put(self, name: str, path: str, status: int, content: Any) -> None:
        body = content if isinstance(content, str) else json.dumps(content)
        self.pages[self._data.url(name) + path] = status, body.encode()

    async def get(self, url: str, timeout_s: float) -> tuple[int, bytes] | None:
        return self.pages.get(url)


@pytest.fixture
def data(tmp_path) -> DataDir:
    return prepare(tmp_path / "data", Wanted())


@pytest.fixture
def answers(data, monkeypatch) -> Answers:
    made = Answers(data)
    monkeypatch.setattr(probe, "get", made.get)
    monkeypatch.setattr(control, "ask", lambda run, name, verb: {"received": {"us-east-1": 700}})
    return made


async def look(data: DataDir, at: float = 7.0) -> dict[str, Look]:
    """The first samples, by region."""
    watching = Observer(data, lambda: at)
    task = asyncio.create_task(watching.run())
    await eventually(lambda: len(watching.samples) >= len(data.topology.regions))
    task.cancel()
    return {sample.region: sample for sample in watching.samples}


async def test_a_sample_is_what_a_region_tells_and_what_router_and_links_tell_of_it(data, answers):
    staleness = {"eu-west-1/1/00000000000000aa": 900.0, "eu-west-1/1/00000000000000bb": 0.5, "ap-southeast-1": 3.0}
    answers.put("us-east-1", "/readyz", 200, {"origin": "us-east-1/1/0", "staleness": staleness})
    answers.put("us-east-1", "/metrics", 200, "# TYPE stsd_unknown_revocations gauge\nstsd_unknown_revocations 2.0\n")
    assert (await look(data))["us-east-1"] == Look(
        7.0, "us-east-1", True, "us-east-1/1/0", {"eu-west-1": 0.5, "ap-southeast-1": 3.0}, True, 700, 2
    )


async def test_a_region_that_is_not_ready_still_tells_and_one_of_a_version_without_the_alarm_has_none(data, answers):
    answers.put("eu-west-1", "/readyz", 503, {"origin": "eu-west-1/1/0", "staleness": {}})
    answers.put("eu-west-1", "/metrics", 200, "stsd_revocations 4.0\n")
    found = (await look(data))["eu-west-1"]
    assert (found.ready, found.origin, found.healthy, found.unknown) == (False, "eu-west-1/1/0", False, None)


async def test_nothing_is_made_up_where_nobody_answers(data, answers, monkeypatch):
    answers.pages.clear()
    monkeypatch.setattr(control, "ask", lambda run, name, verb: None)
    assert (await look(data))["us-east-1"] == Look(7.0, "us-east-1", False, "", {}, None, None, None)


def test_a_journal_is_as_large_as_its_batches_and_one_that_cannot_be_read_is_left_out(data):
    for region, bodies in (("us-east-1", [b"12345", b"678"]), ("eu-west-1", [])):
        (data.path / region).mkdir(exist_ok=True)
        with sqlite3.connect(data.path / region / observer.JOURNAL) as connection:
            connection.execute("CREATE TABLE batches (body BLOB)")
            connection.executemany("INSERT INTO batches VALUES (?)", [(body,) for body in bodies])
        connection.close()
    assert journal_bytes(data) == {"us-east-1": 8, "eu-west-1": 0}
