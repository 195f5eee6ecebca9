"""Many verifiers: the ones that people write first, crowds of them, and how they are judged."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from aiohttp import web

from cluster import own_cluster
from cluster.checks import Check, judge
from cluster.crowd import workers
from cluster.crowd.herd import counted
from cluster.crowd.naive import DISCOVERY, NaiveVerifier
from cluster.crowd.workers import JWKS, Orders
from cluster.experiment_file import parse
from cluster.history import Crowd, Reaction, Run, Sample
from cluster.node_metrics import answered
from cluster.result import result, series
from cluster.runner import Runner
from cluster.virtual.runner import refusals
from stsd.tokens import session_token
from stsd.tokens.keyset import new_key_set
from tests.cluster.fake_regions import eventually
from tests.tokens.test_session_token import SESSION

KEYS = new_key_set(lambda n: b"\1" * n, 0)


@asynccontextmanager
async def publisher():
    """Publishes keys and counts who asks for what."""
    asked: Counter[str] = Counter()

    async def answer(request: web.Request) -> web.Response:
        asked[request.path] += 1
        return web.json_response(KEYS.jwks() if request.path == JWKS else {"jwks_uri": f"{url}{JWKS}"})

    app = web.Application()
    app.add_routes([web.get(DISCOVERY, answer), web.get(JWKS, answer)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    try:
        yield url, asked
    finally:
        await runner.cleanup()


def token() -> str:
    now_ms = int(time.time() * 1000)
    return session_token.sign(replace(SESSION, issued_at_ms=now_ms, expires_at=now_ms // 1000 + 600), KEYS.active)


async def test_every_call_of_a_naive_crowd_fetches_keys_for_itself_at_every_moment():
    async with publisher() as (url, asked):
        moments = [("start", 0.1, "published"), ("still fresh", 0.6, "published"), ("unknown", 0.7, "unknown")]
        begin = time.monotonic()
        orders = Orders(url, "naive", 5, 3, -workers.GRACE_S + 0.05, 60, begin, moments, 1.0, token())
        crowd = workers.Crowd(orders)
        await crowd.run()
        assert asked == {DISCOVERY: 30, JWKS: 30}
        reactions = {one["name"]: one for one in crowd.told()["reactions"]}
        assert [reactions[name]["refused"] for name in ("start", "still fresh", "unknown")] == [0, 0, 15]
        assert reactions["still fresh"]["fetches"] == {0: 5}


async def test_a_crowd_that_is_stopped_tells_of_the_moments_that_were_over():
    async with publisher() as (url, _):
        moments = [("start", 0.0, "published"), ("never", 600, "published")]
        orders = Orders(url, "naive", 2, 1, -workers.GRACE_S + 0.01, 60, time.monotonic(), moments, 900, token())
        crowd = workers.Crowd(orders)
        task = asyncio.create_task(crowd.run())
        assert crowd.told() == {"reactions": []}
        await eventually(lambda: bool(crowd.told()["reactions"]))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [one["name"] for one in crowd.told()["reactions"]] == ["start"]


async def test_a_naive_verifier_says_no_when_there_is_nobody_to_ask():
    verifier = NaiveVerifier("http://127.0.0.1:1", 60)
    assert not await verifier.check(token())
    await verifier.close()


def run(*rates: float, fetches: dict[int, int] | None = None, variant: str = "") -> Run:
    samples, total = [Sample(0.0, {"jwks": 0, "other": 0})], 0.0
    for second, rate in enumerate(rates, start=1):
        total += rate
        samples.append(Sample(float(second), {"jwks": total, "other": 100.0 * second}))
    reaction = Reaction("start", 0.0, 10, 4, 0.5, fetches or {1: 5})
    return Run("p", 1, [], variant=variant, crowd=Crowd(5, [reaction], samples))


def measured(kind: str, *runs: Run, **members) -> float | None:
    (verdict,) = judge([Check(kind, "c", ("p",), at_most=1, **members)], runs, {})
    return verdict.measured


def test_a_peak_is_judged_against_the_mean_of_the_named_operations():
    assert measured("peak_to_mean", run(0, 40, 0, 0), operations=("jwks",)) == 4
    assert measured("peak_to_mean", run(10, 10, 10, 10), run(0, 20, 20, 0), operations=("jwks",)) == 2
    assert measured("peak_to_mean", run(0, 0), operations=("jwks",)) is None
    assert measured("peak_per_s", run(0, 40), operations=("jwks", "other")) == 140


def test_samples_that_come_late_make_one_rate():
    crowd = Crowd(1, [], [Sample(0.0, {"jwks": 0}), Sample(4.0, {"jwks": 40})])
    assert measured("peak_per_s", Run("p", 1, [], crowd=crowd), operations=("jwks",)) == 10


def test_the_busiest_worker_and_refused_calls_of_a_moment_count():
    assert measured("fetches_per_worker", run(1, fetches={0: 3, 1: 4, 2: 1}), since="start") == 2
    assert measured("fetches_per_worker", run(1), since="later") is None
    assert measured("refused_calls", run(1), since="start") == 4
    assert measured("refused_calls", Run("p", 1, []), since="start") is None


def test_a_moment_at_which_a_node_was_silent_is_no_sample_and_is_told():
    text = 'stsd_requests_total{operation="jwks",code="200"} %d\n'
    readings = [
        (0.0, {"a": text % 5, "b": text % 1}),
        (1.0, {"a": text % 7, "b": None}),
        (2.0, {"a": text % 9, "b": text % 3}),
    ]
    samples, silent = counted(readings)
    assert [(sample.at_s, sum(sample.answered.values())) for sample in samples] == [(0.0, 6), (2.0, 12)]
    tables = {one["name"]: one["rows"] for one in series([Run("p", 1, [], crowd=Crowd(1, [], samples, silent))])}
    assert tables["silent nodes"] == [["p", 1, "b", 1]]


async def test_a_silent_node_is_named_among_the_expositions(monkeypatch):
    data = SimpleNamespace(topology=SimpleNamespace(regions=("a", "b", "c")), url=lambda region: region)
    answers = {"a/metrics": (200, b"told"), "b/metrics": None, "c/metrics": (503, b"later")}

    async def get(url: str, timeout_s: float) -> tuple[int, bytes] | None:
        return answers[url]

    monkeypatch.setattr(own_cluster.probe, "get", get)
    assert await own_cluster.node_metrics_texts(data) == {"a": "told", "b": None, "c": None}


def test_answers_of_several_nodes_are_added_up():
    line = 'stsd_requests_total{{operation="{}",code="OK"}} {}\n'
    head = "# TYPE stsd_requests_total counter\n"
    texts = [head + line.format("jwks", 3) + line.format("verify", 1), head + line.format("jwks", 4) + "other 5\n"]
    assert answered(texts) == {"jwks": 7, "verify": 1}


@pytest.mark.processes
async def test_a_crowd_is_called_as_ordered_and_its_requests_are_counted_at_the_nodes():
    runner = Runner(parse(CROWDED, "crowded.toml"), 1, lambda done_s, what: None)
    await runner.run()
    found = result(runner.experiment, runner.runs, runner.topology, seed=1, quick=False, commit="c", started_at=1)
    assert found["valid"], found["answer"]
    assert [check["holds"] for check in found["checks"]] == [True, True], found["answer"]
    series = {table["name"]: table for table in found["series"]}
    assert [row[2:7] for row in series["moments"]["rows"]] == [["start", 0.5, 20, 40, 0], ["new key", 2, 20, 40, 40]]
    assert sum(row[4] for row in series["asked"]["rows"] if row[3] == "jwks") > 0


CROWDED = """
number = "E0"
name = "crowded"
question = "Are verifiers called and counted?"
latency = false
topology = "two_continents"
policies = ["nearest-failover"]
seeds = 1
[load]
kind = "open"
operations = ["verify"]
regional = "none"
arrivals_per_s = 0
warm_up_s = 0.1
duration_s = 4
timeout_s = 3
[verifiers]
count = 20
calls = 2
spread_s = 0.2
keys_age_s = 60
[[verifiers.moments]]
name = "start"
at_s = 0.5
[[verifiers.moments]]
name = "new key"
at_s = 2
key = "unknown"
[[checks]]
kind = "fetches_per_worker"
name = "fetches of one worker"
policies = ["nearest-failover"]
since = "start"
at_least = 1
at_most = 1
[[checks]]
kind = "refused_calls"
name = "good tokens refused"
policies = ["nearest-failover"]
since = "start"
at_most = 0
[quick]
checks = "all"
leaves_out = "nothing"
"""


def test_verifiers_are_not_simulated_and_that_is_said():
    assert refusals(parse(CROWDED, "crowded.toml"), "http") == ["verifiers are not simulated"]
