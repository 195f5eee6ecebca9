"""SIGTERM drains a node: it is not ready and goes on serving, until its time is over or a second signal comes."""

from __future__ import annotations

import asyncio
import signal
import socket

import pytest
import requests

from stsd.server.ending import Ending
from tests.running import running_node, wait_for

BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
FORM = "application/x-www-form-urlencoded"
HEAD = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("signals", "told", "at_once"),
    [
        ([], False, False),
        ([signal.SIGTERM], True, False),
        ([signal.SIGINT], True, True),
        ([signal.SIGTERM, signal.SIGTERM], True, True),
        ([signal.SIGTERM, signal.SIGINT], True, True),
    ],
)
async def test_sigterm_drains_and_sigint_or_a_second_signal_ends_at_once(signals, told, at_once):
    ending = Ending()
    for number in signals:
        ending.signalled(number)
    assert ending.told.is_set() is told
    drained = asyncio.create_task(ending.drained(3600))
    for _ in range(5):
        await asyncio.sleep(0)
    assert drained.done() is at_once
    drained.cancel()


async def test_a_drain_without_time_is_over():
    await asyncio.wait_for(Ending().drained(0), 5)


@pytest.mark.processes
def test_a_node_that_drains_serves_finishes_what_is_in_flight_and_then_is_gone(tmp_path):
    with running_node(tmp_path / "node", "--drain-s", "3600") as node:
        port = int(node.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as in_flight:
            in_flight.sendall(HEAD + BODY[:10])
            node.process.send_signal(signal.SIGTERM)

            answers = []
            wait_for(
                lambda: answers.append(requests.get(f"{node.url}/readyz", timeout=5)) or is_503(answers), "the drain"
            )
            draining = answers[-1]
            assert draining.json()["draining"] is True
            assert draining.headers["Connection"] == "close"
            served = requests.post(node.url, BODY, headers={"Content-Type": FORM}, timeout=5)
            assert (served.status_code, served.headers["Connection"]) == (403, "close")
            in_flight.sendall(BODY[10:])
            answer = b""
            while chunk := in_flight.recv(65_536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"\r\nConnection: close\r\n" in answer
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(timeout=20) == 0
        assert refuses(port)


def is_503(answers: list[requests.Response]) -> bool:
    return answers[-1].status_code == 503


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
