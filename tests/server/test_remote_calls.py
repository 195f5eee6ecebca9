"""Requests are answered without asking another region; a counter would tell if one did."""

from __future__ import annotations

import asyncio

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from stsd.server.backbone.calls import RemoteCalls, background
from tests.running import RunningCluster, post_signed, wait_for


async def test_a_call_from_a_task_that_nobody_declared_counts_as_made_in_a_request():
    calls = RemoteCalls()

    async def handle() -> None:
        calls.count()

    await asyncio.create_task(handle())
    assert calls.counts == {"background": 0, "request": 1}


async def test_what_a_background_task_starts_is_background_too_and_nothing_else_is():
    calls = RemoteCalls()

    async def call() -> None:
        calls.count()

    async def talk() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(call())

    await background(talk())
    await call()
    assert calls.counts == {"background": 1, "request": 1}


def remote_calls(cluster: RunningCluster, region: str) -> dict[str, float]:
    text = requests.get(f"{cluster.url(region)}/metrics", timeout=5).text
    return {
        sample.labels["during"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "stsd_remote_calls_total"
    }


@pytest.mark.processes
def test_issuing_verifying_and_revoking_call_no_other_region(cluster):
    region = cluster.regions[0]
    before = remote_calls(cluster, region)
    token = cluster.sts(f"admin@{region}").get_session_token()["Credentials"]["SessionToken"]
    assert requests.post(f"{cluster.url(region)}/v1/verify", json={"token": token}, timeout=5).json()["active"]
    revoked = post_signed(
        cluster.url(region), "/v1/revocations", {"token": token, "wait": "all"}, cluster.keys("admin"), region
    )
    assert len(revoked.json()["confirmed"]) == 3
    wait_for(lambda: remote_calls(cluster, region)["background"] > before["background"], "calls to peers")
    assert remote_calls(cluster, region)["request"] == 0
