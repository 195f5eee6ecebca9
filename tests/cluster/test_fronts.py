"""An HAProxy in the router's place: its file is one that HAProxy takes, and it switches over as an experiment needs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cluster import experiment_console, files, fronts, haproxy_files, runner
from cluster.errors import Refused
from cluster.experiment import Variant
from cluster.experiment_file import parse
from cluster.haproxy_files import FRONTS, Knobs, Listen, Server
from cluster.result import result
from cluster.router_config import PARTS, pinned_ports
from tests.cluster.conftest import THREE, Setup, Start
from tests.cluster.fake_regions import Region, eventually
from tests.cluster.test_experiment_run import SHORT

PLACE = "us-east-1"
QUICK = replace(fronts.knobs(), interval_s=0.05)
"""The experiment's settings with checks that come soon."""


@pytest.fixture(scope="module")
def program() -> str:
    if path := fronts.program():
        return path
    if os.environ.get("STSD_REQUIRE_ALL"):
        pytest.fail(f"STSD_REQUIRE_ALL is set and {fronts.missing('haproxy')}")
    pytest.skip(fronts.missing("haproxy"))


def front(kind: str, policy: str = "nearest-failover") -> fronts.Front:
    found = fronts.chosen(kind, policy, THREE)
    assert found is not None
    return found


def text(kind: str, policy: str = "nearest-failover", knobs: Knobs | None = None) -> str:
    ports = {region: 20_001 + i for i, region in enumerate(THREE.regions)}
    return haproxy_files.text(kind, fronts.listeners(front(kind, policy), THREE, ports), knobs or fronts.knobs())


@pytest.mark.parametrize("policy", ["home-2011", "nearest-failover"])
@pytest.mark.parametrize("kind", FRONTS)
def test_haproxy_takes_the_file(program, kind, policy, tmp_path):
    config = tmp_path / "haproxy.cfg"
    config.write_text(text(kind, policy))
    done = subprocess.run([program, "-c", "-f", str(config)], capture_output=True, text=True)
    assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr


def test_every_place_has_its_regions_in_the_order_of_the_routers_policy():
    made = front("haproxy")
    ports = {"us-east-1": 1, "eu-west-1": 2, "ap-southeast-1": 3}
    found = fronts.listeners(made, THREE, ports)
    assert [(one.place, one.servers[0].region) for one in found] == [(place, place) for place in THREE.locations]
    pinned = pinned_ports(THREE, made.first_port)
    for one in found:
        assert sorted(server.region for server in one.servers) == sorted(THREE.regions)
        for server in one.servers:
            assert (server.port, server.checked_port) == (pinned[one.place, server.region], ports[server.region])
    used = [*pinned.values(), *(one.port for one in found)]
    assert sorted(used) == list(range(made.first_port, made.first_port + len(used)))


def test_checks_come_as_often_and_give_up_as_soon_as_the_routers():
    checks, observing = text("haproxy"), text("haproxy-observe")
    assert "check inter 1000ms fall 3 rise 2\n" in checks
    assert "timeout check 500ms" in checks
    assert "observe" not in checks
    assert "fall 10000 rise 2 observe layer7 error-limit 5 on-error mark-down" in observing
    assert all("retries 0" in one for one in (checks, observing))


def test_the_router_behind_it_neither_chooses_nor_repeats_anything():
    flags = front("haproxy").flags
    assert [flags[i + 1] for i, word in enumerate(flags) if word == "--without"] == [*PARTS]


@dataclass
class Served:
    """A router with pinned ports only, and an HAProxy in front of it as one place sees it."""

    setup: Setup
    url: str
    log: Path

    async def call(self) -> tuple[int, str]:
        """Status and answering region of one call."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        form = "Action=GetCallerIdentity&Version=2011-06-15"
        async with self.setup.client.post(self.url, data=form, headers=headers) as answer:
            return answer.status, answer.headers.get("x-stsd-region", "")

    async def serves(self, region: str) -> bool:
        return await self.call() == (200, region)


@pytest.fixture
async def serve(start: Start, program: str, tmp_path: Path) -> AsyncIterator[Any]:
    begun: list[Any] = []

    async def begin(kind: str) -> Served:
        pairs = [(place, region) for place in THREE.locations for region in THREE.regions]
        setup = await start(pinned=dict.fromkeys(pairs, 0), without=frozenset(PARTS))
        (own,) = (
            one for one in fronts.listeners(front(kind), THREE, dict.fromkeys(THREE.regions, 0)) if one.place == PLACE
        )
        servers = tuple(
            Server(one.region, setup.port(location=PLACE, region=one.region), setup.regions[one.region].port)
            for one in own.servers
        )
        config, log = tmp_path / "haproxy.cfg", tmp_path / "haproxy.log"
        config.write_text(haproxy_files.text(kind, [Listen(PLACE, own.port, servers)], QUICK))
        process = fronts._process(config, log)
        running = await process.__aenter__()
        begun.append(process)
        url = f"http://127.0.0.1:{own.port}"
        await fronts._until_ready(running, {PLACE: url}, log)
        return Served(setup, url, log)

    yield begin
    for process in begun:
        await process.__aexit__(None, None, None)


async def test_a_region_that_dies_is_left_and_used_again_when_it_returns(serve):
    served = await serve("haproxy")
    assert await served.call() == (200, "us-east-1")
    home: Region = served.setup.regions["us-east-1"]
    await home.stop()
    assert (await served.call())[0] == 503
    await eventually(lambda: served.serves("eu-west-1"))
    assert "Server us-east-1/us-east-1 is DOWN, reason: Layer4" in served.log.read_text()
    await home.start()
    await eventually(lambda: served.serves("us-east-1"))


async def test_one_that_observes_leaves_it_for_failed_answers_not_for_failed_checks(serve):
    served = await serve("haproxy-observe")
    home: Region = served.setup.regions["us-east-1"]
    await home.stop()
    statuses = [(await served.call())[0] for _ in range(6)]
    assert statuses == [503] * 5 + [200]
    assert "Server us-east-1/us-east-1 is DOWN, reason: Health analyze" in served.log.read_text()


async def test_what_comes_through_it_has_the_routers_mark_for_the_global_endpoint_and_no_forged_one(serve):
    served = await serve("haproxy")
    async with served.setup.client.post(served.url, data="a=b", headers={"x-stsd-forwarded": "forged"}) as answer:
        assert answer.headers["x-stsd-route"].startswith("pinned, us-east-1")
    (mark,) = served.setup.regions["us-east-1"].requests[-1].all("x-stsd-forwarded")
    assert "global" in mark
    assert mark != "forged"


async def test_one_that_does_not_start_is_told_with_its_own_words(program, tmp_path):
    config, log = tmp_path / "haproxy.cfg", tmp_path / "haproxy.log"
    config.write_text("listen nobody\n    bind nowhere\n")
    async with fronts._process(config, log) as process:
        with pytest.raises(Refused, match="haproxy did not serve"):
            await fronts._until_ready(process, {PLACE: "http://127.0.0.1:1"}, log)


async def test_where_haproxy_is_missing_the_result_says_what_was_not_judged(monkeypatch):
    monkeypatch.setattr(fronts, "program", lambda: None)
    one = parse(SHORT, "short.toml")
    variants = (Variant("haproxy", front="haproxy"),)
    alone = replace(one, variants=variants, checks=tuple(replace(c, variants=("haproxy",)) for c in one.checks))
    run = runner.Runner(alone, 1, lambda done_s, what: None)
    with pytest.raises(Refused) as caught:
        await run.run()
    (said,) = caught.value.faults
    assert said.startswith("haproxy was not run: haproxy is not there (Debian: apt-get install haproxy); not judged")
    assert all(check.name in said for check in alone.checks)
    found = result(alone, run.runs, run.topology, seed=1, quick=True, commit="", started_at=1, broken=said)
    assert json.dumps(found)
    assert found["valid"] is False
    assert said in found["answer"]
    assert not any(check["holds"] for check in found["checks"])


FRONTED = SHORT.replace(
    "[load]", '[[variants]]\nname = "haproxy"\nfront = "haproxy"\n[[variants]]\nname = "router"\n[load]', 1
)


@pytest.mark.processes
async def test_an_experiment_puts_it_before_real_nodes_and_leaves_nothing_of_it(program):
    one = parse(FRONTED, "fronted.toml")
    alone = replace(one, variants=one.variants[:1], checks=tuple(c.of_variants(["haproxy"]) for c in one.checks))
    run = runner.Runner(alone, 1, lambda done_s, what: None)
    await run.run()
    found = result(alone, run.runs, run.topology, seed=1, quick=False, commit="", started_at=1)
    assert [check["holds"] for check in found["checks"]] == [True, True], found["answer"]
    far = [e for e in run.runs[0].exchanges if (e.location, e.endpoint) == ("eu-west-1", "global")]
    assert {(e.outcome, e.served_by) for e in far} == {("ok", "eu-west-1")}
    near = [e for e in run.runs[0].exchanges if (e.location, e.endpoint) == ("us-east-1", "global")]
    assert {e.outcome for e in near if 1.2 < e.due_at < 1.9} == {"failed"}


def test_the_shipped_experiment_compares_it_with_the_routers_active_checks():
    full = experiment_console.load_all()["home-region-dies"]
    for form in (full, full.shortened()):
        (check,) = (one for one in form.checks if one.than and one.variants == ("haproxy",))
        assert (check.kind, check.than, check.at_least, check.at_most) == ("switch_s", "active checks alone", 0.5, 2)
    assert files.parse_topology(*files.topology_source(full.topology)).regions == THREE.regions
