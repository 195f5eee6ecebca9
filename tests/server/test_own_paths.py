"""Our own paths over HTTP: what they take, and what they say to anything else (contract 4)."""

from __future__ import annotations

import json

import pytest
import requests

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The body is not JSON"),
        (b"[]", "The body is not a JSON object"),
        (b'{"token": 1}', "token must hold text"),
        (b"{}", "Exactly one of token and tokens is required"),
        (b'{"token": "a", "tokens": []}', "Exactly one of token and tokens is required"),
        (b'{"token": "a", "colour": "red"}', "Unknown member 'colour'; allowed: token, tokens, at_least"),
        (b'{"token": "a", "at_least": "x"}', "at_least is not a revocation token"),
        (b'{"token": "a", "at_least": 5}', "at_least is not a revocation token"),
        (json.dumps({"tokens": ["a"] * 1001}).encode(), "tokens must be a list of at most 1000"),
    ],
)
def test_verify_refuses_what_it_does_not_understand(node, content, message):
    answer = requests.post(f"{node.url}/v1/verify", content, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == message
    assert answer.json()["error"]["request_id"] == answer.headers["x-amzn-RequestId"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/verify", "POST"),
        ("HEAD", "/v1/verify", "POST"),
        ("DELETE", "/v1/revocations", "GET, POST"),
        ("POST", "/.well-known/jwks.json", "GET"),
    ],
)
def test_a_path_of_ours_says_which_methods_it_takes(node, method, path, allowed):
    answer = requests.request(method, f"{node.url}{path}", timeout=5)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    if method != "HEAD":
        assert answer.json()["error"]["message"] == f"{path} takes {allowed}"


def test_what_is_served_below_v1_is_told_to_who_asks_for_anything_else(node):
    answer = requests.get(f"{node.url}/v1/verifyy", timeout=5)
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "code": "NotFound",
        "message": "Served here: /v1/verify, /v1/revocations",
        "request_id": answer.headers["x-amzn-RequestId"],
    }


def test_verify_judges_many_tokens_in_order(node):
    answer = requests.post(f"{node.url}/v1/verify", json={"tokens": ["a", "b.c.d"]}, timeout=5)
    assert answer.json() == {"results": [{"active": False, "reason": "malformed"}] * 2}


def test_a_cursor_that_is_none_is_refused(node):
    answer = requests.get(f"{node.url}/v1/revocations", {"after": "x"}, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "after is not a cursor of this feed"
