"""A region whose folder was emptied joins again through the link to another one: a real node, and links in this
process."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest
import pytest_asyncio

from cluster import link_process, probe, rejoin
from cluster.data_dir import DataDir, Wanted, prepare
from cluster.faults import Links
from cluster.link_process import LinkProcess
from cluster.topology import RoundTrip
from tests.running import free_base_port, run, running_node

pytestmark = pytest.mark.processes

US, EU = "us-east-1", "eu-west-1"
REFUSED = (
    f"{EU}: its folder is empty, and it could not join the cluster again:\n{US} does not answer through the link to it"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataDir]:
    """A cluster of which one region runs."""
    path = tmp_path_factory.mktemp("rejoin") / "data"
    found = prepare(path, Wanted(topology="two_continents", base_port=free_base_port()))
    peer = ("--peer", f"{EU}={found.link(US, EU)}", "--cluster-key", str(found.key_file))
    with running_node(path / US, *peer, region=US, port=found.ports.regions[US]):
        yield found


@pytest_asyncio.fixture
async def links(data: DataDir) -> AsyncIterator[LinkProcess]:
    """Its links, while the other region's folder is empty."""
    shutil.rmtree(data.path / EU, ignore_errors=True)
    at_once = {(US, EU): RoundTrip(0, 0), (EU, US): RoundTrip(0, 0)}
    process = LinkProcess(Links((US, EU), at_once), link_process.ways(data.ports), seed=1)
    await process.start()
    yield process
    await process.stop()


def members(data: DataDir) -> list[str]:
    """The lines of the nodes that belong to the cluster."""
    listed = run("stsd", "peers", "list", "--data-dir", str(data.path / US))
    return [line for line in listed.stdout.splitlines()[1:] if " - " in line]


async def joined(data: DataDir) -> int:
    """How often the sponsor has let somebody join."""
    _, exposition = await probe.get(f"{data.url(US)}/metrics", timeout_s=5)
    found = re.search(rb'stsd_peer_messages_total{result="joined"} (\d+)', exposition)
    return int(found[1]) if found else 0


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "join" in child.cmdline()]


@pytest.mark.parametrize(
    "cut",
    [
        {"verb": "isolate", "first": EU},
        {"verb": "partition", "first": EU, "second": US, "one_way": True},
        {"verb": "partition", "first": US, "second": EU, "one_way": True},
    ],
    ids=["both_ways", "there", "back"],
)
async def test_a_region_does_not_join_through_a_cut_which_removes_nobody_and_joins_when_it_is_healed(
    data, links, cut, monkeypatch
):
    before = await asyncio.to_thread(members, data)
    assert len(before) == 2
    links.obey(cut)
    with monkeypatch.context() as impatient:
        impatient.setattr(rejoin, "PATIENCE_S", 2)
        impatient.setattr(rejoin, "LINK_ANSWER_S", 0.2)
        assert await rejoin.rejoin(data, EU) == REFUSED
    assert rejoin.is_needed(data, EU)
    assert await asyncio.to_thread(members, data) == before
    links.obey({"verb": "heal"})
    assert await rejoin.rejoin(data, EU) == ""
    assert not rejoin.is_needed(data, EU)
    assert json.loads((data.path / EU / "node.json").read_text())["urls"] == {US: data.link(EU, US)}


async def test_a_try_that_ends_before_its_answer_came_leaves_no_process_and_the_next_one_joins(
    data, links, monkeypatch
):
    async def answered(url: str, timeout_s: float) -> tuple[bool, dict]:
        return True, {}

    before = await joined(data)
    links.obey({"verb": "partition", "first": US, "second": EU, "one_way": True})
    with monkeypatch.context() as just_before_the_cut:
        just_before_the_cut.setattr(probe, "readiness", answered)
        trying = asyncio.create_task(rejoin.rejoin(data, EU))
        async with asyncio.timeout(30):
            while await joined(data) == before:  # noqa: ASYNC110  another process
                await asyncio.sleep(0.02)
        assert len(children()) == 1
        trying.cancel()
        await asyncio.wait([trying])
    assert trying.cancelled()
    assert children() == []
    assert rejoin.is_needed(data, EU)
    links.obey({"verb": "heal"})
    assert await rejoin.rejoin(data, EU) == ""
