"""Gossip between gateways, as nats-server 2.9.10 and 2.15.1 write it."""

from __future__ import annotations

import json

import pytest

from cluster.gateway_gossip import WithoutGossip

HELLO = {"server_id": "NB2B", "gateway": "eu-west-1", "gateway_urls": ["127.0.0.1:1"], "gateway_nrp": True}
GOSSIP = {"server_id": "NB2B", "gateway": "us-east-1", "gateway_urls": ["127.0.0.1:8752"], "gateway_cmd": 1}
ALL_SUBSCRIPTIONS = {"server_id": "", "gateway": "eu-west-1", "gateway_cmd": 2, "gateway_cmd_payload": "U1RTRA=="}


def info(told: object) -> bytes:
    return b"INFO " + json.dumps(told, separators=(",", ":")).encode() + b"\r\n"


BEFORE = info(HELLO) + b"PING\r\n"
AFTER = info(ALL_SUBSCRIPTIONS) + b"RS+ STSD stsd.c1a5c0de.hb.*.*\r\nPONG\r\nINFO {\r\n"


@pytest.mark.parametrize("size", [1, 2, 7, 100, 10_000])
def test_gossip_is_left_out_however_the_stream_is_cut_and_nothing_else(size):
    stream, link = BEFORE + info(GOSSIP) + AFTER, WithoutGossip()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert b"".join(map(link.passed, [*pieces, b""])) == BEFORE + AFTER


def test_only_an_info_that_is_not_whole_waits():
    link = WithoutGossip()
    assert link.passed(b"RS+ STSD stsd.a\r\nRS+ ST") == b"RS+ STSD stsd.a\r\nRS+ ST"
    assert link.passed(b"INFO \r\nINFO {") == b"INFO \r\n"
    assert link.passed(b"}\r\n") == b"INFO {}\r\n"


def test_what_was_held_comes_before_the_end():
    link = WithoutGossip()
    assert link.passed(b"INF") == b""
    assert link.passed(b"") == b"INF"


def test_bytes_that_are_no_lines_pass():
    sealed = bytes(range(256)) * 3
    assert WithoutGossip().passed(sealed) == sealed
