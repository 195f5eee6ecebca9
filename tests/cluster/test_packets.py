"""Packets between the subnets of regions."""

from __future__ import annotations

from random import Random
from socket import inet_aton

import pytest

from cluster import packets
from cluster.faults import Links
from cluster.packets import Packets
from cluster.topology import RoundTrip

A, B = "us-east-1", "eu-west-1"


@pytest.fixture
def on_the_way() -> Packets:
    return Packets(Links((A, B), {(A, B): RoundTrip(70, 75), (B, A): RoundTrip(30, 30)}), Random(1))


def packet(source: str, target: str, number: int = 0, port: int = 8701) -> bytes:
    ports = port.to_bytes(2, "big") + bytes(2)
    return bytes([0x45, *bytes(11)]) + inet_aton(source) + inet_aton(target) + ports + bytes([number])


def there(number: int = 0, port: int = 8701) -> bytes:
    return packet(packets.address(1), packets.address(2), number, port)


def test_a_packet_takes_its_way_and_arrives_at_its_region(on_the_way):
    on_the_way.offer(there(), 10.0)
    assert on_the_way.due(10.03) == []
    assert 10.03 < on_the_way.next_at < 10.5
    assert on_the_way.due(11.0) == [(2, there())]
    assert on_the_way.next_at is None


def test_packets_of_one_connection_never_overtake_though_each_draws_its_own_delay(on_the_way):
    for number in range(200):
        on_the_way.offer(there(number), number / 1000)
    assert [one[-1] for _, one in on_the_way.due(60.0)] == [*range(200)]


def test_a_slow_packet_holds_back_its_own_connection_alone(on_the_way):
    on_the_way.links.obey({"verb": "slow", "first": A, "second": B, "ms": 5000})
    on_the_way.offer(there(0, port=1), 10.0)
    on_the_way.links.obey({"verb": "heal"})
    on_the_way.offer(there(1, port=1), 10.0)
    on_the_way.offer(there(2, port=2), 10.0)
    assert [one[-1] for _, one in on_the_way.due(11.0)] == [2]
    assert on_the_way.due(12.0) == []
    assert [one[-1] for _, one in on_the_way.due(60.0)] == [0, 1]


def test_of_each_direction_it_is_told_how_long_packets_were_to_take_and_how_late_they_came(on_the_way):
    on_the_way.offer(there(), 10.0)
    due = on_the_way.next_at
    on_the_way.offer(there(1), 10.001)
    assert len(on_the_way.due(due + 1.0)) == 2
    on_the_way.offer(there(2), 20.0)
    there_, back = on_the_way.delays[A, B], on_the_way.delays[B, A]
    assert (there_.messages, back.messages) == (2, 0)  # one is still on its way
    assert there_.asked_s >= 2 * (due - 10.001)
    assert there_.asked_s + there_.error_s == pytest.approx(2 * (due + 1.0) - 20.001)
    assert there_.errors[0.5] == 0


def test_a_one_way_cut_loses_what_goes_that_way_and_nothing_else(on_the_way):
    on_the_way.links.obey({"verb": "partition", "first": A, "second": B, "one_way": True})
    on_the_way.offer(there(), 0.0)
    on_the_way.offer(packet(packets.address(2), packets.address(1)), 0.0)
    assert [number for number, _ in on_the_way.due(5.0)] == [1]
    assert on_the_way.lost == 1


def test_a_lossy_link_loses_its_share_and_holds_nothing_back(on_the_way):
    on_the_way.links.obey({"verb": "lose", "first": A, "second": B, "share": 0.3})
    for number in range(1000):
        on_the_way.offer(there(number % 250), 0.0)
    assert on_the_way.lost == pytest.approx(300, abs=60)
    assert len(on_the_way.due(5.0)) == 1000 - on_the_way.lost


@pytest.mark.parametrize(
    "stray",
    [
        packet("10.77.1.1", "10.77.3.1"),
        packet("10.77.1.1", "10.77.1.1"),
        packet("10.77.1.2", "10.77.2.1"),
        packet("192.0.2.1", "10.77.2.1"),
        bytes([0x60, *bytes(39)]),
        b"\x45",
        b"",
    ],
    ids=["unknown region", "itself", "unknown host", "foreign", "IPv6", "short", "empty"],
)
def test_what_is_not_from_one_region_to_another_is_lost(on_the_way, stray):
    on_the_way.offer(stray, 0.0)
    assert on_the_way.due(60.0) == []
    assert on_the_way.lost == 1
