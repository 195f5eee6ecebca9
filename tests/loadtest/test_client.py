from __future__ import annotations

import itertools

import pytest

from loadtest.client import LoadError, answer_end, loopback_target, run
from tests.loadtest.answering import OK, answering


def hello() -> bytes:
    return b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"


async def load(url: str, take=hello, **settings):
    return await run(url, take, **{"connections": 2, "duration_s": 5.0, "limit": 20} | settings)


async def test_connections_are_kept_and_the_limit_is_kept():
    async with answering() as server:
        tally = await load(server.url)
    assert (tally.done, tally.failed, server.connections, len(server.requests)) == (20, 0, 2, 20)
    assert len(tally.latencies_s) == 20
    assert tally.rate > 0


async def test_a_load_ends_after_its_duration():
    async with answering() as server:
        tally = await load(server.url, duration_s=0.1, limit=10_000_000)
    assert tally.done == len(server.requests)


async def test_each_request_is_asked_for_when_it_is_sent():
    numbers = itertools.count()
    async with answering() as server:
        await load(server.url, lambda: b"%d" % next(numbers), connections=1, limit=3)
    assert server.requests == [b"0", b"1", b"2"]


async def test_an_answer_may_come_in_pieces():
    async with answering(pieces=5) as server:
        tally = await load(server.url, limit=2)
    assert (tally.done, tally.failed) == (2, 0)


async def test_an_answer_that_is_not_200_is_a_failure_and_the_first_is_kept():
    async with answering(answer=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as server:
        tally = await load(server.url)
    assert (tally.done, tally.failed) == (0, 20)
    assert tally.first_failure.startswith("HTTP/1.1 403")


async def test_the_caller_may_judge_answers():
    async with answering() as server:
        tally = await load(server.url, on_answer=lambda status, answer: b"token" in answer)
    assert tally.failed == 20


async def test_a_connection_that_the_server_closes_is_a_failure():
    async with answering(hang_up=True) as server:
        tally = await load(server.url)
    assert (tally.done, tally.failed) == (0, 2)
    assert "connection lost" in tally.first_failure


async def test_a_chunked_answer_is_a_failure():
    async with answering(answer=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n") as server:
        tally = await load(server.url)
    assert tally.done == 0
    assert "without Content-Length" in tally.first_failure


async def test_nothing_listening_is_said():
    async with answering() as server:
        url = server.url
    with pytest.raises(LoadError, match="no connection"):
        await load(url)


@pytest.mark.parametrize("url", ["http://192.0.2.1:80", "http://example.com:80", "http://0.0.0.0:80", "http://[::]:80"])
def test_other_machines_are_refused(url):
    with pytest.raises(LoadError, match="not this machine"):
        loopback_target(url)


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "http://127.0.0.1", "127.0.0.1:80", "ftp://127.0.0.1:21"])
def test_what_is_no_http_target_is_refused(url):
    with pytest.raises(LoadError, match="not a target"):
        loopback_target(url)


def test_loopback_has_several_names():
    assert loopback_target("http://127.0.0.1:8700/x") == ("127.0.0.1", 8700)
    assert loopback_target("http://[::1]:8700") == ("::1", 8700)
    assert loopback_target("http://localhost:8700") == ("localhost", 8700)


@pytest.mark.parametrize(
    "settings", [{"connections": 0}, {"connections": 10_000}, {"duration_s": 0}, {"duration_s": 1e9}]
)
async def test_a_load_is_bounded(settings):
    with pytest.raises(LoadError, match="at most"):
        await load("http://127.0.0.1:1", **settings)


def test_the_end_of_an_answer_is_known_once_its_head_is():
    assert answer_end(OK[:20]) == -1
    assert answer_end(OK[:-2]) == len(OK)
    assert answer_end(OK + b"more") == len(OK)
