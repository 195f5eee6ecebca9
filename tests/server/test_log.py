"""The log: one line an event, whatever is in it, and none lost to another one's fault."""

from __future__ import annotations

import json
from io import BytesIO

import pytest

from stsd.server.log import Answered, EventLog

NOW = 1_795_435_200.25


class Sink(BytesIO):
    """Keeps what was written."""


async def lines(form, *events):
    sink = Sink()
    log = EventLog("us-east-1", form, sink)
    for at, event in events:
        log.emit(at, event)
    log.close()
    return sink.getvalue().decode().splitlines()


async def test_an_event_is_a_line_of_text():
    (line,) = await lines("text", (NOW, {"event": "request", "status": 200, "code": "", "ms": 0.5}))
    assert line == "2026-11-23T12:00:00.250Z us-east-1 request status=200 ms=0.5"


async def test_an_event_is_a_line_of_json():
    (line,) = await lines("json", (NOW, {"event": "request", "status": 200}))
    assert json.loads(line) == {
        "at": "2026-11-23T12:00:00.250Z", "region": "us-east-1", "event": "request", "status": 200,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["text", "json"])
async def test_a_value_cannot_forge_a_line(form):
    found = await lines(form, (NOW, {"event": "x", "subject": "a\n2026 us-east-1 request status=200"}))
    assert len(found) == 1


@pytest.mark.parametrize("form", ["text", "json"])
async def test_an_event_that_cannot_be_written_does_not_end_the_log(form):
    found = await lines(form, (NOW, {"event": "x", "text": "\ud800"}), (1e30, {"event": "y"}), (NOW, {"event": "z"}))
    assert len(found) == 3
    assert "z" in found[-1]


def answered(**more):
    return Answered("id-1", "verify", 200, more.pop("code", ""), 0.0005, "127.0.0.1", "regional", more)


@pytest.mark.parametrize(
    ("event", "rest"),
    [
        (answered(), ""),
        (answered(tokens={"active": 1, "expired": 2}), " tokens=active:1,expired:2"),
        (answered(principal="arn:x:user/a b", reason=""), ' principal="arn:x:user/a b"'),
        (answered(reason="", principal="p"), " principal=p"),
        (answered(principal="a\nb"), ' principal="a\\nb"'),
    ],
)
async def test_an_answered_request_reads_like_any_other_event(event, rest):
    found = await lines("text", (NOW, event), (NOW, event.event()))
    start = "2026-11-23T12:00:00.250Z us-east-1 request request_id=id-1 operation=verify status=200 ms=0.5"
    assert found == [f"{start} source_ip=127.0.0.1 endpoint=regional{rest}"] * 2


async def test_the_code_of_a_refusal_is_told():
    (line,) = await lines("text", (NOW, answered(code="AccessDenied")))
    assert " status=200 code=AccessDenied ms=0.5 " in line
