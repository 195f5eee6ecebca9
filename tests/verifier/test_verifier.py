"""The offline verifier with a real node, and with one that misbehaves."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import sys
import textwrap
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson
import pytest
import requests
from aiohttp import web

import stsd.verifier
from stsd.revocation import feed, golomb
from stsd.revocation.messages import Origin
from stsd.tokens import session_token
from stsd.tokens.keyset import KeySet, new_key_set
from stsd.verifier import Verifier, VerifierUnavailable, client
from tests.revocation.signed import node as replica_of
from tests.running import ROOT, RunningNode, post_signed, running_node
from tests.tokens.test_session_token import SESSION

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A node whose revocations nobody else counts."""
    with running_node(tmp_path_factory.mktemp("verifier") / "data") as started:
        yield started


def issue(node: RunningNode) -> dict:
    return node.sts("admin").get_session_token()["Credentials"]


def revoke(node: RunningNode, **subject: str) -> None:
    answer = post_signed(node.url, "/v1/revocations", subject, node.keys("admin"), "us-east-1")
    assert answer.status_code == 200, answer.text


async def within(seconds: float, condition) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.01)


def requests_answered(node: RunningNode) -> int:
    text = requests.get(f"{node.url}/metrics", timeout=5).text
    counts = re.findall(r'^stsd_requests_total\{.*operation="(\w+)".*\} (\S+)$', text, re.MULTILINE)
    assert counts
    return sum(int(float(count)) for operation, count in counts if operation != "metrics")


@pytest.mark.parametrize("compact", [False, True], ids=["exact", "compact"])
async def test_a_revoked_token_is_refused_within_a_second_without_a_request(own, compact):
    token, other = issue(own)["SessionToken"], issue(own)["SessionToken"]
    async with Verifier(own.url, compact=compact) as verifier:
        verdict = verifier.verify(token)
        assert (verdict.active, verdict.principal) == (True, "arn:aws:iam::111122223333:user/alice")
        await asyncio.to_thread(revoke, own, token=token)
        await within(1, lambda: verifier.verify(token).reason == "revoked")
        before = await asyncio.to_thread(requests_answered, own)
        for _ in range(100):
            assert verifier.verify(token).reason == "revoked"
            assert verifier.verify(other).active
        assert await asyncio.to_thread(requests_answered, own) == before
        assert verifier.staleness_s < 2.5


@pytest.mark.parametrize("compact", [False, True], ids=["exact", "compact"])
async def test_what_was_revoked_before_is_known_from_the_start(own, compact):
    session = issue(own)
    role_token = own.session("acme-deploy").get_credentials().get_frozen_credentials().token
    revoke(own, access_key_id=session["AccessKeyId"])
    revoke(own, role_arn="arn:aws:iam::111122223333:role/deploy")
    async with Verifier(own.url, compact=compact) as verifier:
        named, cut_off = await verifier.check(session["SessionToken"]), verifier.verify(role_token)
        assert (named.reason, named.confirmed) == ("revoked", True)
        assert (cut_off.reason, cut_off.confirmed) == ("revoked", True)
        assert verifier.verify(session["SessionToken"]).confirmed != compact


async def test_a_false_positive_is_asked_about_once_and_then_active(own):
    session = issue(own)
    async with Verifier(own.url, compact=True) as verifier:
        key = session["AccessKeyId"]
        verifier._knowledge._named = golomb.decode(golomb.encode([key], b"k"), 1, b"k")
        assert not verifier.verify(session["SessionToken"]).confirmed
        assert (await verifier.check(session["SessionToken"])).active
        before = await asyncio.to_thread(requests_answered, own)
        assert (await verifier.check(session["SessionToken"])).active
        assert await asyncio.to_thread(requests_answered, own) == before


async def test_when_the_node_is_gone_the_verifier_goes_on_and_tells_its_staleness(tmp_path):
    with running_node(tmp_path / "data") as node:
        token, other = issue(node)["SessionToken"], issue(node)["SessionToken"]
        async with Verifier(node.url) as verifier, Verifier(node.url, closed_after_s=1.5) as closed:
            assert closed.verify(token).active
            node.stop(9)
            died = time.monotonic()
            await within(5, lambda: closed.verify(token).reason == "stale")
            assert verifier.verify(token).active
            assert verifier.staleness_s > 1.5 <= closed.staleness_s
            before = verifier.staleness_s
            await asyncio.sleep(0.2)
            assert verifier.staleness_s > before + 0.15
            assert verifier.staleness_s > time.monotonic() - died - 0.1
            port = node.url.rpartition(":")[2]
            with running_node(tmp_path / "data", "--port", port):
                await within(10, lambda: closed.verify(token).active)
                await asyncio.to_thread(revoke, node, token=token)
                await within(1, lambda: verifier.verify(token).reason == "revoked")
                assert closed.verify(other).active


async def test_no_node_is_an_error_at_the_start(tmp_path):
    with pytest.raises(VerifierUnavailable, match=r"http://127.0.0.1:1: .*Connect"):
        async with Verifier("http://127.0.0.1:1", start_timeout_s=0.3):
            pass


def test_the_example_of_the_package_runs_as_it_stands(own, tmp_path):
    example = re.search(r"\n\n((?:    .*\n|\n)+)", stsd.verifier.__doc__)[1]
    assert textwrap.dedent(example).strip() in (ROOT / "README.md").read_text()
    script = tmp_path / "example.py"
    script.write_text(textwrap.dedent(example))
    command = [sys.executable, str(script), own.url, issue(own)["SessionToken"]]
    result = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"True arn:aws:iam::111122223333:user/alice \d\.\d s old\n", result.stdout)


class Scripted:
    """A node that does as a test says: `keys` are published, `beats` holds `elapsed_ms` for each heartbeat."""

    def __init__(self) -> None:
        self.region = "eu-west-1"
        self.keys: KeySet = new_key_set(lambda n: b"\1" * n, 0)
        self.cursor = feed.cursor(replica_of(Origin("eu-west-1", "1", "a" * 16), (), 0.0))
        self.beats: list[int] = [0]
        self.seen: list[tuple[str, str]] = []
        self.broken = False
        self.full = False
        self.refusal = ""

    async def jwks(self, request: web.Request) -> web.Response:
        self._note(request)
        return web.json_response(self.keys.jwks(), headers={"x-stsd-region": self.region})

    async def revocations(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        if self.broken:
            return web.Response(text="{}", content_type="application/json")
        if self.refusal:
            return web.json_response({"error": {"code": "ValidationError", "message": self.refusal}}, status=400)
        if self.full:
            assert "application/json" in request.headers["Accept"]
            content = {"revocations": [], "cursor": self.cursor}
            return web.json_response(content, headers={client.STALENESS: "1500"})
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for elapsed_ms in self.beats:
            data = orjson.dumps({"staleness_ms": 0, "elapsed_ms": elapsed_ms}).decode()
            await answer.write(f"id: {self.cursor}\nevent: heartbeat\ndata: {data}\n\n".encode())
            await asyncio.sleep(0.1)
        await asyncio.sleep(30)
        return answer

    def _note(self, request: web.Request) -> None:
        self.seen.append((request.path, request.headers.get("Authorization", "")))

    def asked(self, path: str) -> int:
        return sum(seen == path for seen, _ in self.seen)


@asynccontextmanager
async def scripted():
    node = Scripted()
    app = web.Application()
    app.add_routes([web.get(client.JWKS, node.jwks), web.get(client.FEED, node.revocations)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    try:
        yield node, f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def test_every_request_carries_the_key_and_no_repr_shows_it():
    async with scripted() as (node, url), Verifier(url, key="a-resource-server-key") as verifier:
        assert {given for _, given in node.seen} == {"Bearer a-resource-server-key"}
        assert "a-resource" not in repr(verifier)


async def test_a_token_of_a_new_key_is_active_as_soon_as_the_key_is_published(monkeypatch):
    monkeypatch.setattr(client, "KEYS_FLOOR_S", 0.3)
    newer = new_key_set(lambda n: b"\2" * n, 0)
    now_ms = int(time.time() * 1000)
    session = replace(SESSION, issued_at_ms=now_ms, expires_at=now_ms // 1000 + 600)
    token = session_token.sign(session, newer.active)
    async with scripted() as (node, url), Verifier(url) as verifier:
        for _ in range(50):
            assert verifier.verify(token).reason == "unknown_key"
        await asyncio.sleep(0.5)
        assert node.asked(client.JWKS) == 2  # 50 unknown keys are one fetch
        node.keys = newer
        verifier.verify(token)
        await within(2, lambda: verifier.verify(token).active)
        assert node.asked(client.JWKS) == 3
        node.keys = new_key_set(lambda n: b"\3" * n, 0)
        await asyncio.sleep(0.4)
        replaced = session_token.sign(session, node.keys.active)
        assert (await verifier.check(replaced)).active


async def test_a_token_of_version_1_is_refused_where_the_node_is_of_an_opt_in_region():
    now_ms = int(time.time() * 1000)
    session = replace(SESSION, issued_at_ms=now_ms, expires_at=now_ms // 1000 + 600, token_version=1)
    async with scripted() as (node, url):
        token = session_token.sign(session, node.keys.active)
        async with Verifier(url) as verifier:
            assert verifier.verify(token).active
        node.region = "af-south-1"
        async with Verifier(url) as verifier:
            assert verifier.verify(token).reason == "region_not_enabled"


async def test_a_heartbeat_that_lay_about_on_its_way_counts_from_when_it_was_said():
    async with scripted() as (node, url):
        node.beats = [0, 10, 20, 30, 40, 50]  # said within 50 ms, heard within 500 ms
        async with Verifier(url) as verifier:
            await asyncio.sleep(0.7)
            assert verifier.staleness_s > 0.6


async def test_a_node_that_falls_silent_is_left_and_asked_again(monkeypatch):
    monkeypatch.setattr(client, "SILENCE_S", 0.2)
    async with scripted() as (node, url), Verifier(url):
        asked = node.asked(client.FEED)
        await within(3, lambda: node.asked(client.FEED) > asked)


async def test_rubbish_is_an_interruption_and_says_what_it_was():
    async with scripted() as (node, url):
        node.broken = True
        with pytest.raises(VerifierUnavailable, match="json instead of a stream"):
            async with Verifier(url, start_timeout_s=0.5):
                pass
        assert node.asked(client.FEED) < 5  # with back-off


async def test_a_node_that_refuses_is_quoted():
    async with scripted() as (node, url):
        node.refusal = "Events are read from a regional endpoint, not through the router"
        with pytest.raises(VerifierUnavailable, match=f"status 400: {node.refusal}"):
            async with Verifier(url, start_timeout_s=0.5):
                pass


async def test_first_fetches_and_retries_are_spread(monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    async with scripted() as (_, url):
        began = time.monotonic()
        async with Verifier(url, spread_s=0.3):
            assert time.monotonic() - began >= 0.3


async def test_without_a_place_for_a_stream_pages_are_read_and_told_as_stale_as_they_are(monkeypatch):
    monkeypatch.setattr(client, "POLL_S", 0.1)
    async with scripted() as (node, url):
        node.full = True
        async with Verifier(url) as verifier:
            assert 1.5 <= verifier.staleness_s < 2.5
            await within(5, lambda: node.asked(client.FEED) > 2)
            assert verifier.requests == {client.JWKS: 1, client.FEED: node.asked(client.FEED)}
            node.full = False
            await within(5, lambda: verifier.staleness_s < 1)


async def test_keys_are_fetched_again_between_half_and_all_of_their_age(monkeypatch):
    monkeypatch.setattr(client, "KEYS_FLOOR_S", 0.0)
    spans: list[tuple[float, float]] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: spans.append((low, high)) or high)
    async with scripted() as (node, url), Verifier(url, keys_age_s=0.4):
        await within(5, lambda: node.asked(client.JWKS) == 2)
    assert (0.5, 1.0) in spans


async def test_keys_are_as_old_as_their_fetch_and_not_as_the_verifier(monkeypatch):
    monkeypatch.setattr(client, "KEYS_FLOOR_S", 0.0)
    monkeypatch.setattr(random, "uniform", lambda low, high: low or high)
    async with scripted() as (node, url), Verifier(url, keys_age_s=1.2, spread_s=0.5):
        await asyncio.sleep(0.25)  # 0.6 s, half of the age, have passed since it began, but not since the fetch
        assert node.asked(client.JWKS) == 1
        await within(5, lambda: node.asked(client.JWKS) == 2)


async def test_keys_that_were_fetched_since_they_were_wanted_are_not_fetched_again(monkeypatch):
    monkeypatch.setattr(client, "KEYS_FLOOR_S", 0.0)
    stranger = session_token.sign(SESSION, new_key_set(lambda n: b"\4" * n, 0).active)
    async with scripted() as (node, url), Verifier(url) as verifier:
        monkeypatch.setattr(random, "uniform", lambda low, high: high)
        verifier._spread_s = 0.2
        verifier.verify(stranger)
        await verifier._fetch_keys(unless_younger_s=0.0)  # as after an interruption
        await asyncio.sleep(0.4)
        assert node.asked(client.JWKS) == 2
        verifier.verify(stranger)
        await within(5, lambda: node.asked(client.JWKS) == 3)


async def test_what_all_verifiers_meet_at_once_is_spread(monkeypatch):
    monkeypatch.setattr(client, "KEYS_FLOOR_S", 0.0)
    stranger = session_token.sign(SESSION, new_key_set(lambda n: b"\4" * n, 0).active)
    async with scripted() as (node, url), Verifier(url) as verifier:
        monkeypatch.setattr(random, "uniform", lambda low, high: high)
        verifier._spread_s = 0.3
        assert verifier.verify(stranger).reason == "unknown_key"
        began = time.monotonic()
        await within(5, lambda: node.asked(client.JWKS) == 2)
        assert time.monotonic() - began > 0.25
