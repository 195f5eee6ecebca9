"""What a test hook makes a node do wrong, without a node around it."""

from __future__ import annotations

import json
from random import Random
from time import process_time

import pytest
from multidict import CIMultiDict

from stsd.errors import ValidationError
from stsd.server import faults, test_hooks
from stsd.server.clock import Clock
from stsd.server.faults import WELL, Faults, FaultyAnswers
from stsd.wire.messages import Request, Response


def asked(path: str = "/", body: bytes = b"Action=GetCallerIdentity", query: str = "") -> Request:
    return Request("POST", path, query, CIMultiDict[str](), body, "id")


class Work:
    """An answer that notes whether it was made."""

    done = 0

    async def answer(self) -> Response:
        self.done += 1
        return Response(200, b"fine")


async def status(what: Faults, request: Request) -> tuple[int, int]:
    """Of the answer, and how often the work was done for it."""
    work = Work()
    response = await FaultyAnswers(what, Random(1)).around(request, work.answer())
    return response.status, work.done


async def test_an_answer_that_is_an_error_comes_without_the_work():
    assert await status(Faults(error_share=1, error_status=502), asked()) == (502, 0)
    assert await status(Faults(error_share=0), asked()) == (200, 1)


async def test_the_share_of_errors_is_what_was_asked_for():
    faulty, work = FaultyAnswers(Faults(error_share=0.3), Random(7)), Work()
    found = [(await faulty.around(asked("/v1/verify"), work.answer())).status for _ in range(2000)]
    assert found.count(503) == pytest.approx(600, abs=60)
    assert work.done == found.count(200)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/_test/faults", "/_peer/messages"])
async def test_health_checks_peers_and_hooks_do_not_suffer(path):
    assert await status(Faults(error_share=1, grey_status=500, stall_ms=5), asked(path)) == (200, 1)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (asked(body=b"Version=2011-06-15&Action=AssumeRole&RoleArn=x"), 500),
        (asked(body=b"Action=AssumeRoleWithWebIdentity"), 500),
        (asked(body=b"", query="Action=GetSessionToken&Version=2011-06-15"), 500),
        (asked(body=b"Action=GetCallerIdentity"), 200),
        (asked("/v1/verify", b'{"token": "Action=AssumeRole"}'), 200),
    ],
)
async def test_a_grey_node_fails_whoever_wants_a_session_and_nobody_else(request_, expected):
    assert (await status(Faults(grey_status=500), request_))[0] == expected


async def test_a_stall_burns_cpu_time():
    began = process_time()
    await status(Faults(stall_ms=20), asked())
    assert process_time() - began >= 0.02


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"error_share": 1.1}, "error_share must be a number from 0 to 1"),
        ({"error_share": True}, "error_share must be a number"),
        ({"times": 0.5}, "times must be a number from 1 to 1000"),
        ({"ms": "5"}, "ms must be a number"),
        ({"error_status": 0}, "error_status must be one of 500, 502, 503, 504"),
        ({"grey_status": 404}, "grey_status must be one of"),
    ],
)
def test_a_fault_that_is_not_understood_is_refused(content, words):
    with pytest.raises(ValidationError, match=words):
        WELL.changed(content)


def test_faults_add_up_until_everything_is_well():
    both = WELL.changed({"ms": 5}).changed({"grey_status": 500})
    assert (both.ms, both.grey_status) == (5, 500)
    assert both.changed({"grey_status": 0}) == Faults(ms=5)
    assert both.changed({}) == WELL


class Breakable:
    """What the hook asks of a gateway."""

    faulty: FaultyAnswers | None = None
    capacity = None


async def test_the_hook_tells_what_is_wrong_and_works_on_this_machine_only():
    gateway = Breakable()
    hooks = test_hooks.TestHooks(Clock(), None, gateway)
    body = json.dumps({"times": 10}).encode()
    elsewhere = Request("POST", test_hooks.FAULTS, "", CIMultiDict[str](), body, "id", "192.0.2.1")
    assert ((await hooks.faults(elsewhere)).status, gateway.faulty) == (403, None)
    answer = await hooks.faults(asked(test_hooks.FAULTS, body))
    assert json.loads(answer.body) == WELL.members() | {"times": 10, "per_s": 0, "clock_offset_s": 0}
    await hooks.faults(asked(test_hooks.FAULTS, b"{}"))
    assert gateway.faulty is None


@pytest.mark.parametrize("path", ["/", "/v1/verify"])
def test_an_error_has_the_form_of_its_call(path):
    response = faults.made_up(asked(path), 504)
    assert (response.status, b"ServiceUnavailable" in response.body) == (504, True)
    assert response.content_type == ("text/xml" if path == "/" else "application/json")
