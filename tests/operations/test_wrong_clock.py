"""A node whose clock is wrong issues nothing, and does everything else."""

from __future__ import annotations

from xml.etree import ElementTree

import orjson
import pytest
from multidict import CIMultiDict

from stsd.node import Decided
from stsd.wire.messages import Request
from tests.conftest import NOW
from tests.operations.test_when_stale import NS, assume, call, node, signed


@pytest.fixture
def wrong():
    made = node()
    made.view.clock_wrong_by_s = 5.0
    return made


def test_it_issues_no_session_and_says_why(wrong):
    for answer in (assume(wrong, "deploy", 0), call(wrong, "GetSessionToken", 0)):
        error = ElementTree.fromstring(answer.body).find(f"{NS}Error")
        assert (answer.status, answer.event["reason"]) == (503, "clock_wrong")
        assert (error.findtext(f"{NS}Type"), error.findtext(f"{NS}Code")) == ("Receiver", "ServiceUnavailable")
        assert "clock" in error.findtext(f"{NS}Message")


def test_who_may_not_is_told_that_first(wrong):
    assert assume(wrong, "no-such-role", 0).status == 403


def test_it_verifies_and_revokes_and_knows_callers(wrong):
    wrong.view.clock_wrong_by_s = None
    token = ElementTree.fromstring(assume(wrong, "deploy", 0).body).findtext(f".//{NS}SessionToken")
    wrong.view.clock_wrong_by_s = -60.0
    assert call(wrong, "GetCallerIdentity", 0).status == 200
    body = orjson.dumps({"token": token})
    told = wrong.respond(Request("POST", "/v1/verify", "", CIMultiDict(), body, "id"), NOW, NOW)
    assert orjson.loads(told.body)["active"]
    request = signed(NOW, orjson.dumps({"token": token}).decode(), "/v1/revocations", "application/json")
    assert isinstance(wrong.decide_revocation(request, NOW, NOW), Decided)


def test_it_issues_again_when_its_clock_is_right(wrong):
    wrong.view.clock_wrong_by_s = None
    assert assume(wrong, "deploy", 0).status == 200
