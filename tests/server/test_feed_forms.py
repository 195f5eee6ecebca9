"""GET /v1/revocations over HTTP: one path, three forms, and who may read them."""

from __future__ import annotations

import json
import time
from contextlib import closing
from types import SimpleNamespace

import pytest
import requests
from multidict import CIMultiDict

from stsd import world as worlds
from stsd.node import Node
from stsd.operations.v1.revocations import Asked
from stsd.revocation import feed, snapshot
from stsd.revocation.messages import Origin
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import RevocationSet
from stsd.server.clock import Clock
from stsd.server.readers import Readers
from stsd.tokens import published_keys
from stsd.tokens.keyset import new_key_set
from stsd.view import View
from stsd.wire.messages import Request, Response
from tests.conftest import NOW, seeded
from tests.revocation.signed import node as replica_of
from tests.running import RunningNode, post_signed, running_node
from tests.world.worlds import account, world

pytestmark = pytest.mark.processes
EVENTS = {"Accept": "text/event-stream"}
COMPACT = {"Accept": snapshot.MEDIA_TYPE}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A node whose revocations nobody else counts."""
    with running_node(tmp_path_factory.mktemp("feed") / "data") as started:
        yield started


def path(node: RunningNode) -> str:
    return f"{node.url}/v1/revocations"


def view_of(replica: Replica) -> View:
    """Of a node in a world without anybody."""
    directory = worlds.directory(worlds.materialise(world(account()), seeded(1)))
    return View("eu-west-1", "", directory, new_key_set(seeded(1), NOW), replica, RevocationSet(), seeded(1))


def revoke(node: RunningNode, **subject: str) -> dict:
    answer = post_signed(node.url, "/v1/revocations", subject, node.keys("admin"), "us-east-1")
    assert answer.status_code == 200, answer.text
    return answer.json()


def session(node: RunningNode) -> dict:
    return node.sts("admin").get_session_token()["Credentials"]


def events(answer):
    """Name, id and data of each event."""
    fields = {}
    for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        else:
            yield fields["event"], fields["id"], json.loads(fields["data"])


def cursor(node: RunningNode) -> str:
    return requests.get(path(node), timeout=5).json()["cursor"]


def streamed(node: RunningNode, **options):
    headers = EVENTS | options.pop("headers", {})
    return closing(requests.get(path(node), headers=headers, stream=True, timeout=5, **options))


def test_a_revocation_is_streamed_within_a_second(own):
    with streamed(own, params={"after": cursor(own)}) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        following = events(answer)
        assert next(following)[0] == "heartbeat"
        key = session(own)["AccessKeyId"]
        done = revoke(own, access_key_id=key)
        began = time.monotonic()
        _, at, data = next(told for told in following if told[0] == "revocations")
        assert time.monotonic() - began < 1
        assert [(r["id"], r["subject"]) for r in data["revocations"]] == [(done["id"], key)]
        assert at == cursor(own)


def test_a_stream_goes_on_after_the_last_event_that_was_read(own):
    revoke(own, access_key_id=session(own)["AccessKeyId"])
    at = cursor(own)
    done = revoke(own, access_key_id=session(own)["AccessKeyId"])
    with streamed(own, headers={"Last-Event-ID": at}, params={"after": ""}) as answer:
        _, _, data = next(events(answer))
        assert [r["id"] for r in data["revocations"]] == [done["id"]]


def test_the_compact_form_holds_what_the_pages_hold(own):
    keys = [session(own)["AccessKeyId"] for _ in range(3)]
    for key in keys:
        revoke(own, access_key_id=key)
    revoke(own, role_arn="arn:aws:iam::111122223333:role/deploy")
    wait_until = time.monotonic() + 5
    while True:  # one that was made a moment ago is served for a moment more
        answer = requests.get(path(own), headers=COMPACT, timeout=5)
        jwks = published_keys.read(requests.get(f"{own.url}/.well-known/jwks.json", timeout=5).json())
        told = snapshot.read(answer.content, jwks.signed)
        if told.cursor == cursor(own) or time.monotonic() > wait_until:
            break
    assert told.cursor == cursor(own)
    assert all(key in told.named for key in keys)
    assert session(own)["AccessKeyId"] not in told.named
    assert "arn:aws:iam::111122223333:role/deploy" in [revocation.subject for revocation, _ in told.exact]
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    assert answer.headers["Vary"] == "Accept"
    again = requests.get(path(own), headers=COMPACT | {"If-None-Match": answer.headers["ETag"]}, timeout=5)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == answer.headers["ETag"]


@pytest.mark.parametrize("form", [{}, COMPACT], ids=["page", "compact"])
@pytest.mark.parametrize("given", ["ETAG", "W/ETAG", '"other", ETAG', '"other",W/ETAG', "*"])
def test_who_has_what_would_be_answered_is_told_so_without_the_length_of_anything(own, form, given):
    etag = requests.get(path(own), headers=form, timeout=5).headers["ETag"]
    headers = form | {"If-None-Match": given.replace("ETAG", etag)}
    answer = requests.get(path(own), headers=headers, timeout=5)
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    assert "Content-Length" not in answer.headers  # that of the 200 it would be (RFC 9110 section 8.6)


@pytest.mark.parametrize("given", ['"other"', "W/", "", '"*"'])
def test_who_has_something_else_gets_the_page(own, given):
    answer = requests.get(path(own), headers={"If-None-Match": given}, timeout=5)
    assert answer.json()["cursor"]


@pytest.mark.parametrize(
    ("headers", "parameters", "told"),
    [
        (EVENTS, {"after": "x"}, "after is not a cursor"),
        (EVENTS | {"Last-Event-ID": "x"}, {}, "after is not a cursor"),
        (EVENTS, {"since": "x"}, "Unknown parameter 'since'"),
        (COMPACT, {"after": "WzAse31d"}, "after does not go with the compact form"),
        (EVENTS | {"x-stsd-forwarded": "forged"}, {}, "not through the router"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(own, headers, parameters, told):
    answer = requests.get(path(own), parameters, headers=headers, timeout=5)
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, */*;q=0.1", ""])
def test_who_asks_for_nothing_special_gets_a_page(own, accept):
    answer = requests.get(path(own), headers={"Accept": accept}, timeout=5)
    assert answer.headers["Content-Type"] == "application/json"
    assert feed.epoch(answer.json()["cursor"]) == 0


@pytest.mark.parametrize("headers", [EVENTS, COMPACT, {}])
def test_off_loopback_every_form_wants_a_resource_server_key(headers):
    view = view_of(replica_of(Origin("eu-west-1", "1", "a" * 16), (), 0.0))
    node = Node(view, b"r" * 32, ("a-key-of-a-resource-server",))

    def ask(**more: str) -> Asked | Response:
        request = Request("GET", "/v1/revocations", "", CIMultiDict(headers | more), b"", "id", source_ip="192.0.2.1")
        return node.ask_feed(request, 0.0)

    assert isinstance(ask(Authorization="Bearer a-key-of-a-resource-server"), Asked)
    for refused in (ask(), ask(Authorization="Bearer other"), ask(Authorization="Basic a-key-of-a-resource-server")):
        assert isinstance(refused, Response)
        assert refused.status == 403


@pytest.mark.parametrize(("headers", "refused"), [(EVENTS, True), (COMPACT, True), ({}, False)])
def test_a_node_that_has_not_caught_up_promises_nothing(headers, refused):
    view = view_of(replica_of(Origin("eu-west-1", "1", "a" * 16), ("us-east-1",), 0.0, joined=False))
    answer = Node(view, b"r" * 32).ask_feed(Request("GET", "/v1/revocations", "", CIMultiDict(headers), b"", "id"), 0.0)
    assert isinstance(answer, Response) == refused
    if isinstance(answer, Response):
        assert answer.status == 503


def test_a_node_with_open_streams_stops_at_once(tmp_path):
    with running_node(tmp_path / "data") as node, streamed(node) as answer:
        assert next(events(answer))[0] == "heartbeat"
        began = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - began < 5
        assert all(event[0] == "heartbeat" for event in events(answer))


@pytest.mark.parametrize(
    ("accept", "status"), [("text/event-stream", 503), ("text/event-stream, application/json;q=0.5", 200)]
)
async def test_who_comes_too_late_for_a_stream_gets_a_page_if_it_takes_one(accept, status):
    replica = replica_of(Origin("eu-west-1", "1", "a" * 16), (), time.time())
    node = Node(view_of(replica), b"")
    crowded = SimpleNamespace(full=True, staleness_ms=lambda: 1500)
    reader = Readers(node, None, crowded, Clock())
    request = Request("GET", "/v1/revocations", "", CIMultiDict({"Accept": accept}), b"", "id")
    answer = await reader.get(request)
    assert answer.status == status
    assert (status == 503) or (("x-stsd-feed-staleness-ms", "1500") in answer.headers and b"cursor" in answer.body)
