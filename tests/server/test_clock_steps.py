"""A node's clock is set back between the issue of a session and its cut-off: the session does not escape."""

from __future__ import annotations

import pytest
import requests

from tests.running import RunningNode, post_signed, running_node, wait_for

pytestmark = pytest.mark.processes
SET_BACK_S = 5


def move(node: RunningNode, content: dict) -> None:
    assert requests.post(f"{node.url}/_test/clock", json=content, timeout=5).status_code == 200


def verdict(node: RunningNode, token: str) -> tuple[bool, str | None]:
    answer = requests.post(f"{node.url}/v1/verify", json={"token": token}, timeout=5).json()
    return answer["active"], answer.get("reason")


def test_a_session_that_was_issued_before_the_clock_was_set_back_does_not_escape(tmp_path):
    with running_node(tmp_path / "data", "--unsafe-test-hooks") as node:
        keys, sts = node.keys("admin"), node.sts("admin")
        user = sts.get_caller_identity()["Arn"]
        move(node, {"advance": SET_BACK_S})
        token = sts.get_session_token()["Credentials"]["SessionToken"]
        move(node, {})
        answer = post_signed(node.url, "/v1/revocations", {"principal_arn": user}, keys, node.region)
        assert answer.status_code == 200, answer.text
        move(node, {"advance": SET_BACK_S})  # until then it is not valid yet
        assert verdict(node, token) == (False, "revoked")
        assert verdict(node, sts.get_session_token()["Credentials"]["SessionToken"])[0] is True
        wait_for(lambda: "clock_behind_s=" in (tmp_path / "data.log").read_text(), "the event")
