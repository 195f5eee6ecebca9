"""What a running node does with a peer's message that is none: counted, and named in the log with its address."""

from __future__ import annotations

from io import BytesIO

import pytest
import requests

from stsd.wire import envelope
from tests.running import running_node, wait_for
from tests.server.test_membership import counted

pytestmark = pytest.mark.processes


def test_a_message_of_nobody_is_counted_and_named_with_the_address_it_came_from(tmp_path):
    with running_node(tmp_path / "data") as node:
        for body, reason in ((b"noise", "wrong_cluster"), (bytes(envelope.MAX_BYTES + 1), "oversized")):
            answer = requests.post(f"{node.url}/_peer/messages", BytesIO(body), timeout=5)
            assert (answer.status_code, answer.text) == (403, reason)
            assert counted(node, reason)
            said = f"peer_message_refused reason={reason} peer=127.0.0.1"
            wait_for(lambda said=said: said in (tmp_path / "data.log").read_text(), "the event")
