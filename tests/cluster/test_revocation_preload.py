"""Filling journals before an experiment: many calls at once, each for another key, until all were acknowledged."""

from __future__ import annotations

import asyncio
import json
import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cluster import revocation_preload
from cluster.errors import Refused
from cluster.revocation_preload import OTHER_FILES, preload
from loadtest.client import MAX_CONNECTIONS
from loadtest.places import Key
from stsd import key_ids
from tests.cluster.fake_regions import Region, eventually

ACCOUNT = "111122223333"
ADMIN = Key(key_ids.new_access_key_id("AKIA", ACCOUNT, os.urandom), "secret", None)


@asynccontextmanager
async def regions(*names: str, **how: object) -> AsyncIterator[list[Region]]:
    started = [await Region(name, **how).start() for name in names]
    try:
        yield started
    finally:
        for region in started:
            await region.stop()


def urls(started: list[Region]) -> dict[str, str]:
    return {region.name: f"http://127.0.0.1:{region.port}" for region in started}


async def test_every_region_gets_its_share_each_a_signed_call_for_another_key():
    async with regions("us-east-1", "eu-west-1", "ap-southeast-1") as started:
        await preload(urls(started), ADMIN, 50)
    assert [len(region.requests) for region in started] == [17, 17, 16]
    keys = {json.loads(seen.body)["access_key_id"] for region in started for seen in region.requests}
    assert len(keys) == 50
    assert {key_ids.account_of(key) for key in keys} == {ACCOUNT}
    for region in started:
        for seen in region.requests:
            assert (seen.method, seen.target) == ("POST", "/v1/revocations")
            assert f"Credential={ADMIN.access_key_id}/" in seen.one("authorization")
            assert f"/{region.name}/sts/aws4_request" in seen.one("authorization")


async def test_calls_do_not_wait_for_the_answers_of_others():
    async with regions("us-east-1", held=b"access_key_id") as (slow,):
        filling = asyncio.create_task(preload(urls([slow]), ADMIN, MAX_CONNECTIONS + 100))
        await eventually(lambda: len(slow.requests) == MAX_CONNECTIONS)
        slow.let_go.set()
        await filling
    assert len(slow.requests) == MAX_CONNECTIONS + 100
    assert slow.connections == MAX_CONNECTIONS


async def test_what_a_round_leaves_the_next_one_makes(monkeypatch):
    monkeypatch.setattr(revocation_preload, "ROUND_S", 0.2)
    monkeypatch.setattr(revocation_preload, "AT_ONCE", 8)
    async with regions("us-east-1", "eu-west-1", delay_s=0.05) as started:
        await preload(urls(started), ADMIN, 80)
    assert [len(region.requests) for region in started] == [40, 40]
    assert started[0].connections > 4


async def test_a_region_that_refuses_is_named():
    async with regions("us-east-1", "eu-west-1") as started:
        started[1].refuses = True
        with pytest.raises(Refused, match=r"eu-west-1 does not store revocations: HTTP/1\.1 503"):
            await preload(urls(started), ADMIN, 20)


async def test_a_region_that_is_not_there_is_named():
    async with regions("us-east-1") as (gone,):
        pass
    with pytest.raises(Refused, match=r"us-east-1 does not store revocations: .*no connection"):
        await preload(urls([gone]), ADMIN, 20)


async def test_a_process_that_may_not_open_many_files_has_fewer_calls_under_way(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, OTHER_FILES + 10))
    allowed = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: allowed.append(limits))
    async with regions("us-east-1", "eu-west-1") as started:
        await preload(urls(started), ADMIN, 100)
    assert [len(region.requests) for region in started] == [50, 50]
    assert [region.connections for region in started] == [5, 5]
    assert allowed == [(OTHER_FILES + 10, OTHER_FILES + 10), (64, OTHER_FILES + 10)]
