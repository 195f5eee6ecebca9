"""Deep checks: what they send, and what each answer says about the region."""

from __future__ import annotations

import json

import pytest

from cluster import canary
from cluster.upstream import Answer, ConnectFailure, ExchangeFailure
from loadtest.places import Key

KEY = Key("AKIDEXAMPLE", "not-a-real-secret")
ISSUED = b"<SessionToken>a.b.c</SessionToken>"
ACTIVE = b'{"active": true}'


class Region:
    """Gives one prepared answer after the other."""

    host, port = "127.0.0.1", 1

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []

    async def send(self, head: bytes, body: bytes) -> Answer:
        self.requests.append(head + body)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, tuple)
        status, content, *headers = answer
        return Answer(status, "", tuple(headers), content)


async def check(*answers: object, key: Key = KEY) -> bool | None:
    return (await canary.check(Region(*answers), "eu-west-1", lambda: key)).good  # type: ignore[arg-type]


async def test_a_token_that_was_issued_is_verified_and_signed_for_the_region():
    region = Region((200, ISSUED), (200, ACTIVE))
    found = await canary.check(region, "eu-west-1", lambda: KEY)  # type: ignore[arg-type]
    assert (found.good, len(found.took_s)) == (True, 2)
    assert min(found.took_s) >= 0
    issue, verify = region.requests
    assert b"Action=GetSessionToken" in issue
    assert b"/eu-west-1/sts/aws4_request" in issue
    assert b"not-a-real-secret" not in issue
    assert verify.startswith(b"POST /v1/verify ")
    assert json.loads(verify.partition(b"\r\n\r\n")[2]) == {"token": "a.b.c"}


@pytest.mark.parametrize(
    "answers",
    [
        ((500, b""),),
        ((502, b""),),
        ((200, b"<nothing/>"),),
        ((200, ISSUED), (500, b"")),
        ((200, ISSUED), (200, b"not JSON")),
        ((200, ISSUED), (200, b'{"active": false, "reason": "unknown_key"}')),
        ((200, ISSUED), (200, b'{"active": false, "reason": "expired"}')),
        (ConnectFailure("refused"),),
        ((200, ISSUED), ExchangeFailure("late")),
    ],
)
async def test_what_a_region_cannot_do_is_bad(answers):
    assert await check(*answers) is False


@pytest.mark.parametrize(
    "answers",
    [
        ((403, b""),),
        ((503, b"", (b"Retry-After", b"1")),),
        ((200, ISSUED), (200, b'{"active": false, "reason": "revoked"}')),
        ((200, ISSUED), (200, b'{"active": false, "reason": "principal_gone"}')),
    ],
)
async def test_what_the_caller_may_not_or_an_overload_says_nothing(answers):
    assert await check(*answers) is None


async def test_without_a_key_nothing_is_sent():
    def no_key() -> Key:
        raise ValueError("no profile admin")

    region = Region()
    assert await canary.check(region, "eu-west-1", no_key) == canary.Found(None)  # type: ignore[arg-type]
    assert region.requests == []
